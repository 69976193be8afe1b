//! Subscriptions, Checkout Sessions and events are read in both shapes, and what is missing is never
//! guessed. What is paid is in `ledger_shapes.rs`.

use billing::{
    CheckoutSessionId, CustomerId, EventId, InvoiceId, Item, Pause, PauseBehavior, Period, PriceId, Status,
    SubscriptionId, Timestamp,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use server::stripe::ShapeError;
use server::stripe::shape::{self, SessionStatus};

use crate::fixtures::{SHAPES, any_json, fixture, names, object, with, without};

/// 1 May and 1 June 2027, 12:00 UTC.
const PERIOD: Period = Period { start: Timestamp(1_809_172_800), end: Timestamp(1_811_851_200) };
/// 1 July, 12:00 UTC: when the subscription ends.
const END: Timestamp = Timestamp(1_814_443_200);

fn subscription_object() -> Value {
    object("basil_and_later", "customer.subscription.created")
}

/// The fixtures whose object is of this kind.
fn events_of(kind: &str) -> Vec<String> {
    names().into_iter().filter(|name| object("basil_and_later", name)["object"] == kind).collect()
}

#[test]
fn a_subscription_reads_the_same_in_both_shapes() {
    let events = events_of("subscription");
    assert_eq!(events.len(), 8, "{events:?}");
    for name in events {
        let [new, old] = SHAPES.map(|folder| shape::subscription(&object(folder, &name)).unwrap());
        assert_eq!(new.subscription, old.subscription, "{name}");
        assert_eq!((new.account, new.attempt, new.card), (old.account, old.attempt, old.card), "{name}");
        assert_eq!((new.open_invoice_since, new.open_invoice), (old.open_invoice_since, old.open_invoice), "{name}");
        assert!(!new.has_more_items && !old.has_more_items, "{name}");
    }
}

#[test]
fn a_subscription_is_read_with_all_its_items() {
    let read = shape::subscription(&subscription_object()).unwrap();
    let item = |id: &str, price: &str, lookup_key: Option<&str>, quantity| Item {
        id: id.to_owned(),
        price: PriceId::new(price),
        lookup_key: lookup_key.map(str::to_owned),
        quantity,
        period: PERIOD,
    };
    let subscription = read.subscription;
    assert_eq!(subscription.id, SubscriptionId::new("sub_1QxAda"));
    assert_eq!(subscription.customer, CustomerId::new("cus_QxAda"));
    assert_eq!(subscription.status, Status::Active);
    assert_eq!(
        subscription.items,
        [item("si_QxAda1", "price_1QxPro", Some("tollgate_pro_month"), 1), item("si_QxAda2", "price_1QxSeat", None, 3),]
    );
    assert_eq!((subscription.created, subscription.billing_cycle_anchor), (PERIOD.start, PERIOD.start));
    assert_eq!((subscription.cancel_at_period_end, subscription.cancel_at), (false, None));
    assert_eq!((subscription.ended_at, subscription.trial_end, subscription.past_due_since), (None, None, None));
    assert_eq!(subscription.last_known_tier, None, "Stripe does not know our tiers");
    assert_eq!((read.account.as_deref(), read.attempt.as_deref()), (Some("0197ada"), Some("0197adaplan")));
}

#[test]
fn every_status_of_the_story_is_read() {
    for (name, status) in [
        ("created", Status::Active),
        ("deleted", Status::Canceled),
        ("trial_will_end", Status::Trialing),
        ("paused", Status::Paused),
        ("resumed", Status::Active),
    ] {
        for folder in SHAPES {
            let read = shape::subscription(&object(folder, &format!("customer.subscription.{name}"))).unwrap();
            assert_eq!(read.subscription.status, status, "{folder}/{name}");
        }
    }
}

/// 1 to 8 August; resumed on the 9th, 18:00 UTC, with a period and an anchor of its own.
#[test]
fn a_trial_and_what_comes_after_it_are_read() {
    for folder in SHAPES {
        let read = |name: &str| {
            shape::subscription(&object(folder, &format!("customer.subscription.{name}"))).unwrap().subscription
        };
        let (trial_end, resumed_at) = (Timestamp(1_817_726_400), Timestamp(1_817_834_400));
        let trial = read("trial_will_end");
        assert_eq!((trial.trial_end, trial.billing_cycle_anchor), (Some(trial_end), trial_end));
        assert_eq!(trial.period(), Period { start: trial.created, end: trial_end });
        let resumed = read("resumed");
        assert_eq!((resumed.trial_end, resumed.billing_cycle_anchor), (Some(trial_end), resumed_at));
        assert_eq!(resumed.period().start, resumed_at);
    }
}

#[test]
fn an_end_that_was_asked_for_is_read() {
    for folder in SHAPES {
        let updated = shape::subscription(&object(folder, "customer.subscription.updated")).unwrap().subscription;
        assert!(updated.cancel_at_period_end);
        assert_eq!((updated.cancel_at, updated.ended_at), (Some(END), None));
        let deleted = shape::subscription(&object(folder, "customer.subscription.deleted")).unwrap().subscription;
        assert_eq!((deleted.status, deleted.ended_at), (Status::Canceled, Some(END)));
    }
}

#[test]
fn a_pause_of_payments_is_read() {
    assert_eq!(shape::subscription(&subscription_object()).unwrap().subscription.pause, None);
    for (word, behavior) in [
        ("keep_as_draft", PauseBehavior::KeepAsDraft),
        ("mark_uncollectible", PauseBehavior::MarkUncollectible),
        ("void", PauseBehavior::Void),
        ("donate", PauseBehavior::Unknown("donate".to_owned())),
    ] {
        for resumes_at in [None, Some(END)] {
            let pause = json!({ "behavior": word, "resumes_at": resumes_at.map(|at| at.0) });
            let value = with(subscription_object(), "/pause_collection", pause);
            let read = shape::subscription(&value).unwrap().subscription;
            assert_eq!(read.pause, Some(Pause { behavior: behavior.clone(), resumes_at }));
        }
    }
}

/// Items may have periods of their own since basil; the subscription's is none of theirs.
#[test]
fn an_items_own_period_counts_before_the_subscriptions() {
    let value = with(subscription_object(), "/items/data/1/current_period_end", json!(1_800_000_000)).clone();
    let value = with(value, "/current_period_end", json!(1));
    let items = shape::subscription(&value).unwrap().subscription.items;
    assert_eq!(items[0].period, PERIOD);
    assert_eq!(items[1].period, Period { end: Timestamp(1_800_000_000), ..PERIOD });
}

/// As an endpoint of an older version is answered today: what was added since is there, what was
/// taken away too.
#[test]
fn a_period_in_both_places_is_read_once() {
    let mut value = object("before_basil", "customer.subscription.created");
    for index in 0..2 {
        value["items"]["data"][index]["current_period_start"] = json!(PERIOD.start.0);
        value["items"]["data"][index]["current_period_end"] = json!(PERIOD.end.0);
    }
    value["billing_mode"] = json!({ "flexible": null, "type": "classic" });
    let read = shape::subscription(&value).unwrap().subscription;
    assert_eq!(read, shape::subscription(&subscription_object()).unwrap().subscription);
}

#[test]
fn more_items_than_one_page_holds_are_told() {
    let value = with(subscription_object(), "/items/has_more", json!(true));
    assert!(shape::subscription(&value).unwrap().has_more_items);
    // Those of the next pages are read one by one, in the older shape with the subscription's period.
    for folder in SHAPES {
        let whole = object(folder, "customer.subscription.created");
        let read = shape::subscription_item(&whole["items"]["data"][1], &whole).unwrap();
        assert_eq!(read, shape::subscription(&whole).unwrap().subscription.items[1], "{folder}");
    }
}

#[test]
fn the_card_is_told_only_where_it_was_asked_for() {
    assert_eq!(shape::subscription(&subscription_object()).unwrap().card, None);
    let method =
        object("basil_and_later", "payment_intent.payment_failed")["last_payment_error"]["payment_method"].take();
    let read = shape::subscription(&with(subscription_object(), "/default_payment_method", method)).unwrap();
    assert_eq!(read.card.as_deref(), Some("QxAdaFinger"));
    let bank = json!({ "id": "pm_1", "type": "us_bank_account", "us_bank_account": { "fingerprint": "bank" } });
    let read = shape::subscription(&with(subscription_object(), "/default_payment_method", bank)).unwrap();
    assert_eq!(read.card, None, "a bank account is no card");
}

#[test]
fn a_subscription_that_we_did_not_make_is_nobodys_by_name() {
    let read = shape::subscription(&with(subscription_object(), "/metadata", json!({}))).unwrap();
    assert_eq!((read.account, read.attempt), (None, None));
}

#[test]
fn each_field_that_access_depends_on_is_missed_by_name() {
    for (folder, pointer, field) in [
        ("basil_and_later", "/id", "id"),
        ("basil_and_later", "/customer", "customer"),
        ("basil_and_later", "/status", "status"),
        ("basil_and_later", "/created", "created"),
        ("basil_and_later", "/billing_cycle_anchor", "billing_cycle_anchor"),
        ("basil_and_later", "/items", "items.data"),
        ("basil_and_later", "/items/data", "items.data"),
        ("basil_and_later", "/items/data/0/id", "id"),
        ("basil_and_later", "/items/data/0/price", "price"),
        ("basil_and_later", "/items/data/0/price/id", "price"),
        ("basil_and_later", "/items/data/1/current_period_start", "current_period_start"),
        ("basil_and_later", "/items/data/1/current_period_end", "current_period_end"),
        ("before_basil", "/current_period_start", "current_period_start"),
        ("before_basil", "/current_period_end", "current_period_end"),
    ] {
        let value = without(object(folder, "customer.subscription.created"), pointer);
        let error = shape::subscription(&value).expect_err(pointer);
        assert!(error.object.starts_with("subscription"), "{pointer}: {error}");
        assert_eq!(error.field, field, "{pointer}");
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_a_missing_one() {
    for (pointer, odd) in [
        ("/id", json!(7)),
        ("/customer", json!({})),
        ("/customer", json!("")),
        ("/status", json!(null)),
        ("/created", json!("2026-05-01T12:00:00Z")),
        ("/created", json!(1.5)),
        ("/items/data", json!({})),
        ("/items/data", json!([])),
        ("/items/data/0", json!("si_1")),
        ("/items/data/0/price", json!(null)),
        ("/items/data/0/current_period_end", json!("soon")),
        ("/items/data/0/current_period_end", json!(null)),
        ("/billing_cycle_anchor", json!("first of the month")),
        ("/trial_end", json!("soon")),
        ("/cancel_at", json!("2026-06-01")),
        ("/ended_at", json!({})),
        ("/pause_collection", json!("until June")),
        ("/pause_collection", json!({ "behavior": "void", "resumes_at": "soon" })),
    ] {
        let mut value = subscription_object();
        *value.pointer_mut(pointer).expect("it is there") = odd.clone();
        assert!(shape::subscription(&value).is_err(), "{pointer} = {odd} was taken");
    }
}

#[test]
fn a_price_that_is_only_an_id_is_enough() {
    let mut value = subscription_object();
    value["items"]["data"][0]["price"] = json!("price_1QxPro");
    let item = &shape::subscription(&value).unwrap().subscription.items[0];
    assert_eq!((item.price.as_str(), item.lookup_key.as_deref()), ("price_1QxPro", None));
}

/// A metered price has none.
#[test]
fn an_item_without_a_quantity_is_one() {
    let value = without(subscription_object(), "/items/data/1/quantity");
    assert_eq!(shape::subscription(&value).unwrap().subscription.items[1].quantity, 1);
}

#[test]
fn a_status_that_stripe_adds_is_kept_as_it_came() {
    let value = with(subscription_object(), "/status", json!("hibernating"));
    assert_eq!(shape::subscription(&value).unwrap().subscription.status, Status::Unknown("hibernating".to_owned()));
}

#[test]
fn expanded_and_unexpanded_objects_read_the_same() {
    let expanded = with(subscription_object(), "/customer", json!({ "id": "cus_QxAda", "object": "customer" }));
    assert_eq!(
        shape::subscription(&expanded).unwrap().subscription,
        shape::subscription(&subscription_object()).unwrap().subscription
    );

    let plain = object("basil_and_later", "checkout.session.completed");
    let expanded = with(plain.clone(), "/customer", json!({ "id": "cus_QxAda", "object": "customer" }));
    let expanded = with(expanded, "/subscription", subscription_object());
    assert_eq!(shape::checkout_session(&expanded).unwrap(), shape::checkout_session(&plain).unwrap());

    for folder in SHAPES {
        let pointer =
            if folder == "before_basil" { "/subscription" } else { "/parent/subscription_details/subscription" };
        let plain = object(folder, "invoice.payment_failed");
        let expanded = with(plain.clone(), pointer, subscription_object());
        assert_eq!(shape::invoice_subscription(&expanded), shape::invoice_subscription(&plain));
    }
}

#[test]
fn a_delinquency_begins_with_the_open_invoice() {
    let invoice = |kind| object("basil_and_later", kind);
    let with_invoice = |invoice| {
        let read = shape::subscription(&with(subscription_object(), "/latest_invoice", invoice)).unwrap();
        (read.open_invoice, read.open_invoice_since)
    };
    let open = (Some(InvoiceId::new("in_1QxAda4")), Some(PERIOD.end.plus_seconds(3600)));
    assert_eq!(with_invoice(invoice("invoice.payment_failed")), open, "when it was finalized");
    assert_eq!(with_invoice(invoice("invoice.payment_succeeded")), (None, None), "it is paid");
    assert_eq!(with_invoice(invoice("invoice.voided")), (None, None), "it was given up");
    assert_eq!(with_invoice(json!("in_1QxAda4")), (None, None), "it was not expanded");
    assert_eq!(with_invoice(Value::Null), (None, None));
}

#[test]
fn an_invoice_is_for_the_same_subscription_in_both_shapes() {
    for name in events_of("invoice") {
        let [new, old] = SHAPES.map(|folder| shape::invoice_subscription(&object(folder, &name)));
        assert!(new.is_some() && new == old, "{name}: {new:?}, {old:?}");
    }
}

#[test]
fn a_checkout_session_reads_the_same_in_both_shapes() {
    for name in events_of("checkout.session") {
        let [new, old] = SHAPES.map(|folder| shape::checkout_session(&object(folder, &name)).unwrap());
        assert_eq!(new, old, "{name}");
    }
    let new = shape::checkout_session(&object("basil_and_later", "checkout.session.completed")).unwrap();
    assert_eq!(new.id, CheckoutSessionId::new("cs_test_a1QxAda"));
    assert_eq!((new.status, new.paid, new.url), (SessionStatus::Complete, true, None));
    assert_eq!(new.customer, Some(CustomerId::new("cus_QxAda")));
    assert_eq!(new.subscription, Some(SubscriptionId::new("sub_1QxAda")));
    assert_eq!(new.account.as_deref(), Some("0197ada"));
    assert_eq!(new.purchase, None, "a plan is not bought once");
}

#[test]
fn a_session_that_is_not_through_says_where_to_pay() {
    let url = "https://checkout.stripe.com/c/pay/cs_test_a0QxAda#fid";
    let left = object("basil_and_later", "checkout.session.expired");
    let read = shape::checkout_session(&left).unwrap();
    assert_eq!((read.status, read.paid, read.url), (SessionStatus::Expired, false, None));
    let open = with(with(left, "/status", json!("open")), "/url", json!(url));
    let read = shape::checkout_session(&open).unwrap();
    assert_eq!((read.status, read.paid, read.url.as_deref()), (SessionStatus::Open, false, Some(url)));
}

/// Stripe docs, "Fulfill orders": a session is fulfilled when its `payment_status` is not `unpaid`.
#[test]
fn a_session_is_paid_unless_stripe_says_unpaid_or_nothing() {
    let session = object("basil_and_later", "checkout.session.completed");
    let paid = |status| shape::checkout_session(&with(session.clone(), "/payment_status", status)).unwrap().paid;
    assert!(paid(json!("paid")));
    assert!(paid(json!("no_payment_required")), "a trial, or nothing to pay");
    assert!(!paid(json!("unpaid")));
    assert!(!paid(json!(null)) && !shape::checkout_session(&without(session.clone(), "/payment_status")).unwrap().paid);
}

#[test]
fn a_session_is_ours_by_reference_or_by_metadata() {
    let session = object("basil_and_later", "checkout.session.completed");
    let by_metadata = with(session.clone(), "/client_reference_id", Value::Null);
    assert_eq!(shape::checkout_session(&by_metadata).unwrap().account.as_deref(), Some("0197ada"));
    let nobodys = with(by_metadata, "/metadata", json!({}));
    assert_eq!(shape::checkout_session(&nobodys).unwrap().account, None);
}

#[test]
fn a_session_without_id_or_with_a_new_status_is_an_error() {
    let session = object("basil_and_later", "checkout.session.completed");
    let error = |value: &Value| shape::checkout_session(value).expect_err("it is not sound").field;
    assert_eq!(error(&without(session.clone(), "/id")), "id");
    assert_eq!(error(&without(session.clone(), "/status")), "status");
    assert_eq!(error(&with(session, "/status", json!("dreaming"))), "status");
}

#[test]
fn an_event_lacks_nothing() {
    let event = fixture("basil_and_later", "invoice.payment_failed");
    for (pointer, field) in [("/id", "id"), ("/type", "type"), ("/created", "created"), ("/data/object", "data.object")]
    {
        let error = shape::event(&without(event.clone(), pointer)).expect_err(pointer);
        assert_eq!(error, ShapeError { object: "event", field });
    }
    assert_eq!(shape::event(&without(event.clone(), "/data")).expect_err("no data").field, "data.object");
    let read = shape::event(&without(event, "/api_version")).expect("the version is only noted");
    assert_eq!((read.api_version, read.id), (None, EventId::new("evt_1QxAdaN11")));
}

proptest! {
    /// Whatever is in place of an object, no date comes out that did not go in.
    #[test]
    fn no_json_makes_it_panic_or_guess(value in any_json()) {
        let _ = shape::event(&value);
        let _ = shape::checkout_session(&value);
        let _ = shape::invoice_subscription(&value);
        prop_assert!(shape::subscription(&value).is_err());
    }

    #[test]
    fn any_one_field_may_be_anything_and_no_date_is_made_up(at in 0_usize..8, new in any_json()) {
        let pointer = [
            "/created", "/billing_cycle_anchor", "/cancel_at", "/ended_at", "/trial_end",
            "/items/data/0/current_period_start", "/items/data/0/current_period_end", "/items/data/1/current_period_end",
        ][at];
        let value = with(subscription_object(), pointer, new.clone());
        if let Ok(read) = shape::subscription(&value) {
            let subscription = read.subscription;
            let dates = [
                Some(subscription.created), Some(subscription.billing_cycle_anchor), subscription.cancel_at,
                subscription.ended_at, subscription.trial_end, Some(subscription.items[0].period.start),
                Some(subscription.items[0].period.end), Some(subscription.items[1].period.end),
            ];
            prop_assert_eq!(dates[at].map(|date| date.0), new.as_i64(), "{}", pointer);
        }
    }
}

//! Subscriptions, Checkout Sessions and events are read in both API shapes, and a missing value is never
//! guessed. Invoices, payments and purchases are in `payment_objects.rs`.

use billing::{
    CheckoutSessionId, CustomerId, EventId, InvoiceId, Item, Pause, PauseBehavior, PauseReason, Period, PriceId,
    Status, Subscription, SubscriptionId, Timestamp,
};
use engine::stripe::ObjectError;
use engine::stripe::objects::{self, PaidLine, PayerIdentity, SessionStatus, payer_identities};
use proptest::prelude::*;
use serde_json::{Value, json};

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
        let [new, old] = SHAPES.map(|folder| objects::subscription(&object(folder, &name)).unwrap());
        // The older shape has no reason for a pause.
        let read = Subscription { paused: None, ..new.subscription };
        assert_eq!(read, old.subscription, "{name}");
        assert_eq!((new.account, new.attempt, new.payer), (old.account, old.attempt, old.payer), "{name}");
        assert_eq!((new.open_invoice_since, new.open_invoices), (old.open_invoice_since, old.open_invoices), "{name}");
        assert!(!new.has_more_items && !old.has_more_items, "{name}");
    }
}

#[test]
fn a_subscription_is_read_with_all_its_items() {
    let read = objects::subscription(&subscription_object()).unwrap();
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
fn every_status_in_the_fixtures_is_read() {
    for (name, status) in [
        ("created", Status::Active),
        ("deleted", Status::Canceled),
        ("trial_will_end", Status::Trialing),
        ("paused", Status::Paused),
        ("resumed", Status::Active),
    ] {
        for folder in SHAPES {
            let read = objects::subscription(&object(folder, &format!("customer.subscription.{name}"))).unwrap();
            assert_eq!(read.subscription.status, status, "{folder}/{name}");
        }
    }
}

/// 1 to 8 August; resumed on the 9th, 18:00 UTC, with its own period and anchor.
#[test]
fn a_trial_and_the_period_after_it_are_read() {
    for folder in SHAPES {
        let read = |name: &str| {
            objects::subscription(&object(folder, &format!("customer.subscription.{name}"))).unwrap().subscription
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
fn a_requested_cancellation_is_read() {
    for folder in SHAPES {
        let updated = objects::subscription(&object(folder, "customer.subscription.updated")).unwrap().subscription;
        assert!(updated.cancel_at_period_end);
        assert_eq!((updated.cancel_at, updated.ended_at), (Some(END), None));
        let deleted = objects::subscription(&object(folder, "customer.subscription.deleted")).unwrap().subscription;
        assert_eq!((deleted.status, deleted.ended_at), (Status::Canceled, Some(END)));
    }
}

#[test]
fn paused_payment_collection_is_read() {
    assert_eq!(objects::subscription(&subscription_object()).unwrap().subscription.pause, None);
    for (value, behavior) in [
        ("keep_as_draft", PauseBehavior::KeepAsDraft),
        ("mark_uncollectible", PauseBehavior::MarkUncollectible),
        ("void", PauseBehavior::Void),
        ("donate", PauseBehavior::Unknown("donate".to_owned())),
    ] {
        for resumes_at in [None, Some(END)] {
            let pause = json!({ "behavior": value, "resumes_at": resumes_at.map(|at| at.0) });
            let value = with(subscription_object(), "/pause_collection", pause);
            let read = objects::subscription(&value).unwrap().subscription;
            assert_eq!(read.pause, Some(Pause { behavior: behavior.clone(), resumes_at }));
        }
    }
}

#[test]
fn the_reason_of_a_pause_is_read() {
    assert_eq!(objects::subscription(&subscription_object()).unwrap().subscription.paused, None);
    for (value, reason) in [
        ("first_payment_failure", PauseReason::FirstPaymentFailure),
        ("final_payment_failure", PauseReason::FinalPaymentFailure),
        ("pause_requested", PauseReason::PauseRequested),
        ("system", PauseReason::System),
        ("trial_end_without_payment_method", PauseReason::TrialEndWithoutPaymentMethod),
        ("holiday", PauseReason::Unknown("holiday".to_owned())),
    ] {
        let details = json!({ "paused": { "subscription": { "type": value }, "type": "subscription" } });
        let value = with(subscription_object(), "/status_details", details);
        assert_eq!(objects::subscription(&value).unwrap().subscription.paused, Some(reason));
    }
}

#[test]
fn the_lines_that_were_paid_read_the_same_in_both_shapes_without_credits() {
    let line = |amount: i64, price: Value| {
        let mut line = price;
        line["amount"] = json!(amount);
        line["period"] = json!({ "start": 1, "end": 2 });
        line
    };
    let invoice = |first: Value, second: Value| json!({ "lines": { "object": "list", "data": [line(-2_900, first), line(0, second)] } });
    let new = |id: &str| json!({ "pricing": { "price_details": { "price": id } } });
    let old = |id: &str| json!({ "price": { "id": id, "lookup_key": "pro_month" } });
    let paid = |lookup_key: Option<&str>| {
        let lookup_key = lookup_key.map(str::to_owned);
        vec![PaidLine { price: PriceId::new("price_b"), lookup_key, until: Timestamp(2) }]
    };
    assert_eq!(objects::paid_lines(&invoice(new("price_a"), new("price_b"))), paid(None));
    assert_eq!(objects::paid_lines(&invoice(old("price_a"), old("price_b"))), paid(Some("pro_month")));
}

/// Since basil every item has its own period.
#[test]
fn an_items_own_period_takes_precedence_over_the_subscriptions() {
    let value = with(subscription_object(), "/items/data/1/current_period_end", json!(1_800_000_000)).clone();
    let value = with(value, "/current_period_end", json!(1));
    let items = objects::subscription(&value).unwrap().subscription.items;
    assert_eq!(items[0].period, PERIOD);
    assert_eq!(items[1].period, Period { end: Timestamp(1_800_000_000), ..PERIOD });
}

/// Stripe's responses in an older API version today: with fields that were added since and fields that
/// were removed.
#[test]
fn a_period_in_both_places_is_read_once() {
    let mut value = object("before_basil", "customer.subscription.created");
    for index in 0..2 {
        value["items"]["data"][index]["current_period_start"] = json!(PERIOD.start.0);
        value["items"]["data"][index]["current_period_end"] = json!(PERIOD.end.0);
    }
    value["billing_mode"] = json!({ "flexible": null, "type": "classic" });
    let read = objects::subscription(&value).unwrap().subscription;
    assert_eq!(read, objects::subscription(&subscription_object()).unwrap().subscription);
}

#[test]
fn a_subscription_says_whether_it_has_more_items_than_it_lists() {
    let value = with(subscription_object(), "/items/has_more", json!(true));
    assert!(objects::subscription(&value).unwrap().has_more_items);
    // Items of the next pages are read one by one; in the older shape they take the subscription's period.
    for folder in SHAPES {
        let whole = object(folder, "customer.subscription.created");
        let read = objects::subscription_item(&whole["items"]["data"][1], &whole).unwrap();
        assert_eq!(read, objects::subscription(&whole).unwrap().subscription.items[1], "{folder}");
    }
}

#[test]
fn the_payer_is_known_only_when_the_payment_method_is_expanded() {
    assert_eq!(objects::subscription(&subscription_object()).unwrap().payer, []);
    let method =
        object("basil_and_later", "payment_intent.payment_failed")["last_payment_error"]["payment_method"].take();
    let read = objects::subscription(&with(subscription_object(), "/default_payment_method", method)).unwrap();
    assert_eq!(read.payer, [PayerIdentity::Card("QxAdaFinger".to_owned())]);
}

#[test]
fn link_wallets_and_bank_accounts_identify_the_payer_as_well() {
    let card = |wallet: Value| {
        json!({
            "type": "card", "card": { "fingerprint": "device", "wallet": wallet },
            "billing_details": { "email": "Ada+pay@gmail.com" },
        })
    };
    let of_card = PayerIdentity::Card("device".to_owned());
    let ada = PayerIdentity::Email("ada@gmail.com".to_owned());
    assert_eq!(payer_identities(&card(json!({ "type": "apple_pay" }))), [of_card.clone(), ada.clone()]);
    assert_eq!(payer_identities(&card(Value::Null)), [of_card], "anyone can type an address into a card form");
    let link = json!({ "type": "link", "link": { "email": "A.da@gmail.com" } });
    assert_eq!(payer_identities(&link), [ada]);
    let bank = json!({ "type": "us_bank_account", "us_bank_account": { "fingerprint": "bank" } });
    assert_eq!(payer_identities(&bank), [PayerIdentity::Account("us_bank_account:bank".to_owned())]);
    assert_eq!(payer_identities(&json!({ "type": "new_kind" })), []);
}

#[test]
fn a_subscription_without_our_metadata_has_no_account() {
    let read = objects::subscription(&with(subscription_object(), "/metadata", json!({}))).unwrap();
    assert_eq!((read.account, read.attempt), (None, None));
}

#[test]
fn a_subscription_that_has_ended_may_have_lost_its_items() {
    for (status, has_ended) in [("canceled", true), ("incomplete_expired", true), ("active", false), ("unpaid", false)]
    {
        let value = with(with(subscription_object(), "/items/data", json!([])), "/status", json!(status));
        let read = objects::subscription(&value);
        assert_eq!(read.is_ok(), has_ended, "{status}: {read:?}");
    }
}

#[test]
fn a_missing_field_that_access_depends_on_is_named_in_the_error() {
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
        let error = objects::subscription(&value).expect_err(pointer);
        assert!(error.object.starts_with("subscription"), "{pointer}: {error}");
        assert_eq!(error.field, field, "{pointer}");
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn a_field_of_the_wrong_type_counts_as_missing() {
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
        assert!(objects::subscription(&value).is_err(), "{pointer} = {odd} was accepted");
    }
}

#[test]
fn a_price_that_is_not_expanded_is_read_by_its_id() {
    let mut value = subscription_object();
    value["items"]["data"][0]["price"] = json!("price_1QxPro");
    let item = &objects::subscription(&value).unwrap().subscription.items[0];
    assert_eq!((item.price.as_str(), item.lookup_key.as_deref()), ("price_1QxPro", None));
}

/// An item with a metered price has no quantity.
#[test]
fn an_item_without_a_quantity_counts_once() {
    let value = without(subscription_object(), "/items/data/1/quantity");
    assert_eq!(objects::subscription(&value).unwrap().subscription.items[1].quantity, 1);
}

#[test]
fn an_unknown_status_is_kept_verbatim() {
    let value = with(subscription_object(), "/status", json!("hibernating"));
    assert_eq!(objects::subscription(&value).unwrap().subscription.status, Status::Unknown("hibernating".to_owned()));
}

#[test]
fn expanded_and_unexpanded_objects_read_the_same() {
    let expanded = with(subscription_object(), "/customer", json!({ "id": "cus_QxAda", "object": "customer" }));
    assert_eq!(
        objects::subscription(&expanded).unwrap().subscription,
        objects::subscription(&subscription_object()).unwrap().subscription
    );

    let plain = object("basil_and_later", "checkout.session.completed");
    let expanded = with(plain.clone(), "/customer", json!({ "id": "cus_QxAda", "object": "customer" }));
    let expanded = with(expanded, "/subscription", subscription_object());
    assert_eq!(objects::checkout_session(&expanded).unwrap(), objects::checkout_session(&plain).unwrap());

    for folder in SHAPES {
        let pointer =
            if folder == "before_basil" { "/subscription" } else { "/parent/subscription_details/subscription" };
        let plain = object(folder, "invoice.payment_failed");
        let expanded = with(plain.clone(), pointer, subscription_object());
        assert_eq!(objects::invoice_subscription(&expanded), objects::invoice_subscription(&plain));
    }
}

#[test]
fn a_delinquency_begins_with_the_open_invoice() {
    let invoice = |kind| object("basil_and_later", kind);
    let with_invoice = |invoice| {
        let read = objects::subscription(&with(subscription_object(), "/latest_invoice", invoice)).unwrap();
        (read.open_invoices, read.open_invoice_since)
    };
    let open = (vec![InvoiceId::new("in_1QxAda4")], Some(PERIOD.end.plus_seconds(3600)));
    assert_eq!(with_invoice(invoice("invoice.payment_failed")), open, "when it was finalized");
    assert_eq!(with_invoice(invoice("invoice.payment_succeeded")), (vec![], None), "it is paid");
    assert_eq!(with_invoice(invoice("invoice.voided")), (vec![], None), "it was voided");
    assert_eq!(with_invoice(json!("in_1QxAda4")), (vec![], None), "it was not expanded");
    assert_eq!(with_invoice(Value::Null), (vec![], None));
}

#[test]
fn an_invoice_is_for_the_same_subscription_in_both_shapes() {
    for name in events_of("invoice") {
        let [new, old] = SHAPES.map(|folder| objects::invoice_subscription(&object(folder, &name)));
        assert!(new.is_some() && new == old, "{name}: {new:?}, {old:?}");
    }
}

#[test]
fn a_checkout_session_reads_the_same_in_both_shapes() {
    for name in events_of("checkout.session") {
        let [new, old] = SHAPES.map(|folder| objects::checkout_session(&object(folder, &name)).unwrap());
        assert_eq!(new, old, "{name}");
    }
    let new = objects::checkout_session(&object("basil_and_later", "checkout.session.completed")).unwrap();
    assert_eq!(new.id, CheckoutSessionId::new("cs_test_a1QxAda"));
    assert_eq!((new.status, new.is_paid, new.url), (SessionStatus::Complete, true, None));
    assert_eq!(new.customer, Some(CustomerId::new("cus_QxAda")));
    assert_eq!(new.subscription, Some(SubscriptionId::new("sub_1QxAda")));
    assert_eq!(new.account.as_deref(), Some("0197ada"));
    assert_eq!(new.purchase, None, "a subscription is not a purchase");
}

#[test]
fn an_open_session_has_the_address_of_its_payment_page() {
    let url = "https://checkout.stripe.com/c/pay/cs_test_a0QxAda#fid";
    let left = object("basil_and_later", "checkout.session.expired");
    let read = objects::checkout_session(&left).unwrap();
    assert_eq!((read.status, read.is_paid, read.url), (SessionStatus::Expired, false, None));
    let open = with(with(left, "/status", json!("open")), "/url", json!(url));
    let read = objects::checkout_session(&open).unwrap();
    assert_eq!((read.status, read.is_paid, read.url.as_deref()), (SessionStatus::Open, false, Some(url)));
}

/// Stripe docs, "Fulfill orders": a session is fulfilled when its `payment_status` is not `unpaid`.
#[test]
fn a_session_is_paid_unless_its_payment_status_is_unpaid_or_missing() {
    let session = object("basil_and_later", "checkout.session.completed");
    let paid = |status| objects::checkout_session(&with(session.clone(), "/payment_status", status)).unwrap().is_paid;
    assert!(paid(json!("paid")));
    assert!(paid(json!("no_payment_required")), "a trial, or nothing to pay");
    assert!(!paid(json!("unpaid")));
    assert!(
        !paid(json!(null)) && !objects::checkout_session(&without(session.clone(), "/payment_status")).unwrap().is_paid
    );
}

#[test]
fn a_session_has_an_account_only_if_it_belongs_to_our_attempt() {
    let session = object("basil_and_later", "checkout.session.completed");
    let read = objects::checkout_session(&session).unwrap();
    assert_eq!((read.account.as_deref(), read.attempt.is_some()), (Some("0197ada"), true));
    // A Payment Link, to which anyone can add a reference.
    let link = with(session, "/metadata", json!({}));
    assert_eq!(link["client_reference_id"], "0197ada");
    let read = objects::checkout_session(&link).unwrap();
    assert_eq!((read.account, read.attempt), (None, None));
}

#[test]
fn a_session_without_an_id_or_with_an_unknown_status_is_an_error() {
    let session = object("basil_and_later", "checkout.session.completed");
    let error = |value: &Value| objects::checkout_session(value).expect_err("it is malformed").field;
    assert_eq!(error(&without(session.clone(), "/id")), "id");
    assert_eq!(error(&without(session.clone(), "/status")), "status");
    assert_eq!(error(&with(session, "/status", json!("dreaming"))), "status");
}

#[test]
fn a_missing_field_of_an_event_is_named_in_the_error() {
    let event = fixture("basil_and_later", "invoice.payment_failed");
    for (pointer, field) in [("/id", "id"), ("/type", "type"), ("/created", "created"), ("/data/object", "data.object")]
    {
        let error = objects::event(&without(event.clone(), pointer)).expect_err(pointer);
        assert_eq!(error, ObjectError { object: "event", field });
    }
    assert_eq!(objects::event(&without(event.clone(), "/data")).expect_err("no data").field, "data.object");
    let read = objects::event(&without(event, "/api_version")).expect("the version is optional");
    assert_eq!((read.api_version, read.id), (None, EventId::new("evt_1QxAdaN11")));
}

proptest! {
    /// No subscription is read from anything but a subscription.
    #[test]
    fn arbitrary_json_is_never_read_as_a_subscription(value in any_json()) {
        let _ = objects::event(&value);
        let _ = objects::checkout_session(&value);
        let _ = objects::invoice_subscription(&value);
        prop_assert!(objects::subscription(&value).is_err());
    }

    #[test]
    fn a_date_is_read_from_its_own_field_or_not_at_all(at in 0_usize..8, new in any_json()) {
        let pointer = [
            "/created", "/billing_cycle_anchor", "/cancel_at", "/ended_at", "/trial_end",
            "/items/data/0/current_period_start", "/items/data/0/current_period_end", "/items/data/1/current_period_end",
        ][at];
        let value = with(subscription_object(), pointer, new.clone());
        if let Ok(read) = objects::subscription(&value) {
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

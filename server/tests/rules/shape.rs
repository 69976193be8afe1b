//! Stripe's objects are read in both shapes, and what is missing is never guessed.
//!
//! The fixtures are one story in two versions of the API: Ada subscribes to Pro with
//! three seats, cancels at the period's end, and pays (or fails to pay) the renewal.

use std::path::Path;

use billing::{CheckoutSessionId, CustomerId, EventId, Item, Period, PriceId, Status, SubscriptionId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use server::stripe::ShapeError;
use server::stripe::shape::{self, SessionStatus};
use server::webhook::hint::Hint;

const SHAPES: [&str; 2] = ["basil_and_later", "before_basil"];
const SUBSCRIPTION_EVENTS: [&str; 3] =
    ["customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"];
const INVOICE_EVENTS: [&str; 2] = ["invoice.payment_failed", "invoice.payment_succeeded"];

/// 1 May and 1 June 2026, 12:00 UTC.
const PERIOD: Period = Period { start: Timestamp(1_777_636_800), end: Timestamp(1_780_315_200) };

fn fixture(shape: &str, kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(shape).join(format!("{kind}.json"));
    serde_json::from_slice(&std::fs::read(path).expect("the fixture is there")).expect("it is JSON")
}

fn object(shape: &str, kind: &str) -> Value {
    fixture(shape, kind)["data"]["object"].take()
}

fn subscription_object() -> Value {
    object("basil_and_later", "customer.subscription.created")
}

/// `value` with what stands at `pointer` removed.
fn without(mut value: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("the parent is there")
        .remove(name)
        .expect("it was there");
    value
}

/// `value` with `new` at `pointer`.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is there").insert(name.to_owned(), new);
    value
}

#[test]
fn every_fixture_is_an_event_of_its_name() {
    for folder in SHAPES {
        for kind in [&SUBSCRIPTION_EVENTS[..], &INVOICE_EVENTS, &["checkout.session.completed"]].concat() {
            let event = shape::event(&fixture(folder, kind)).unwrap();
            assert_eq!(event.kind, kind);
            assert!(event.id.as_str().starts_with("evt_") && event.created >= PERIOD.start);
            assert!(event.api_version.is_some() && Hint::of(&event).is_some(), "{folder}/{kind}");
        }
    }
}

#[test]
fn a_subscription_reads_the_same_in_both_shapes() {
    for kind in SUBSCRIPTION_EVENTS {
        let [new, old] = SHAPES.map(|folder| shape::subscription(&object(folder, kind)).unwrap());
        assert_eq!(new.subscription, old.subscription, "{kind}");
        assert_eq!((new.account, new.open_invoice_since), (old.account, old.open_invoice_since), "{kind}");
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
    assert_eq!(read.account.as_deref(), Some("0197ada"));
}

#[test]
fn an_end_that_was_asked_for_is_read() {
    for folder in SHAPES {
        let updated = shape::subscription(&object(folder, "customer.subscription.updated")).unwrap().subscription;
        assert!(updated.cancel_at_period_end);
        assert_eq!((updated.cancel_at, updated.ended_at), (Some(PERIOD.end), None));
        let deleted = shape::subscription(&object(folder, "customer.subscription.deleted")).unwrap().subscription;
        assert_eq!((deleted.status, deleted.ended_at), (Status::Canceled, Some(PERIOD.end)));
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
    let with_invoice = |invoice| shape::subscription(&with(subscription_object(), "/latest_invoice", invoice)).unwrap();
    let finalized = Timestamp(1_780_318_800);
    assert_eq!(with_invoice(invoice("invoice.payment_failed")).open_invoice_since, Some(finalized));
    assert_eq!(with_invoice(invoice("invoice.payment_succeeded")).open_invoice_since, None, "it is paid");
    assert_eq!(with_invoice(json!("in_1QxAda2")).open_invoice_since, None, "it was not expanded");
    assert_eq!(with_invoice(Value::Null).open_invoice_since, None);
}

#[test]
fn an_invoice_is_for_the_same_subscription_in_both_shapes() {
    for folder in SHAPES {
        for kind in INVOICE_EVENTS {
            let found = shape::invoice_subscription(&object(folder, kind));
            assert_eq!(found, Some(SubscriptionId::new("sub_1QxAda")), "{folder}/{kind}");
        }
    }
}

#[test]
fn a_checkout_session_reads_the_same_in_both_shapes() {
    let [new, old] =
        SHAPES.map(|folder| shape::checkout_session(&object(folder, "checkout.session.completed")).unwrap());
    assert_eq!(new, old);
    assert_eq!(new.id, CheckoutSessionId::new("cs_test_a1QxAda"));
    assert_eq!((new.status, new.paid, new.url), (SessionStatus::Complete, true, None));
    assert_eq!(new.customer, Some(CustomerId::new("cus_QxAda")));
    assert_eq!(new.subscription, Some(SubscriptionId::new("sub_1QxAda")));
    assert_eq!(new.account.as_deref(), Some("0197ada"));
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
    assert_eq!((read.api_version, read.id), (None, EventId::new("evt_1QxAda05")));
}

/// Any JSON, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn unknown_fields_never_matter(name in "x_[a-z]{1,12}", new in any_json()) {
        for folder in SHAPES {
            let plain = object(folder, "customer.subscription.updated");
            let mut value = plain.clone();
            for pointer in ["", "/items", "/items/data/0", "/items/data/0/price", "/metadata"] {
                value = with(value, &format!("{pointer}/{name}"), new.clone());
            }
            prop_assert_eq!(shape::subscription(&value).unwrap().subscription, shape::subscription(&plain).unwrap().subscription);
        }
    }

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

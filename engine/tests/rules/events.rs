//! The object and the customer of each type of event.

use billing::{CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId, SubscriptionId, Timestamp};
use engine::inbox::events::{Hint, handled, hint};
use engine::inbox::intake::new_event;
use engine::inbox::object::Object;
use engine::store::inbox::{EventState, NewEvent};
use engine::stripe::objects::event;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures::{SHAPES, any_json, fixture, kind_of, names, with};

/// 1 May 2026, 12:00 UTC: when the events arrive.
const RECEIVED: Timestamp = Timestamp(1_777_636_800);

/// Every fixture, with the subject of its event and the object that it is about.
const ABOUT: [(&str, &str, &str); 43] = [
    ("charge.dispute.closed", "pi_3QxAda3", "pi_3QxAda3"),
    ("charge.dispute.created", "pi_3QxAda3", "pi_3QxAda3"),
    ("charge.dispute.funds_reinstated", "pi_3QxAda3", "pi_3QxAda3"),
    ("charge.dispute.funds_withdrawn", "pi_3QxAda3", "pi_3QxAda3"),
    ("charge.dispute.updated", "pi_3QxAda3", "pi_3QxAda3"),
    ("charge.refund.updated", "pi_3QxAda5", "pi_3QxAda5"),
    ("charge.refunded", "pi_3QxAda3", "pi_3QxAda3"),
    ("checkout.session.async_payment_failed", "cs_test_a4QxAda", "cs_test_a4QxAda"),
    ("checkout.session.async_payment_succeeded", "cs_test_a3QxAda", "cs_test_a3QxAda"),
    ("checkout.session.completed", "cs_test_a1QxAda", "cs_test_a1QxAda"),
    ("checkout.session.completed-by_bank_debit", "cs_test_a3QxAda", "cs_test_a3QxAda"),
    ("checkout.session.completed-by_card", "cs_test_a2QxAda", "cs_test_a2QxAda"),
    ("checkout.session.expired", "cs_test_a0QxAda", "cs_test_a0QxAda"),
    ("credit_note.created", "in_1QxAda2", "in_1QxAda2"),
    ("credit_note.updated", "in_1QxAda2", "in_1QxAda2"),
    ("credit_note.voided", "in_1QxAda2", "in_1QxAda2"),
    ("customer.deleted", "cus_QxAda", "cus_QxAda"),
    ("customer.subscription.created", "sub_1QxAda", "sub_1QxAda"),
    ("customer.subscription.deleted", "sub_1QxAda", "sub_1QxAda"),
    ("customer.subscription.paused", "sub_1QxAdaAgain", "sub_1QxAdaAgain"),
    ("customer.subscription.pending_update_applied", "sub_1QxAda", "sub_1QxAda"),
    ("customer.subscription.pending_update_expired", "sub_1QxAda", "sub_1QxAda"),
    ("customer.subscription.resumed", "sub_1QxAdaAgain", "sub_1QxAdaAgain"),
    ("customer.subscription.trial_will_end", "sub_1QxAdaAgain", "sub_1QxAdaAgain"),
    ("customer.subscription.updated", "sub_1QxAda", "sub_1QxAda"),
    ("customer.updated", "cus_QxAda", "cus_QxAda"),
    ("invoice.finalized", "sub_1QxAda", "in_1QxAda4"),
    ("invoice.marked_uncollectible", "sub_1QxAdaAgain", "in_1QxAda7"),
    ("invoice.paid", "sub_1QxAda", "in_1QxAda1"),
    ("invoice.payment_action_required", "sub_1QxAda", "in_1QxAda4"),
    ("invoice.payment_failed", "sub_1QxAda", "in_1QxAda4"),
    ("invoice.payment_succeeded", "sub_1QxAda", "in_1QxAda4"),
    ("invoice.updated", "sub_1QxAda", "in_1QxAda2"),
    ("invoice.voided", "sub_1QxAda", "in_1QxAda2"),
    ("invoice_payment.paid", "in_1QxAda4", "in_1QxAda4"),
    ("payment_intent.canceled", "pi_3QxAda2", "pi_3QxAda2"),
    ("payment_intent.payment_failed", "pi_3QxAda4", "pi_3QxAda4"),
    ("payment_intent.processing", "pi_3QxAda5", "pi_3QxAda5"),
    ("payment_intent.requires_action", "pi_3QxAda4", "pi_3QxAda4"),
    ("payment_intent.succeeded", "pi_3QxAda4", "pi_3QxAda4"),
    ("refund.created", "pi_3QxAda3", "pi_3QxAda3"),
    ("refund.failed", "pi_3QxAda5", "pi_3QxAda5"),
    ("refund.updated", "pi_3QxAda3", "pi_3QxAda3"),
];

fn envelope(kind: &str, object: &Value) -> Value {
    json!({ "id": "evt_1", "type": kind, "created": 1_777_636_800, "data": { "object": object } })
}

fn hint_of(kind: &str, object: &Value) -> Option<Hint> {
    hint(&event(&envelope(kind, object)).expect("it is an event"))
}

/// A hint to the object with this id, which is its own subject.
fn to_itself(id: &str) -> Option<Hint> {
    Some(Hint { subject: id.to_owned(), object: Object::of_id(id).expect("the engine follows it") })
}

/// An event as stored in the inbox.
fn stored(value: &Value) -> NewEvent {
    new_event(event(value).expect("it is an event"), value.to_string(), RECEIVED)
}

#[test]
fn every_event_is_about_its_object_in_both_shapes() {
    assert_eq!(names(), ABOUT.map(|(name, ..)| name));
    for (name, subject, object) in ABOUT {
        for shape in SHAPES {
            let found = hint(&event(&fixture(shape, name)).unwrap());
            let about =
                Hint { subject: subject.to_owned(), object: Object::of_id(object).expect("the engine follows it") };
            assert_eq!(found, Some(about), "{shape}/{name}");
        }
    }
}

#[test]
fn every_type_of_event_is_listed_once_and_in_order() {
    let handled = handled();
    let mut sorted = handled.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(handled, sorted);
    assert!(handled.iter().all(|kind| !kind.contains('*')), "Stripe is not asked for every event");
}

#[test]
fn an_invoice_belongs_to_its_subscription_in_either_shape() {
    for object in [
        json!({ "id": "in_1", "parent": { "subscription_details": { "subscription": "sub_1" } } }),
        json!({ "id": "in_1", "parent": { "subscription_details": { "subscription": { "id": "sub_1" } } } }),
        json!({ "id": "in_1", "subscription": "sub_1" }),
        json!({ "id": "in_1", "subscription": { "id": "sub_1", "object": "subscription" } }),
    ] {
        let about = Hint { subject: "sub_1".to_owned(), object: Object::Invoice(InvoiceId::new("in_1")) };
        assert_eq!(hint_of("invoice.paid", &object), Some(about), "{object}");
    }
}

/// `stripe trigger invoice.payment_failed` sends one.
#[test]
fn an_invoice_without_a_subscription_is_its_own_subject() {
    for object in [
        json!({ "id": "in_1" }),
        json!({ "id": "in_1", "subscription": null }),
        json!({ "id": "in_1", "subscription": "" }),
        json!({ "id": "in_1", "parent": null }),
        json!({ "id": "in_1", "parent": { "type": "quote_details", "quote_details": { "quote": "qt_1" } } }),
        json!({ "id": "in_1", "parent": { "subscription_details": null } }),
    ] {
        assert_eq!(hint_of("invoice.payment_failed", &object), to_itself("in_1"), "{object}");
    }
}

#[test]
fn an_event_of_a_credit_note_or_invoice_payment_is_about_its_invoice() {
    let kinds = ["credit_note.created", "credit_note.updated", "credit_note.voided", "invoice_payment.paid"];
    for kind in kinds {
        assert!(handled().contains(&kind), "{kind}");
        for invoice in [json!("in_1"), json!({ "id": "in_1", "object": "invoice" })] {
            assert_eq!(hint_of(kind, &json!({ "id": "x_1", "invoice": invoice })), to_itself("in_1"), "{kind}");
        }
        assert_eq!(hint_of(kind, &json!({ "id": "x_1", "invoice": null })), None, "{kind}");
    }
    let edited = json!({ "id": "in_1", "subscription": "sub_1" });
    let about = Hint { subject: "sub_1".to_owned(), object: Object::Invoice(InvoiceId::new("in_1")) };
    assert_eq!(hint_of("invoice.updated", &edited), Some(about));
}

#[test]
fn an_event_of_a_charge_or_refund_is_about_its_payment() {
    for kind in handled().into_iter().filter(|kind| kind.starts_with("charge.") || kind.starts_with("refund.")) {
        for payment in [json!("pi_1"), json!({ "id": "pi_1", "object": "payment_intent" })] {
            assert_eq!(hint_of(kind, &json!({ "id": "x_1", "payment_intent": payment })), to_itself("pi_1"), "{kind}");
        }
        for none in [json!({ "id": "ch_1" }), json!({ "id": "ch_1", "payment_intent": null })] {
            assert_eq!(hint_of(kind, &none), None, "{kind}: a charge without a PaymentIntent is not followed");
        }
    }
}

#[test]
fn an_unhandled_type_has_no_subject() {
    for kind in [
        "customer.created",
        "price.updated",
        "charge.succeeded",
        "invoice.created",
        "invoice.upcoming",
        "payment_intent.created",
        "payment_method.attached",
        "customer.subscription.hibernated",
        "checkout.session.reopened",
        "customer.subscription",
        "v2.core.event_destination.ping",
        "",
    ] {
        for object in
            [json!({ "id": "sub_1", "subscription": "sub_1" }), json!({ "id": "pi_1", "payment_intent": "pi_1" })]
        {
            assert_eq!(hint_of(kind, &object), None, "{kind}");
        }
    }
}

#[test]
fn an_event_without_a_known_id_has_no_subject() {
    for kind in handled() {
        for object in [
            json!({ "object": "subscription" }),
            json!({ "id": "" }),
            json!({ "id": null }),
            json!({ "id": 7 }),
            json!({ "id": "qt_1Quote" }),
            json!({ "id": "nothing" }),
            json!({ "id": "_" }),
        ] {
            assert_eq!(hint_of(kind, &object), None, "{kind}: {object}");
        }
    }
}

#[test]
fn the_prefix_of_an_id_identifies_the_kind_of_object() {
    for (id, object) in [
        ("sub_1Abc", Object::Subscription(SubscriptionId::new("sub_1Abc"))),
        ("cs_test_a1b2", Object::CheckoutSession(CheckoutSessionId::new("cs_test_a1b2"))),
        ("cs_live_a1b2", Object::CheckoutSession(CheckoutSessionId::new("cs_live_a1b2"))),
        ("in_1Abc", Object::Invoice(InvoiceId::new("in_1Abc"))),
        ("pi_3Abc", Object::Payment(PaymentIntentId::new("pi_3Abc"))),
        ("cus_Abc", Object::Customer(CustomerId::new("cus_Abc"))),
    ] {
        assert_eq!(Object::of_id(id), Some(object.clone()), "{id}");
        assert_eq!(object.id(), id);
    }
    for odd in ["", "in", "sub", "evt_1", "ch_1", "subscription_1", "SUB_1", " sub_1", "il_1", "ii_1"] {
        assert_eq!(Object::of_id(odd), None, "{odd}");
    }
}

#[test]
fn an_event_is_stored_with_its_subject_and_its_customer() {
    for (name, subject, _) in ABOUT {
        for shape in SHAPES {
            let value = fixture(shape, name);
            let new = stored(&value);
            assert_eq!((new.kind.as_str(), new.state), (kind_of(name), EventState::Pending), "{shape}/{name}");
            assert_eq!(new.subject.as_deref(), Some(subject), "{shape}/{name}");
            // Disputes and invoice payments do not contain the customer, and refunds only in the newer shape.
            let names_customer = match value["data"]["object"]["object"].as_str().unwrap() {
                "dispute" | "invoice_payment" => false,
                "refund" => shape == "basil_and_later",
                _ => true,
            };
            assert_eq!(new.customer.as_deref(), names_customer.then_some("cus_QxAda"), "{shape}/{name}");
            assert_eq!(new.payload, value.to_string(), "the signed bytes");
            assert_eq!(Some(new.created.0), value["created"].as_i64());
            assert_eq!(new.api_version.as_deref(), value["api_version"].as_str());
        }
    }
}

#[test]
fn an_expanded_customer_is_read_by_its_id() {
    let value = fixture("basil_and_later", "invoice.paid");
    let value =
        with(value, "/data/object/customer", json!({ "id": "cus_QxAda", "object": "customer", "deleted": true }));
    assert_eq!(stored(&value).customer.as_deref(), Some("cus_QxAda"));
}

#[test]
fn an_event_without_a_subject_is_stored_as_ignored() {
    let new = stored(&envelope("price.updated", &json!({ "id": "price_1", "object": "price" })));
    assert_eq!((new.state, new.subject, new.customer), (EventState::Ignored, None, None));
}

proptest! {
    #[test]
    fn no_event_type_panics(kind in ".{0,60}") {
        let _ = event(&envelope(&kind, &json!({ "id": "sub_1" }))).map(|event| hint(&event));
    }

    #[test]
    fn no_object_panics(kind in prop::sample::select(handled()), fields in prop::collection::btree_map("[a-z_]{1,8}|id|parent|payment_intent|customer|object", any_json(), 0..5)) {
        let object = Value::Object(fields.into_iter().collect());
        let _ = hint_of(kind, &object);
        let _ = stored(&envelope(kind, &object));
    }
}

//! What each family of events makes us ask Stripe about.

use billing::{CheckoutSessionId, SubscriptionId};
use proptest::prelude::*;
use serde_json::{Value, json};
use server::stripe::shape::event;
use server::webhook::hint::Hint;

fn hint(kind: &str, object: &Value) -> Option<Hint> {
    let value = json!({ "id": "evt_1", "type": kind, "created": 1_777_636_800, "data": { "object": object } });
    Hint::of(&event(&value).expect("it is an event"))
}

fn subscription(id: &str) -> Option<Hint> {
    Some(Hint::Subscription(SubscriptionId::new(id)))
}

fn session(id: &str) -> Option<Hint> {
    Some(Hint::CheckoutSession(CheckoutSessionId::new(id)))
}

#[test]
fn an_event_of_a_subscription_is_about_it() {
    for kind in
        ["created", "updated", "deleted", "paused", "resumed", "trial_will_end", "pending_update_applied", "new"]
    {
        let object = json!({ "id": "sub_1", "object": "subscription", "customer": "cus_1" });
        assert_eq!(hint(&format!("customer.subscription.{kind}"), &object), subscription("sub_1"), "{kind}");
    }
}

#[test]
fn an_event_of_a_checkout_session_is_about_it() {
    for kind in ["completed", "async_payment_succeeded", "async_payment_failed", "expired", "new"] {
        let object = json!({ "id": "cs_1", "object": "checkout.session", "subscription": "sub_1" });
        assert_eq!(hint(&format!("checkout.session.{kind}"), &object), session("cs_1"), "{kind}");
    }
}

#[test]
fn an_event_of_an_invoice_is_about_its_subscription_in_either_shape() {
    let new = json!({ "id": "in_1", "parent": { "subscription_details": { "subscription": "sub_1" } } });
    let old = json!({ "id": "in_1", "subscription": "sub_1" });
    let upcoming = json!({ "object": "invoice", "subscription": { "id": "sub_1", "object": "subscription" } });
    for kind in
        ["paid", "payment_failed", "payment_succeeded", "payment_action_required", "finalized", "upcoming", "new"]
    {
        for object in [&new, &old, &upcoming] {
            assert_eq!(hint(&format!("invoice.{kind}"), object), subscription("sub_1"), "{kind}: {object}");
        }
    }
}

/// `stripe trigger invoice.payment_failed` sends such a one.
#[test]
fn an_invoice_of_no_subscription_changes_nothing() {
    for object in [
        json!({ "id": "in_1" }),
        json!({ "id": "in_1", "subscription": null }),
        json!({ "id": "in_1", "subscription": "" }),
        json!({ "id": "in_1", "parent": null }),
        json!({ "id": "in_1", "parent": { "type": "quote_details", "quote_details": { "quote": "qt_1" } } }),
        json!({ "id": "in_1", "parent": { "subscription_details": null } }),
    ] {
        assert_eq!(hint("invoice.payment_failed", &object), None, "{object}");
    }
}

#[test]
fn what_we_do_not_handle_changes_nothing() {
    for kind in ["customer.created", "customer.updated", "price.updated", "payment_intent.succeeded", "v2.core.new", ""]
    {
        assert_eq!(hint(kind, &json!({ "id": "obj_1", "subscription": "sub_1" })), None, "{kind}");
    }
}

#[test]
fn an_object_without_an_id_gives_no_hint() {
    assert_eq!(hint("customer.subscription.updated", &json!({ "object": "subscription" })), None);
    assert_eq!(hint("checkout.session.completed", &json!({ "id": "" })), None);
}

#[test]
fn what_the_inbox_keeps_is_understood_again() {
    for hint in [subscription("sub_1Abc"), session("cs_test_a1b2")].into_iter().flatten() {
        assert_eq!(Hint::parse(hint.subject()), Some(hint));
    }
    for odd in ["", "in_1", "evt_1", "subscription"] {
        assert_eq!(Hint::parse(odd), None, "{odd}");
    }
}

proptest! {
    #[test]
    fn no_event_type_makes_it_panic(kind in ".{0,60}") {
        let _ = hint(&kind, &json!({ "id": "sub_1" }));
    }
}

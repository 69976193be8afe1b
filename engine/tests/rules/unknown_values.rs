//! Stripe may add fields and values: readers ignore unknown ones, and report a missing one.

use engine::stripe::{ObjectError, objects};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures::{SHAPES, any_fixture, any_json, leaves, names, object, with_everywhere, without};

/// Reads an object of this kind and formats the result. Charges and refunds are read as parts of their
/// payment.
fn read(kind: &str, value: &Value) -> Result<String, ObjectError> {
    match kind {
        "charge" => payment_with(value),
        "checkout.session" => objects::checkout_session(value).map(|read| format!("{read:?}")),
        // Only their invoice is read.
        "credit_note" | "invoice_payment" => Ok(format!("{:?}", objects::id_of(value, "/invoice"))),
        "customer" => objects::customer(value).map(|read| format!("{read:?}")),
        "dispute" => objects::dispute(value).map(|read| format!("{read:?}")),
        "invoice" => objects::invoice(value).map(|read| format!("{read:?}")),
        "payment_intent" => objects::payment(value).map(|read| format!("{read:?}")),
        "refund" => payment_with(&json!({ "id": "ch_1", "amount_refunded": 1, "refunds": { "data": [value] } })),
        "subscription" => objects::subscription(value).map(|read| format!("{read:?}")),
        other => panic!("there is no reader for a {other}"),
    }
}

fn payment_with(charge: &Value) -> Result<String, ObjectError> {
    let payment = json!({
        "id": "pi_1", "status": "succeeded", "amount": 1, "currency": "usd", "created": 1, "latest_charge": charge,
    });
    objects::payment(&payment).map(|read| format!("{read:?}"))
}

/// All objects of the fixtures, each with its source and its kind.
fn all() -> Vec<(String, String, Value)> {
    let of = |name: String| {
        SHAPES.map(|folder| {
            let value = object(folder, &name);
            (format!("{folder}/{name}"), value["object"].as_str().unwrap().to_owned(), value)
        })
    };
    names().into_iter().flat_map(of).collect()
}

#[test]
fn every_object_of_the_fixtures_is_read() {
    for (from, kind, value) in all() {
        assert!(read(&kind, &value).is_ok(), "{from}");
    }
}

/// A new value of an enum is a string where another string was. Only a Checkout Session's status and the
/// currency of an amount must be known.
#[test]
fn an_unknown_string_breaks_nothing() {
    for (from, kind, value) in all() {
        for pointer in leaves(&value) {
            let mut changed = value.clone();
            let leaf = changed.pointer_mut(&pointer).expect("it is there");
            if !leaf.is_string() {
                continue;
            }
            *leaf = json!("a_future_value");
            match (kind.as_str(), pointer.as_str(), read(&kind, &changed)) {
                (_, _, Ok(_)) => {}
                ("checkout.session", "/status", Err(error)) => assert_eq!(error.field, "status", "{from}"),
                (_, "/currency", Err(_)) => {}
                (_, _, Err(error)) => panic!("{from}, {pointer}: {error}"),
            }
        }
    }
}

#[test]
fn a_missing_field_is_named_in_the_error() {
    for (from, kind, value) in all() {
        for pointer in leaves(&value) {
            if pointer.ends_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            let Err(error) = read(&kind, &without(value.clone(), &pointer)) else { continue };
            let name = pointer.rsplit('/').next().unwrap();
            // An amount needs its currency.
            let is_named = error.field == name
                || (name == "currency" && ["total", "amount", "amount_total"].contains(&error.field))
                || (pointer.ends_with("/price/id") && error.field == "price");
            assert!(is_named, "{from}, {pointer}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn unknown_fields_are_ignored(fixture in any_fixture(), name in "x_[a-z]{1,12}", new in any_json()) {
        for folder in SHAPES {
            let plain = object(folder, &fixture);
            let kind = plain["object"].as_str().unwrap().to_owned();
            prop_assert_eq!(read(&kind, &with_everywhere(&plain, &name, &new)), read(&kind, &plain), "{}/{}", folder, fixture);
        }
    }

    #[test]
    fn any_value_in_any_field_never_panics(
        fixture in any_fixture(), at in any::<prop::sample::Index>(), shape in 0_usize..2, new in any_json(),
    ) {
        let mut value = object(SHAPES[shape], &fixture);
        let kind = value["object"].as_str().unwrap().to_owned();
        let leaves = leaves(&value);
        let pointer: &String = at.get(&leaves);
        *value.pointer_mut(pointer).unwrap() = new;
        let _ = read(&kind, &value);
    }

    #[test]
    fn arbitrary_json_is_never_read_as_an_object(value in any_json()) {
        for kind in ["checkout.session", "dispute", "invoice", "payment_intent", "subscription"] {
            let read = read(kind, &value);
            prop_assert!(read.is_err(), "{}: {:?}", kind, read);
        }
        // These need an id at most.
        for kind in ["charge", "customer", "refund"] {
            let _ = read(kind, &value);
        }
    }
}

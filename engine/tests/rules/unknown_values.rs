//! Whatever Stripe adds to an object, or leaves out of it, every reader reads on or says what it lacks.

use proptest::prelude::*;
use serde_json::{Value, json};
use server::stripe::ShapeError;
use server::stripe::shape;

use crate::fixtures::{SHAPES, any_fixture, any_json, leaves, names, object, sprinkled, without};

/// What the reader of this kind of object makes of it, as text. Charges and refunds are read as
/// parts of their payment.
fn read(kind: &str, value: &Value) -> Result<String, ShapeError> {
    match kind {
        "charge" => payment_with(value),
        "checkout.session" => shape::checkout_session(value).map(|read| format!("{read:?}")),
        "customer" => shape::customer(value).map(|read| format!("{read:?}")),
        "dispute" => shape::dispute(value).map(|read| format!("{read:?}")),
        "invoice" => shape::invoice(value).map(|read| format!("{read:?}")),
        "payment_intent" => shape::payment(value).map(|read| format!("{read:?}")),
        "refund" => payment_with(&json!({ "id": "ch_1", "amount_refunded": 1, "refunds": { "data": [value] } })),
        "subscription" => shape::subscription(value).map(|read| format!("{read:?}")),
        other => panic!("there is no reader of a {other}"),
    }
}

fn payment_with(charge: &Value) -> Result<String, ShapeError> {
    let payment = json!({
        "id": "pi_1", "status": "succeeded", "amount": 1, "currency": "usd", "created": 1, "latest_charge": charge,
    });
    shape::payment(&payment).map(|read| format!("{read:?}"))
}

/// All objects of the story: where each is from, its kind, and itself.
fn objects() -> Vec<(String, String, Value)> {
    let of = |name: String| {
        SHAPES.map(|folder| {
            let value = object(folder, &name);
            (format!("{folder}/{name}"), value["object"].as_str().unwrap().to_owned(), value)
        })
    };
    names().into_iter().flat_map(of).collect()
}

#[test]
fn every_object_of_the_story_is_read() {
    for (from, kind, value) in objects() {
        assert!(read(&kind, &value).is_ok(), "{from}");
    }
}

/// A new value of an enum is a text where another text was before. Only what a Checkout Session's
/// status means, and what currency an amount is in, must be known to go on.
#[test]
fn a_word_that_stripe_adds_breaks_nothing() {
    for (from, kind, value) in objects() {
        for pointer in leaves(&value) {
            let mut changed = value.clone();
            let leaf = changed.pointer_mut(&pointer).expect("it is there");
            if !leaf.is_string() {
                continue;
            }
            *leaf = json!("a_word_of_tomorrow");
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
fn whatever_is_missing_is_missed_by_its_own_name() {
    for (from, kind, value) in objects() {
        for pointer in leaves(&value) {
            if pointer.ends_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            let Err(error) = read(&kind, &without(value.clone(), &pointer)) else { continue };
            let name = pointer.rsplit('/').next().unwrap();
            // An amount without its currency is none.
            let is_named = error.field == name
                || (name == "currency" && ["total", "amount", "amount_total"].contains(&error.field))
                || (pointer.ends_with("/price/id") && error.field == "price");
            assert!(is_named, "{from}, {pointer}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn unknown_fields_never_matter(fixture in any_fixture(), name in "x_[a-z]{1,12}", new in any_json()) {
        for folder in SHAPES {
            let plain = object(folder, &fixture);
            let kind = plain["object"].as_str().unwrap().to_owned();
            prop_assert_eq!(read(&kind, &sprinkled(&plain, &name, &new)), read(&kind, &plain), "{}/{}", folder, fixture);
        }
    }

    #[test]
    fn any_one_field_may_be_anything_and_nothing_panics(
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
    fn no_json_makes_a_reader_panic_or_guess(value in any_json()) {
        for kind in ["checkout.session", "dispute", "invoice", "payment_intent", "subscription"] {
            let read = read(kind, &value);
            prop_assert!(read.is_err(), "{}: {:?}", kind, read);
        }
        // An id is all that these need, if that.
        for kind in ["charge", "customer", "refund"] {
            let _ = read(kind, &value);
        }
    }
}

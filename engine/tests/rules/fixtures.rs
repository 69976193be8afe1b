//! Events as Stripe sends them: one file for each type that is handled, in both API shapes.
//!
//! They tell one story. Ada opens Checkout for Enterprise and leaves; subscribes to Pro with three seats;
//! starts to buy two more, is credited a part for a while, and does not confirm it; buys one more. Her renewal fails, is retried, needs 3-D
//! Secure and is paid. She buys a credit pack by card, one by bank debit, and one whose debit fails. A
//! third of the first is refunded; the refund of the second fails; her bank disputes the rest and loses.
//! She cancels, gets a week's trial without a card, stays a month and does not pay for it; changes her
//! address, and is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use billing::Timestamp;
use engine::inbox::events::{handled, hint};
use engine::stripe::objects;
use proptest::prelude::*;
use serde_json::Value;

/// The folders of the fixtures: the API since `2025-03-31.basil`, which the library uses, and before.
pub const SHAPES: [&str; 2] = ["basil_and_later", "before_basil"];

/// 29 April 2027, 12:00 UTC: when the story starts.
const START: Timestamp = Timestamp(1_809_000_000);

fn folder(shape: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(shape)
}

/// The names of all fixtures: an event's type and, if a type has several, a suffix.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder(SHAPES[0]))
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .map(|path| path.file_stem().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The type of the event in a fixture.
pub fn kind_of(name: &str) -> &str {
    name.split_once('-').map_or(name, |(kind, _)| kind)
}

/// An event.
pub fn fixture(shape: &str, name: &str) -> Value {
    let path = folder(shape).join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .expect("it is JSON")
}

/// The object of an event.
pub fn object(shape: &str, name: &str) -> Value {
    fixture(shape, name)["data"]["object"].take()
}

/// `value` without the field at `pointer`.
pub fn without(mut value: Value, pointer: &str) -> Value {
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
pub fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is there").insert(name.to_owned(), new);
    value
}

/// `value` with a field `name` added to every object in it.
pub fn with_everywhere(value: &Value, name: &str, new: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let known = fields.iter().map(|(key, value)| (key.clone(), with_everywhere(value, name, new)));
            known.chain([(name.to_owned(), new.clone())]).collect()
        }
        Value::Array(elements) => elements.iter().map(|element| with_everywhere(element, name, new)).collect(),
        leaf => leaf.clone(),
    }
}

/// Pointers to all fields that are not objects or lists themselves.
pub fn leaves(value: &Value) -> Vec<String> {
    let below = |name: &str, value: &Value| -> Vec<String> {
        leaves(value).into_iter().map(|leaf| format!("/{name}{leaf}")).collect()
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| below(name, value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(index, value)| below(&index.to_string(), value)).collect()
        }
        _ => vec![String::new()],
    }
}

/// Any JSON, small.
pub fn any_json() -> impl Strategy<Value = Value> {
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

/// The name of any fixture.
pub fn any_fixture() -> impl Strategy<Value = String> {
    prop::sample::select(names())
}

#[test]
fn every_type_that_is_handled_has_a_fixture_in_both_shapes() {
    let names = names();
    let kinds: BTreeSet<&str> = names.iter().map(|name| kind_of(name)).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), handled());
    let of = |shape: &str| std::fs::read_dir(folder(shape)).expect("the folder is there").count();
    assert_eq!(SHAPES.map(of), [names.len(); 2]);
    for name in names {
        fixture("before_basil", &name);
    }
}

#[test]
fn every_fixture_has_the_type_of_its_name_and_the_version_of_its_folder() {
    let mut ids = BTreeSet::new();
    for name in names() {
        for (shape, version) in SHAPES.into_iter().zip(["2026-09-30.endive", "2025-02-24.acacia"]) {
            let event = objects::event(&fixture(shape, &name)).unwrap();
            assert_eq!(event.kind, kind_of(&name), "{shape}/{name}");
            assert_eq!(event.api_version.as_deref(), Some(version), "{shape}/{name}");
            assert!(event.id.as_str().starts_with("evt_") && event.created >= START, "{shape}/{name}");
            assert!(hint(&event).is_some(), "{shape}/{name} changes nothing");
            assert!(ids.insert(event.id.to_string()), "{shape}/{name} has the id of another fixture");
        }
    }
}

#[test]
fn both_shapes_describe_the_same_object_at_the_same_time() {
    for name in names() {
        let [new, old] = SHAPES.map(|shape| fixture(shape, &name));
        for pointer in ["/created", "/data/object/id", "/data/object/object", "/data/object/status"] {
            assert_eq!(new.pointer(pointer), old.pointer(pointer), "{name}: {pointer}");
        }
    }
}

/// The fields that moved, by Stripe's changelog for basil.
#[test]
fn each_shape_has_its_fields_where_its_version_has_them() {
    let moved: BTreeMap<&str, (&[&str], &[&str])> = BTreeMap::from([
        (
            "subscription",
            (
                &["/current_period_start", "/current_period_end"][..],
                &["/items/data/0/current_period_start", "/items/data/0/current_period_end"][..],
            ),
        ),
        (
            "invoice",
            (&["/subscription", "/payment_intent", "/charge", "/paid"], &["/parent/subscription_details/subscription"]),
        ),
        ("charge", (&["/invoice"], &[])),
        ("payment_intent", (&["/invoice"], &[])),
        ("checkout.session", (&["/shipping_details"], &["/collected_information"])),
    ]);
    for name in names() {
        let [new, old] = SHAPES.map(|shape| object(shape, &name));
        let Some((before, since)) = moved.get(new["object"].as_str().unwrap()) else { continue };
        for pointer in *before {
            assert!(old.pointer(pointer).is_some() && new.pointer(pointer).is_none(), "{name}: {pointer}");
        }
        for pointer in *since {
            assert!(new.pointer(pointer).is_some(), "{name}: {pointer}");
            assert!(*pointer == "/collected_information" || old.pointer(pointer).is_none(), "{name}: {pointer}");
        }
        assert!(new.get("refunds").is_none() && new.get("charges").is_none(), "{name}: removed in 2022-11-15");
    }
}

/// The library reads strictly: a missing field that its version requires is an error.
#[test]
fn the_library_reads_every_fixture_of_its_version() {
    fn reads<T: miniserde::Deserialize>(json: &str) -> bool {
        miniserde::json::from_str::<T>(json).is_ok()
    }
    for name in names() {
        let object = object("basil_and_later", &name);
        let json = object.to_string();
        let is_read = match object["object"].as_str().unwrap() {
            "charge" => reads::<stripe_shared::Charge>(&json),
            "checkout.session" => reads::<stripe_shared::CheckoutSession>(&json),
            "credit_note" => reads::<stripe_shared::CreditNote>(&json),
            "customer" => reads::<stripe_shared::Customer>(&json),
            "dispute" => reads::<stripe_shared::Dispute>(&json),
            "invoice" => reads::<stripe_shared::Invoice>(&json),
            "invoice_payment" => reads::<stripe_shared::InvoicePayment>(&json),
            "payment_intent" => reads::<stripe_shared::PaymentIntent>(&json),
            "refund" => reads::<stripe_shared::Refund>(&json),
            "subscription" => reads::<stripe_shared::Subscription>(&json),
            other => panic!("{name} holds a {other}"),
        };
        assert!(is_read, "{name}");
    }
}

//! Indexes of objects: by kind, by reference, by upcoming change, and pending deliveries by endpoint.
//!
//! Invariant: the index agrees with every object; the store removes an object from it before a change
//! and adds it again afterwards. Proved by `a_rollback_leaves_no_trace` in `store.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::fields::Fields;
use crate::upcoming::{self, Due};

/// Fields that refer to another object.
const REFERENCES: &[&str] = &[
    "charge",
    "configuration",
    "customer",
    "default_payment_method",
    "default_price",
    "endpoint",
    "event",
    "invoice",
    "latest_charge",
    "latest_invoice",
    "payment_intent",
    "payment_method",
    "product",
    "schedule",
    "setup_intent",
    "subscription",
    "_invoice",
    "_payment_intent",
];

/// Ids in order of creation.
type Ordered = BTreeMap<u64, String>;

/// The index of a store.
#[derive(Debug, Default)]
pub(crate) struct Index {
    kinds: HashMap<String, Ordered>,
    referring: HashMap<String, Ordered>,
    upcoming: BTreeSet<(i64, Due, String)>,
    /// Pending deliveries of each endpoint: due time (milliseconds), sequence number, id.
    queues: BTreeMap<String, BTreeSet<(i64, u64, String)>>,
}

impl Index {
    pub(crate) fn add(&mut self, seq: u64, id: &str, object: &Value) {
        self.kinds.entry(object.text("object").to_owned()).or_default().insert(seq, id.to_owned());
        for reference in references(object) {
            self.referring.entry(reference.to_owned()).or_default().insert(seq, id.to_owned());
        }
        if let Some((moment, due)) = upcoming::of(object) {
            self.upcoming.insert((moment, due, id.to_owned()));
        }
        if let Some((endpoint, due)) = queued(object) {
            self.queues.entry(endpoint.to_owned()).or_default().insert((due, seq, id.to_owned()));
        }
    }

    pub(crate) fn remove(&mut self, seq: u64, id: &str, object: &Value) {
        take(&mut self.kinds, object.text("object"), seq);
        for reference in references(object) {
            take(&mut self.referring, reference, seq);
        }
        if let Some((moment, due)) = upcoming::of(object) {
            self.upcoming.remove(&(moment, due, id.to_owned()));
        }
        if let Some((endpoint, due)) = queued(object)
            && let Some(queue) = self.queues.get_mut(endpoint)
        {
            queue.remove(&(due, seq, id.to_owned()));
            if queue.is_empty() {
                self.queues.remove(endpoint);
            }
        }
    }

    /// Returns the ids of a kind, newest first.
    pub(crate) fn newest<'i>(&'i self, kind: &str) -> impl DoubleEndedIterator<Item = &'i str> + use<'i> {
        self.kinds.get(kind).into_iter().flat_map(|ids| ids.values().rev()).map(String::as_str)
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).map_or(0, BTreeMap::len)
    }

    /// Returns the ids of objects that refer to `id`, newest first.
    pub(crate) fn referring<'i>(&'i self, id: &str) -> impl DoubleEndedIterator<Item = &'i str> + use<'i> {
        self.referring.get(id).into_iter().flat_map(|ids| ids.values().rev()).map(String::as_str)
    }

    /// Returns upcoming changes, earliest first.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = (i64, Due, &str)> {
        self.upcoming.iter().map(|(moment, due, id)| (*moment, *due, id.as_str()))
    }

    /// Returns each endpoint with its pending deliveries, the next one first.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (i64, &str)>)> {
        self.queues.iter().map(|(endpoint, queue)| {
            (endpoint.as_str(), queue.iter().map(|(due, _, delivery)| (*due, delivery.as_str())))
        })
    }
}

fn take(map: &mut HashMap<String, Ordered>, key: &str, seq: u64) {
    if let Some(ids) = map.get_mut(key) {
        ids.remove(&seq);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}

/// Returns the ids that an object refers to. For an event: its object, that object's customer, and the
/// request that caused it.
pub(crate) fn references(object: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    match object.text("object") {
        "event" => {
            let about = &object["data"]["object"];
            found.extend([about.text("id"), about.text("customer"), object["request"].text("id")]);
        }
        "_request" => found.extend(object.list("touched").iter().filter_map(Value::as_str)),
        _ => {
            found.extend(REFERENCES.iter().map(|field| object.text(field)));
            found.insert(object["parent"]["subscription_details"].text("subscription"));
            found.insert(object["payment"].text("payment_intent"));
            found.insert(object["recurring"].text("meter"));
            found.insert(object["payload"].text("stripe_customer_id"));
        }
    }
    found.remove("");
    found
}

/// Returns the endpoint and the due time of a pending delivery.
fn queued(object: &Value) -> Option<(&str, i64)> {
    let pending = object.text("object") == "_delivery" && object.text("state") == "pending";
    pending.then(|| (object.text("endpoint"), object.int("due")))
}

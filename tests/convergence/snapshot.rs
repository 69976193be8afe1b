//! Comparisons of a node's state: with another node's, with Stripe's, and with its own recorded
//! revisions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use billing::{
    AccountId, CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId, Subscription, SubscriptionId, Timestamp,
};
use engine::store::{Stored, checkouts, credits, customers, invoices, payments, purchases, subscriptions};
use serde_json::Value;
use server::Tollgate;

use crate::expected;
use crate::node::{Node, people};
use crate::objects::Objects;
use crate::stripe::id;

/// Longer than any grace period.
const LATER: i64 = 4 * 86_400;

/// The node's state, one line per object, in a fixed order, without the number and the times of writes.
pub async fn held_by(objects: &Objects, node: &Node) -> Vec<String> {
    let (tollgate, db) = (&node.tollgate, node.tollgate.db());
    let mut lines = Vec::new();
    for each in &objects.customers {
        lines.push(line(each, customers::by_id(db, &CustomerId::new(id(each))).await.unwrap()));
    }
    for each in &objects.subscriptions {
        lines.push(line(each, subscriptions::by_id(db, &SubscriptionId::new(id(each))).await.unwrap()));
    }
    for each in &objects.invoices {
        lines.push(line(each, invoices::by_id(db, &InvoiceId::new(id(each))).await.unwrap()));
    }
    for each in &objects.payments {
        lines.push(line(each, payments::by_id(db, &PaymentIntentId::new(id(each))).await.unwrap()));
    }
    for each in &objects.sessions {
        lines.push(line(each, purchases::by_session(db, &CheckoutSessionId::new(id(each))).await.unwrap()));
    }
    for person in people() {
        let account = &person.account;
        lines.push(format!("{account}: grants {:?}", grants(node, account).await));
        // A balance of zero means the same as no balance.
        let mut balances = credits::balances(db, account).await.unwrap();
        balances.retain(|balance| (balance.granted, balance.consumed) != (0, 0));
        lines.push(format!("{account}: balances {balances:?}"));
        lines.push(format!("{account}: {:?}", tollgate.entitlement(account).await.unwrap()));
    }
    lines
}

/// Compares what a node holds with Stripe's own JSON, every field of every object.
pub async fn assert_agrees(objects: &Objects, node: &Node) {
    let db = node.tollgate.db();
    for each in &objects.customers {
        let stored = customers::by_id(db, &CustomerId::new(id(each))).await.unwrap();
        assert_stored(objects, each, stored, Some(expected::customer(each)));
    }
    for each in &objects.subscriptions {
        let stored = subscriptions::by_id(db, &SubscriptionId::new(id(each))).await.unwrap();
        assert_stored(objects, each, stored, Some(expected::subscription(objects, each)));
    }
    // Stripe sends no events about drafts.
    for each in objects.invoices.iter().filter(|invoice| invoice["status"] != "draft") {
        let stored = invoices::by_id(db, &InvoiceId::new(id(each))).await.unwrap();
        assert_stored(objects, each, stored, Some(expected::invoice(each)));
    }
    for each in &objects.payments {
        let stored = payments::by_id(db, &PaymentIntentId::new(id(each))).await.unwrap();
        let has_owner = objects.account_of(each).is_some();
        assert_stored(objects, each, stored, has_owner.then(|| expected::payment(objects, each)));
    }
    for each in &objects.sessions {
        let stored = purchases::by_session(db, &CheckoutSessionId::new(id(each))).await.unwrap();
        assert_stored(objects, each, stored, expected::purchase(each));
    }
    for person in people() {
        assert_agrees_on_credits(objects, node, &person.account).await;
        assert_agrees_on_access(objects, &node.tollgate, &person.account).await;
    }
}

fn assert_stored<T: Debug + PartialEq>(
    objects: &Objects,
    json: &Value,
    stored: Option<Stored<T>>,
    expected: Option<T>,
) {
    let stored = stored.map(|stored| (stored.account, stored.object));
    let owner = || objects.account_of(json).expect("a stored object has an owner");
    let expected = expected.map(|expected| (owner(), expected));
    assert_eq!(stored, expected, "stored here, and as Stripe has it: {json:#}");
}

async fn assert_agrees_on_credits(objects: &Objects, node: &Node, account: &AccountId) {
    let worth = objects.sessions_of(account).map(|session| (id(session), expected::worth(objects, session)));
    let worth: BTreeMap<String, i64> = worth.filter(|(_, units)| *units > 0).collect();
    let granted = grants(node, account).await.into_iter().map(|grant| (grant.source, grant.units));
    let granted: BTreeMap<String, i64> = granted.filter(|(_, units)| *units > 0).collect();
    assert_eq!(granted, worth, "credits of {account}");
    let balances = credits::balances(node.tollgate.db(), account).await.unwrap();
    let granted: i64 = balances.iter().map(|balance| balance.granted).sum();
    assert_eq!(granted, worth.values().sum::<i64>(), "{account}");
}

/// Compares the account's entitlement, now and when every grace period has ended.
async fn assert_agrees_on_access(objects: &Objects, tollgate: &Tollgate, account: &AccountId) {
    let stored = subscriptions::of_account(tollgate.db(), account).await.unwrap();
    for now in [objects.now, objects.now + LATER] {
        let entitlement = billing::entitlement(&stored, tollgate.catalog(), Timestamp(now));
        let expected = expected::access(objects, objects.subscriptions_of(account), now);
        assert_eq!((entitlement.tier.as_str(), entitlement.until), expected, "{account} at {now}: {stored:#?}");
    }
    let cached = tollgate.entitlement(account).await.unwrap();
    let (tier, _) = expected::access(objects, objects.subscriptions_of(account), tollgate.now().0);
    assert_eq!(cached.tier.as_str(), tier, "{account}, from the cache");
}

/// Compares state that only the selling node has: the state of every checkout attempt, and the
/// addresses of the newest invoice.
pub async fn assert_matches_selling_node(objects: &Objects, seller: &Node) {
    let tollgate = &seller.tollgate;
    for each in &objects.sessions {
        let attempt = checkouts::by_session(tollgate.db(), &CheckoutSessionId::new(id(each))).await.unwrap();
        let attempt = attempt.expect("every session belongs to an attempt");
        assert!(expected::attempt(each).contains(&attempt.status), "{:?}: {each:#}", attempt.status);
    }
    if let Some(newest) = objects.invoices.first() {
        let addresses = tollgate.gateway().invoice_addresses(&InvoiceId::new(id(newest))).await.unwrap();
        assert_eq!(addresses.page.as_deref(), newest["hosted_invoice_url"].as_str());
        assert_eq!(addresses.pdf.as_deref(), newest["invoice_pdf"].as_str());
    }
}

fn line<T: Debug>(json: &Value, stored: Option<Stored<T>>) -> String {
    format!("{}: {:?}", id(json), stored.map(|stored| (stored.account, stored.object)))
}

/// The grant of a purchase.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    source: String,
    meter: String,
    units: i64,
}

/// All grants of an account, including exhausted ones.
async fn grants(node: &Node, account: &AccountId) -> BTreeSet<Grant> {
    let query = format!(
        "SELECT source || ' ' || meter || ' ' || CAST(units AS TEXT) FROM credit_grant WHERE account_id = '{account}'"
    );
    let read = |row: String| {
        let columns: Vec<&str> = row.split(' ').collect();
        let [source, meter, units] = columns.try_into().expect("three columns");
        Grant { source: source.to_owned(), meter: meter.to_owned(), units: units.parse().unwrap() }
    };
    node.texts(&query).await.into_iter().map(read).collect()
}

/// Compares a node's state with its recorded revisions: the last one is current, each changes something,
/// none goes back in time, and the host is notified of each once.
pub async fn assert_recorded(node: &Node) {
    let (tollgate, db) = (&node.tollgate, node.tollgate.db());
    for person in people() {
        let mut current = subscriptions::of_account(db, &person.account).await.unwrap();
        let last = subscriptions::as_of(db, &person.account, tollgate.now()).await.unwrap();
        let mut last: Vec<Subscription> = last.into_iter().map(|revision| revision.subscription).collect();
        for subscriptions in [&mut current, &mut last] {
            subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
        }
        assert_eq!(last, current, "the last revision is current");
    }
    // Times keep their length for centuries, so they are in order as strings too.
    let revisions = node
        .texts(
            "SELECT subscription_id || ' ' || CAST(written_at AS TEXT) || ' ' || account_id || ' ' || snapshot \
            FROM subscription_revision ORDER BY subscription_id, version",
        )
        .await;
    let revisions: Vec<[&str; 4]> = revisions
        .iter()
        .map(|revision| revision.splitn(4, ' ').collect::<Vec<_>>().try_into().expect("four columns"))
        .collect();
    let neighbors = revisions.windows(2).filter(|pair| pair[0][0] == pair[1][0]);
    for [before, after] in neighbors.map(|pair| [pair[0], pair[1]]) {
        assert!(before[1] <= after[1], "the record goes back in time: {before:?}, {after:?}");
        assert_ne!(before[2..], after[2..], "a revision changes nothing");
        let [before, after] =
            [before, after].map(|revision| serde_json::from_str::<Subscription>(revision[3]).unwrap());
        assert!(
            !before.status.has_ended() || after.status.has_ended(),
            "an ended subscription started again: {before:?}, {after:?}"
        );
        assert!(before.period().start <= after.period().start, "an earlier period is back: {before:?}, {after:?}");
    }
    assert_eq!(notified(node).await, recorded(node).await, "the host is notified of every revision once");
}

/// The revisions that the host is notified of.
async fn notified(node: &Node) -> Vec<String> {
    let query = "SELECT account_id || ' ' || subscription_id || ' ' || CAST(version AS TEXT) FROM billing_change";
    sorted(node.texts(query).await)
}

/// The revisions that were recorded.
async fn recorded(node: &Node) -> Vec<String> {
    let query =
        "SELECT account_id || ' ' || subscription_id || ' ' || CAST(version AS TEXT) FROM subscription_revision";
    sorted(node.texts(query).await)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

//! What a node says of everything that Stripe has: the same as another node, the same as Stripe, and
//! the same as what it wrote down on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use billing::{
    AccountId, CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId, Subscription, SubscriptionId, Timestamp,
};
use serde_json::Value;
use server::Tollgate;
use server::store::{Stored, checkouts, credits, customers, invoices, payments, purchases, subscriptions};

use crate::expected;
use crate::node::{Node, people};
use crate::stripe::{Stripe, id};

/// Longer than any grace.
const LATER: i64 = 4 * 86_400;

/// Every object that Stripe has, by kind.
pub struct Everything {
    pub subscriptions: Vec<Value>,
    pub invoices: Vec<Value>,
    pub payments: Vec<Value>,
    pub sessions: Vec<Value>,
    /// Whoever has something of it, even if deleted.
    pub customers: Vec<Value>,
    pub disputes: Vec<Value>,
    /// Stripe's time.
    now: i64,
}

impl Everything {
    pub async fn of(stripe: &Stripe<'_>) -> Self {
        let subscriptions = stripe.list("subscriptions?status=all").await;
        let payments = stripe.list("payment_intents?expand[]=data.latest_charge.refunds").await;
        let sessions = stripe.list("checkout/sessions?expand[]=data.line_items").await;
        // Whoever has done nothing but begin a purchase is known to nobody but the node that sells it.
        // The others are asked for one by one, because Stripe does not list whom it has deleted.
        let closed = sessions.iter().filter(|session| session["status"] != "open");
        let known = subscriptions.iter().chain(&payments).chain(closed);
        let known: BTreeSet<&str> = known.filter_map(|object| object["customer"].as_str()).collect();
        let mut customers = Vec::new();
        for customer in known {
            customers.push(stripe.customer(customer).await);
        }
        Self {
            invoices: stripe.list("invoices?expand[]=data.payments").await,
            disputes: stripe.list("disputes").await,
            now: stripe.sandbox.now(),
            subscriptions,
            payments,
            sessions,
            customers,
        }
    }

    /// What the node says, one line an object, in a fixed order. How often something was written
    /// and when is not in it.
    pub async fn as_told_by(&self, tollgate: &Tollgate) -> Vec<String> {
        let db = tollgate.db();
        let mut lines = Vec::new();
        for each in &self.customers {
            lines.push(line(each, customers::by_id(db, &CustomerId::new(id(each))).await.unwrap()));
        }
        for each in &self.subscriptions {
            lines.push(line(each, subscriptions::by_id(db, &SubscriptionId::new(id(each))).await.unwrap()));
        }
        for each in &self.invoices {
            lines.push(line(each, invoices::by_id(db, &InvoiceId::new(id(each))).await.unwrap()));
        }
        for each in &self.payments {
            lines.push(line(each, payments::by_id(db, &PaymentIntentId::new(id(each))).await.unwrap()));
        }
        for each in &self.sessions {
            lines.push(line(each, purchases::by_session(db, &CheckoutSessionId::new(id(each))).await.unwrap()));
        }
        for person in people() {
            let account = &person.account_id;
            let granted = credits::grants(db, account).await.unwrap();
            let granted: BTreeSet<_> =
                granted.into_iter().map(|(source, meter, units, _)| (source, meter, units)).collect();
            lines.push(format!("{account}: grants {granted:?}"));
            // A balance of nothing says what no balance says.
            let mut balances = credits::balances(db, account).await.unwrap();
            balances.retain(|(_, granted, used)| (*granted, *used) != (0, 0));
            lines.push(format!("{account}: balances {balances:?}"));
            lines.push(format!("{account}: {:?}", tollgate.entitlement(account).await.unwrap()));
        }
        lines
    }

    /// Holds what a node keeps against Stripe's own JSON, every object and every field of it.
    pub async fn assert_agrees(&self, tollgate: &Tollgate) {
        let db = tollgate.db();
        for each in &self.customers {
            let stored = customers::by_id(db, &CustomerId::new(id(each))).await.unwrap();
            self.assert_kept(each, stored, Some(expected::customer(each)));
        }
        for each in &self.subscriptions {
            let stored = subscriptions::by_id(db, &SubscriptionId::new(id(each))).await.unwrap();
            self.assert_kept(each, stored, Some(expected::subscription(self, each)));
        }
        // Nobody is told of a draft.
        for each in self.invoices.iter().filter(|invoice| invoice["status"] != "draft") {
            let stored = invoices::by_id(db, &InvoiceId::new(id(each))).await.unwrap();
            self.assert_kept(each, stored, Some(expected::invoice(each)));
        }
        for each in &self.payments {
            let stored = payments::by_id(db, &PaymentIntentId::new(id(each))).await.unwrap();
            let is_somebodys = self.account_of(each).is_some();
            self.assert_kept(each, stored, is_somebodys.then(|| expected::payment(self, each)));
        }
        for each in &self.sessions {
            let stored = purchases::by_session(db, &CheckoutSessionId::new(id(each))).await.unwrap();
            self.assert_kept(each, stored, expected::purchase(each));
        }
        self.assert_agrees_on_people(tollgate).await;
    }

    fn assert_kept<T: Debug + PartialEq>(&self, json: &Value, stored: Option<Stored<T>>, expected: Option<T>) {
        let stored = stored.map(|stored| (stored.account, stored.object));
        let expected =
            expected.map(|expected| (self.account_of(json).expect("whatever is kept is somebody's"), expected));
        assert_eq!(stored, expected, "kept here, and as Stripe has it: {json:#}");
    }

    /// Whose an object is: the account that its customer was made for.
    fn account_of(&self, object: &Value) -> Option<AccountId> {
        let customer = if object["object"] == "customer" { &object["id"] } else { &object["customer"] };
        if customer.is_null() {
            return None;
        }
        let named = self.customers.iter().find(|each| each["id"] == *customer);
        let named = named.and_then(|each| each["metadata"]["account_id"].as_str());
        // Of one that was deleted only its sessions tell.
        let bought = || self.sessions.iter().find(|session| session["customer"] == *customer);
        let named = named.or_else(|| bought().and_then(|session| session["client_reference_id"].as_str()));
        named.map(AccountId::new)
    }

    /// What people may do and have left, now and when every grace is over.
    async fn assert_agrees_on_people(&self, tollgate: &Tollgate) {
        let db = tollgate.db();
        for person in people() {
            let account = &person.account_id;
            let own = || self.sessions.iter().filter(|session| session["client_reference_id"] == account.as_str());
            let worth = own().map(|session| (id(session), expected::worth(self, session)));
            let worth: BTreeMap<String, i64> = worth.filter(|(_, units)| *units > 0).collect();
            let granted = credits::grants(db, account).await.unwrap();
            let granted: BTreeMap<String, i64> =
                granted.into_iter().filter(|grant| grant.2 > 0).map(|(source, _, units, _)| (source, units)).collect();
            assert_eq!(granted, worth, "credits of {account}");
            let balances = credits::balances(db, account).await.unwrap();
            assert_eq!(balances.iter().map(|balance| balance.1).sum::<i64>(), worth.values().sum::<i64>(), "{account}");

            let theirs = || self.subscriptions.iter().filter(|each| self.account_of(each).as_ref() == Some(account));
            let kept = subscriptions::of_account(db, account).await.unwrap();
            for now in [self.now, self.now + LATER] {
                let entitlement = billing::entitlement(&kept, tollgate.catalog(), Timestamp(now));
                let (tier, until) = expected::access(self, theirs(), now);
                assert_eq!(
                    (entitlement.tier.as_str(), entitlement.until),
                    (tier, until),
                    "{account} at {now}: {kept:#?}"
                );
            }
            assert_eq!(
                tollgate.entitlement(account).await.unwrap().tier.as_str(),
                expected::access(self, theirs(), tollgate.now().0).0,
                "{account}, as it is remembered"
            );
        }
    }

    /// What only the node has that sold it: where every attempt to buy has come to, and the way to
    /// the newest invoice.
    pub async fn assert_agrees_with_the_seller(&self, tollgate: &Tollgate) {
        for each in &self.sessions {
            let attempt = checkouts::by_session(tollgate.db(), &CheckoutSessionId::new(id(each))).await.unwrap();
            let attempt = attempt.expect("every session is an attempt's");
            assert!(expected::attempt(each).contains(&attempt.status), "{:?}: {each:#}", attempt.status);
        }
        if let Some(newest) = self.invoices.first() {
            let addresses = tollgate.gateway().invoice_addresses(&InvoiceId::new(id(newest))).await.unwrap();
            let address = |field: &str| newest[field].as_str().map(str::to_owned);
            assert_eq!(addresses, (address("hosted_invoice_url"), address("invoice_pdf")));
        }
    }
}

fn line<T: Debug>(json: &Value, stored: Option<Stored<T>>) -> String {
    format!("{}: {:?}", id(json), stored.map(|stored| (stored.account, stored.object)))
}

/// Holds what a node says now against what it wrote down on the way: the record ends in what is
/// current, every revision says something new, and none goes back.
pub async fn assert_recorded(node: &Node) {
    let (tollgate, db) = (&node.tollgate, node.tollgate.db());
    for person in people() {
        let mut current = subscriptions::of_account(db, &person.account_id).await.unwrap();
        let last = subscriptions::as_of(db, &person.account_id, tollgate.now()).await.unwrap();
        let mut last: Vec<Subscription> = last.into_iter().map(|revision| revision.subscription).collect();
        for subscriptions in [&mut current, &mut last] {
            subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
        }
        assert_eq!(last, current, "the record ends in what is current");
    }
    // Times have one length for some centuries to come: as texts they are in order, too.
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
    let neighbours = revisions.windows(2).filter(|pair| pair[0][0] == pair[1][0]);
    for [before, after] in neighbours.map(|pair| [pair[0], pair[1]]) {
        assert!(before[1] <= after[1], "the record goes back in time: {before:?}, {after:?}");
        assert_ne!(before[2..], after[2..], "a revision says nothing new");
        let [before, after] =
            [before, after].map(|revision| serde_json::from_str::<Subscription>(revision[3]).unwrap());
        assert!(
            !before.status.has_ended() || after.status.has_ended(),
            "what has ended began again: {before:?}, {after:?}"
        );
        assert!(before.period().start <= after.period().start, "a period that was over is back: {before:?}, {after:?}");
    }
}

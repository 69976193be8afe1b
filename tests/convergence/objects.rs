//! Every object that Stripe has, as its own JSON.

use std::collections::{BTreeSet, HashMap};

use billing::AccountId;
use serde_json::Value;

use crate::stripe::{Stripe, id};

/// Every object that Stripe has, by kind.
pub struct Objects {
    pub subscriptions: Vec<Value>,
    pub invoices: Vec<Value>,
    pub payments: Vec<Value>,
    pub sessions: Vec<Value>,
    /// Customers that own any of the other objects, including deleted ones.
    pub customers: Vec<Value>,
    pub disputes: Vec<Value>,
    /// The lookup key of each price, by its id.
    pub lookup_keys: HashMap<String, Value>,
    /// Stripe's time.
    pub now: i64,
}

impl Objects {
    pub async fn of(stripe: &Stripe<'_>) -> Self {
        let subscriptions = stripe.list("subscriptions?status=all").await;
        let payments = stripe.list("payment_intents?expand[]=data.latest_charge.refunds").await;
        let sessions = stripe.list("checkout/sessions?expand[]=data.line_items").await;
        // A customer that has only started a purchase is known only to the node that sells it.
        // The others are fetched one by one, because Stripe does not list deleted customers.
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
            lookup_keys: stripe
                .list("prices")
                .await
                .into_iter()
                .map(|price| (id(&price), price["lookup_key"].clone()))
                .collect(),
            now: stripe.sandbox.now(),
            subscriptions,
            payments,
            sessions,
            customers,
        }
    }

    /// The owner of an object: the account that its customer was created for.
    pub fn account_of(&self, object: &Value) -> Option<AccountId> {
        let customer = if object["object"] == "customer" { &object["id"] } else { &object["customer"] };
        if customer.is_null() {
            return None;
        }
        let named = self.customers.iter().find(|each| each["id"] == *customer);
        let named = named.and_then(|each| each["metadata"]["account_id"].as_str());
        // A deleted customer's account is only on its sessions.
        let bought = || self.sessions.iter().find(|session| session["customer"] == *customer);
        let named = named.or_else(|| bought().and_then(|session| session["client_reference_id"].as_str()));
        named.map(AccountId::new)
    }

    /// The subscriptions of an account.
    pub fn subscriptions_of(&self, account: &AccountId) -> impl Iterator<Item = &Value> {
        self.subscriptions.iter().filter(move |each| self.account_of(each).as_ref() == Some(account))
    }

    /// The Checkout Sessions of an account.
    pub fn sessions_of(&self, account: &AccountId) -> impl Iterator<Item = &Value> {
        self.sessions.iter().filter(move |session| session["client_reference_id"] == account.as_str())
    }
}

//! What a node says of everything that Stripe has, as lines that can be compared.

use std::collections::BTreeSet;

use billing::{CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId, SubscriptionId};
use sandbox::Sandbox;
use serde_json::Value;
use server::Tollgate;
use server::store::{credits, customers, invoices, payments, purchases, subscriptions};

use crate::node::people;
use crate::support::{Browser, Page};

/// Every object that Stripe has, by kind.
pub struct Everything {
    subscriptions: Vec<Value>,
    invoices: Vec<Value>,
    payments: Vec<Value>,
    sessions: Vec<Value>,
    customers: Vec<Value>,
    disputes: Vec<Value>,
}

impl Everything {
    pub async fn of(sandbox: &Sandbox) -> Self {
        let list = async |path: &str| {
            let (mut all, mut after) = (Vec::<Value>::new(), String::new());
            loop {
                let joint = if path.contains('?') { '&' } else { '?' };
                let request = Browser::new(&sandbox.url())
                    .request(reqwest::Method::GET, &format!("/v1/{path}{joint}limit=100{after}"));
                let page = Page::of(request.bearer_auth("sk_test_sandbox")).await.json();
                all.extend(page["data"].as_array().unwrap().iter().cloned());
                match (page["has_more"].as_bool(), all.last()) {
                    (Some(true), Some(last)) => after = format!("&starting_after={}", last["id"].as_str().unwrap()),
                    _ => return all,
                }
            }
        };
        Self {
            subscriptions: list("subscriptions?status=all").await,
            invoices: list("invoices").await,
            payments: list("payment_intents?expand[]=data.latest_charge").await,
            sessions: list("checkout/sessions?expand[]=data.line_items").await,
            customers: list("customers").await,
            disputes: list("disputes").await,
        }
    }

    /// What the node says, one line an object, in a fixed order. How often something was written
    /// and when is not in it.
    pub async fn as_told_by(&self, tollgate: &Tollgate) -> Vec<String> {
        let db = tollgate.db();
        let mut lines = Vec::new();
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        for each in &self.customers {
            let stored = customers::by_id(db, &CustomerId::new(id(each))).await.unwrap();
            lines.push(format!("{:?}", stored.map(|stored| (stored.account, stored.object))));
        }
        for each in &self.subscriptions {
            let stored = subscriptions::by_id(db, &SubscriptionId::new(id(each))).await.unwrap();
            lines.push(format!("{:?}", stored.map(|stored| (stored.account, stored.object))));
        }
        for each in &self.invoices {
            let stored = invoices::by_id(db, &InvoiceId::new(id(each))).await.unwrap();
            lines.push(format!("{:?}", stored.map(|stored| (stored.account, stored.object))));
        }
        for each in &self.payments {
            let stored = payments::by_id(db, &PaymentIntentId::new(id(each))).await.unwrap();
            lines.push(format!("{:?}", stored.map(|stored| (stored.account, stored.object))));
        }
        for each in &self.sessions {
            let stored = purchases::by_session(db, &CheckoutSessionId::new(id(each))).await.unwrap();
            lines.push(format!("{:?}", stored.map(|stored| (stored.account, stored.object))));
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

    /// Holds a node against Stripe itself, without the node's own way of reading.
    pub async fn assert_agrees(&self, tollgate: &Tollgate) {
        let db = tollgate.db();
        for each in &self.subscriptions {
            let id = SubscriptionId::new(each["id"].as_str().unwrap());
            let stored = subscriptions::by_id(db, &id).await.unwrap().expect("every subscription is of one of the two");
            assert_eq!(stored.object.status.as_str(), each["status"], "{id}");
            assert_eq!(stored.object.period().end.0, each["items"]["data"][0]["current_period_end"], "{id}");
        }
        for each in &self.payments {
            let id = PaymentIntentId::new(each["id"].as_str().unwrap());
            let Some(stored) = payments::by_id(db, &id).await.unwrap() else { continue };
            assert_eq!(stored.object.status.as_str(), each["status"], "{id}");
            let refunded = each["latest_charge"]["amount_refunded"].as_i64().unwrap_or_default();
            assert_eq!(stored.object.amount_refunded, refunded, "{id}");
        }
        for person in people() {
            let balances = credits::balances(db, &person.account_id).await.unwrap();
            let granted: i64 = balances.iter().map(|(_, granted, _)| granted).sum();
            assert_eq!(granted, self.worth_of(person.account_id.as_str()), "credits of {}", person.account_id);
        }
    }

    /// What all purchases of an account are good for, by Stripe's own figures.
    fn worth_of(&self, account: &str) -> i64 {
        let own = self.sessions.iter().filter(|session| session["client_reference_id"] == account);
        let bought = own.filter(|session| session["mode"] == "payment" && session["status"] == "complete");
        bought.filter(|session| session["payment_status"] != "unpaid").map(|session| self.worth(session)).sum()
    }

    fn worth(&self, session: &Value) -> i64 {
        let units = match session["line_items"]["data"][0]["price"]["lookup_key"].as_str().unwrap() {
            "tollgate_ai_500" => 500,
            "tollgate_ai_2500" => 2_500,
            other => panic!("{other} grants nothing"),
        };
        let (total, payment) = (session["amount_total"].as_i64().unwrap(), &session["payment_intent"]);
        let Some(paid) = self.payments.iter().find(|each| each["id"] == *payment) else { return units };
        if paid["status"] != "succeeded" {
            return 0;
        }
        let refunded = paid["latest_charge"]["amount_refunded"].as_i64().unwrap();
        let taken = self.disputes.iter().filter(|dispute| {
            dispute["payment_intent"] == *payment
                && matches!(dispute["status"].as_str(), Some("needs_response" | "under_review" | "lost"))
        });
        let disputed: i64 = taken.map(|dispute| dispute["amount"].as_i64().unwrap()).sum();
        units * (total - refunded - disputed).max(0) / total
    }
}

//! Stripe's side of a history: doing what a step says, as far as it can be done.

use std::time::Duration;

use sandbox::Sandbox;
use serde_json::Value;
use server::auth::SignedIn;
use server::{Tollgate, checkout};

use crate::history::What;
use crate::support::{Browser, Page, pay};

/// A card each, so that nobody is taken for the other.
const CARDS: [&str; 2] = ["4242424242424242", "5555555555554444"];

/// The sandbox with a client of its API.
pub struct Stripe<'a> {
    pub sandbox: &'a Sandbox,
}

impl Stripe<'_> {
    /// Does it. What cannot be done now, because there is nothing to do it to, is not done.
    pub async fn perform(&self, what: What, who: &SignedIn, place: usize, app: &Tollgate) {
        match what {
            What::Subscribe { enterprise } => {
                let plan = if enterprise { "ENTERPRISE" } else { "PRO" };
                if let Ok(url) = checkout::start_subscription(app, who, plan, "month").await {
                    pay(&url, CARDS[place]).await;
                }
            }
            What::Buy { large } => {
                let url = checkout::start_purchase(app, who, if large { "ai-2500" } else { "ai-500" }).await.unwrap();
                pay(&url, CARDS[place]).await;
            }
            What::BuyByDebit { fails } => {
                let url = checkout::start_purchase(app, who, "ai-500").await.unwrap();
                self.pay_by_debit(&url, fails).await;
            }
            What::NextDue => drop(self.sandbox.advance_to_next()),
            What::Days(days) => self.sandbox.advance(Duration::from_secs(u64::from(days) * 86_400)),
            What::Decline { charges } => {
                for customer in self.customers(who).await {
                    self.sandbox.refuse_next_charges(&customer, u32::from(charges));
                }
            }
            What::PayOpenInvoice => self.on_open_invoice(who, "pay").await,
            What::VoidOpenInvoice => self.on_open_invoice(who, "void").await,
            What::Upgrade => self.change_price(who, app, "tollgate_enterprise_month").await,
            What::Downgrade => self.change_price(who, app, "tollgate_pro_month").await,
            What::CancelAtPeriodEnd => self.set(who, &[("cancel_at_period_end", "true")]).await,
            What::TakeCancellationBack => self.set(who, &[("cancel_at_period_end", "false")]).await,
            What::CancelNow => {
                for id in self.running(who).await {
                    self.call("DELETE", &format!("/v1/subscriptions/{id}"), &[]).await;
                }
            }
            What::RefundPart => self.refund(who, &[("amount", "500")]).await,
            What::RefundAll => self.refund(who, &[]).await,
            What::Dispute { lost } => self.dispute(who, lost).await,
            What::Rename => {
                for customer in self.customers(who).await {
                    self.call("POST", &format!("/v1/customers/{customer}"), &[("name", "Ada Ltd")]).await;
                }
            }
            What::DeleteCustomer => {
                for customer in self.customers(who).await {
                    self.call("DELETE", &format!("/v1/customers/{customer}"), &[]).await;
                }
            }
        }
    }

    async fn pay_by_debit(&self, checkout: &str, fails: bool) {
        let account = if fails { "000111111116" } else { "000123456789" };
        let fields = [("email", ""), ("name", "Ada Lovelace"), ("pay_with", "us_bank_account"), ("account", account)];
        Browser::new("").post(checkout, &fields).await;
    }

    async fn call(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = Browser::new(&self.sandbox.url()).request(method.parse().unwrap(), path);
        Page::of(request.bearer_auth("sk_test_sandbox").form(fields)).await.json()
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        let request = Browser::new(&self.sandbox.url()).request(reqwest::Method::GET, path);
        let list = Page::of(request.bearer_auth("sk_test_sandbox")).await.json();
        list["data"].as_array().cloned().unwrap_or_default()
    }

    /// The customers at Stripe of this account.
    async fn customers(&self, who: &SignedIn) -> Vec<String> {
        let all = self.list("/v1/customers?limit=100").await;
        let own = all.iter().filter(|customer| customer["metadata"]["account_id"] == who.account_id.as_str());
        own.map(|customer| customer["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn of_customer(&self, who: &SignedIn, kind: &str, filter: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for customer in self.customers(who).await {
            found.extend(self.list(&format!("/v1/{kind}?customer={customer}&limit=100{filter}")).await);
        }
        found
    }

    async fn running(&self, who: &SignedIn) -> Vec<String> {
        let all = self.of_customer(who, "subscriptions", "").await;
        all.iter().map(|each| each["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn set(&self, who: &SignedIn, fields: &[(&str, &str)]) {
        for id in self.running(who).await {
            self.call("POST", &format!("/v1/subscriptions/{id}"), fields).await;
        }
    }

    async fn change_price(&self, who: &SignedIn, app: &Tollgate, lookup_key: &str) {
        let price = app.gateway().price_by_lookup_key(lookup_key).await.unwrap();
        for subscription in self.of_customer(who, "subscriptions", "").await {
            let (id, item) = (&subscription["id"], &subscription["items"]["data"][0]["id"]);
            let fields = [
                ("items[0][id]", item.as_str().unwrap()),
                ("items[0][price]", price.as_str()),
                ("proration_behavior", "always_invoice"),
            ];
            self.call("POST", &format!("/v1/subscriptions/{}", id.as_str().unwrap()), &fields).await;
        }
    }

    async fn on_open_invoice(&self, who: &SignedIn, what: &str) {
        for invoice in self.of_customer(who, "invoices", "&status=open").await {
            self.call("POST", &format!("/v1/invoices/{}/{what}", invoice["id"].as_str().unwrap()), &[]).await;
        }
    }

    /// The latest payment that went through, of a plan or of a purchase.
    async fn latest_payment(&self, who: &SignedIn) -> Option<String> {
        let all = self.of_customer(who, "payment_intents", "").await;
        let paid = all.iter().find(|payment| payment["status"] == "succeeded")?;
        Some(paid["id"].as_str().unwrap().to_owned())
    }

    async fn refund(&self, who: &SignedIn, fields: &[(&str, &str)]) {
        if let Some(payment) = self.latest_payment(who).await {
            let fields: Vec<_> = fields.iter().copied().chain([("payment_intent", payment.as_str())]).collect();
            self.call("POST", "/v1/refunds", &fields).await;
        }
    }

    async fn dispute(&self, who: &SignedIn, lost: bool) {
        let Some(payment) = self.latest_payment(who).await else { return };
        let disputed = self.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]);
        let Ok(dispute) = disputed else { return };
        let id = dispute["id"].as_str().unwrap_or_default().to_owned();
        if lost {
            drop(self.sandbox.control(&format!("POST disputes/{id}/lose"), &[]));
        }
    }
}

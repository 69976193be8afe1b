//! Stripe's side of a history: performs the actions that are possible.

use std::time::Duration;

use engine::{Billable, Core, checkout};
use sandbox::{AfterLastRetry, Sandbox};
use serde_json::Value;

use crate::history::{Action, After, ByHand, Card, Credit, Dispute, Invoices, Plan};
use crate::node::{UNLINKED, people};
use crate::support::{Browser, DECLINES, Page};

/// A card for each person, so that none is mistaken for another.
const CARDS: [&str; 3] = ["4242424242424242", "5555555555554444", "378282246310005"];
/// Asks for 3-D Secure every time.
const ASKS: &str = "4000002760003184";
/// The unlinked customer's card under its name in the API.
const BY_HAND: &str = "pm_card_amex";
const ASKS_BY_HAND: &str = "pm_card_authenticationRequired";

/// The sandbox with a client of its API.
pub struct Stripe<'a> {
    pub sandbox: &'a Sandbox,
    client: Browser,
}

impl<'a> Stripe<'a> {
    pub fn new(sandbox: &'a Sandbox, client: &Browser) -> Self {
        Self { sandbox, client: client.at(&sandbox.url()) }
    }

    /// Performs an action, unless there is nothing to perform it on.
    pub async fn perform(&self, action: Action, place: usize, app: &Core) {
        let who = &people()[place];
        match action {
            Action::Subscribe { plan, .. } if place == UNLINKED => {
                self.subscribe_by_hand(who, plan, ByHand::Card).await;
            }
            Action::Subscribe { plan, card } => self.subscribe(who, place, plan, card, app).await,
            // A trial that an operator grants counts as the person's only one. Which of two came first is not
            // clear from the order of events, so people who buy in the app are granted none.
            Action::SubscribeByHand { how: ByHand::Trial, .. } if place != UNLINKED => {}
            Action::SubscribeByHand { plan, how } => self.subscribe_by_hand(who, plan, how).await,
            Action::Buy { .. } | Action::BuyByDebit { .. } if place == UNLINKED => self.pay_by_hand(who).await,
            Action::Buy { large, card } => {
                let url = checkout::start_purchase(app, &who.account, if large { "ai-2500" } else { "ai-500" })
                    .await
                    .unwrap();
                self.pay(&url, place, card).await;
            }
            Action::BuyByDebit { fails } => {
                let url = checkout::start_purchase(app, &who.account, "ai-500").await.unwrap();
                self.pay_by_debit(&url, fails).await;
            }
            Action::Abandon if place == UNLINKED => {}
            Action::Abandon => drop(checkout::start_purchase(app, &who.account, "ai-2500").await.unwrap()),
            Action::GuestPays => {
                let fields = [("amount", "700"), ("currency", "usd"), ("payment_method", BY_HAND), ("confirm", "true")];
                self.call("POST", "/v1/payment_intents", &fields).await;
            }
            Action::NextDue => drop(self.sandbox.advance_to_next()),
            Action::Days(days) => self.sandbox.advance(Duration::from_secs(u64::from(days) * 86_400)),
            Action::Decline { charges } => {
                for customer in self.customers(who).await {
                    self.sandbox.decline_next_charges(&id(&customer), u32::from(charges));
                }
            }
            Action::AfterLastRetry(then) => self.sandbox.after_last_retry(match then {
                After::Canceled => AfterLastRetry::Cancel,
                After::Unpaid => AfterLastRetry::Unpaid,
                After::PastDue => AfterLastRetry::PastDue,
            }),
            Action::PayOpenInvoice => self.on_open_invoice(who, "pay").await,
            Action::VoidOpenInvoice => self.on_open_invoice(who, "void").await,
            Action::WriteOffOpenInvoice => self.on_open_invoice(who, "mark_uncollectible").await,
            Action::Upgrade => self.change_price(who, |_| "tollgate_enterprise_month", &[]).await,
            Action::UpgradeOncePaid => {
                let waits = [("payment_behavior", "pending_if_incomplete")];
                self.change_price(who, |_| "tollgate_enterprise_month", &waits).await;
            }
            Action::Downgrade => self.change_price(who, |_| "tollgate_pro_month", &[]).await,
            Action::SwitchInterval => self.change_price(who, at_the_other_interval, &[]).await,
            Action::CancelAtPeriodEnd => self.set(who, &[("cancel_at_period_end", "true")]).await,
            Action::UndoCancellation => self.set(who, &[("cancel_at_period_end", "false")]).await,
            Action::CancelNow => {
                for subscription in self.of_customer(who, "subscriptions", "").await {
                    self.call("DELETE", &format!("/v1/subscriptions/{}", id(&subscription)), &[]).await;
                }
            }
            Action::PauseCollection(invoices) => {
                let behavior = match invoices {
                    Invoices::Void => "void",
                    Invoices::Uncollectible => "mark_uncollectible",
                    Invoices::Draft => "keep_as_draft",
                };
                self.set(who, &[("pause_collection[behavior]", behavior)]).await;
            }
            Action::ResumeCollection => self.set(who, &[("pause_collection", "")]).await,
            Action::Resume => self.resume(who).await,
            Action::RefundPart => self.refund(who, &[("amount", "500")]).await,
            Action::RefundAll => self.refund(who, &[]).await,
            Action::Dispute(dispute) => self.dispute(who, dispute).await,
            Action::RefundTheDisputed => {
                self.dispute(who, Dispute::Inquiry).await;
                self.refund(who, &[]).await;
            }
            Action::Credit(credit) => self.credit(who, credit).await,
            Action::Rename => {
                for customer in self.customers(who).await {
                    self.call("POST", &format!("/v1/customers/{}", id(&customer)), &[("name", "Ada Ltd")]).await;
                }
            }
            // A deleted customer can no longer be linked.
            Action::DeleteCustomer if place == UNLINKED => {}
            Action::DeleteCustomer => {
                for customer in self.customers(who).await {
                    self.call("DELETE", &format!("/v1/customers/{}", id(&customer)), &[]).await;
                }
            }
            Action::Link => self.link(&people()[UNLINKED]).await,
        }
    }

    /// Adds the account to the metadata of the customer that was created by hand.
    pub async fn link(&self, who: &Billable) {
        for customer in self.customers(who).await {
            let named = [("metadata[account_id]", who.account.as_str())];
            self.call("POST", &format!("/v1/customers/{}", id(&customer)), &named).await;
        }
    }

    /// All objects of a list, newest first.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut after) = (Vec::<Value>::new(), String::new());
        loop {
            let request = self.client.request(reqwest::Method::GET, &format!("/v1/{path}{joint}limit=100{after}"));
            let page = Page::of(request.bearer_auth("sk_test_sandbox")).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            let page = page.json();
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            match (page["has_more"].as_bool(), all.last()) {
                (Some(true), Some(last)) => after = format!("&starting_after={}", id(last)),
                _ => return all,
            }
        }
    }

    /// A customer, deleted or not.
    pub async fn customer(&self, id: &str) -> Value {
        self.call("GET", &format!("/v1/customers/{id}"), &[]).await
    }

    async fn call(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = self.client.request(method.parse().unwrap(), path);
        Page::of(request.bearer_auth("sk_test_sandbox").form(fields)).await.json()
    }

    async fn subscribe(&self, who: &Billable, place: usize, plan: Plan, card: Card, app: &Core) {
        let (tier, interval) =
            (if plan.enterprise { "ENTERPRISE" } else { "PRO" }, if plan.yearly { "year" } else { "month" });
        // An account with a plan is not sold another. Of two people with the same card, only the one whose
        // event arrives first has a trial, so such a card belongs to one person.
        let card = if place == 0 { card } else { Card::Pays };
        if let Ok(url) = checkout::start_subscription(app, &who.account, tier, interval).await {
            self.pay(&url, place, card).await;
        }
    }

    /// Pays on Stripe's page.
    async fn pay(&self, checkout: &str, place: usize, card: Card) {
        if card == Card::DeclinesFirst {
            self.submit(checkout, DECLINES).await;
        }
        self.submit(
            checkout,
            match card {
                Card::Pays | Card::DeclinesFirst => CARDS[place],
                Card::Asks => ASKS,
                Card::RefundsLate => "4000000000007726",
                Card::RefundsFail => "4000000000005126",
                Card::Disputed => "4000000000000259",
            },
        )
        .await;
    }

    async fn submit(&self, checkout: &str, card: &str) {
        let fields = [("email", ""), ("name", "Ada Lovelace"), ("number", card), ("expiry", "12/40"), ("cvc", "123")];
        let page = self.client.post(checkout, &fields).await;
        if page.status == 303 && page.location().ends_with("/authenticate") {
            self.client.post(&format!("{checkout}/authenticate"), &[("outcome", "complete")]).await;
        }
    }

    async fn pay_by_debit(&self, checkout: &str, fails: bool) {
        let account = if fails { "000111111116" } else { "000123456789" };
        let fields = [("email", ""), ("name", "Ada Lovelace"), ("pay_with", "us_bank_account"), ("account", account)];
        self.client.post(checkout, &fields).await;
    }

    /// Subscribes as an operator does in the Dashboard: without an account id.
    async fn subscribe_by_hand(&self, who: &Billable, plan: Plan, how: ByHand) {
        let Some(customer) = self.customer_by_hand(who).await else { return };
        let price = self.price(plan_key(plan)).await;
        let method = match how {
            ByHand::Card => Some(self.attach(BY_HAND, &customer).await),
            ByHand::CardThatAsks => Some(self.attach(ASKS_BY_HAND, &customer).await),
            ByHand::Trial => None,
        };
        let mut fields = vec![("customer", customer.as_str()), ("items[0][price]", price.as_str())];
        match &method {
            Some(method) => fields.push(("default_payment_method", method)),
            None => fields.extend([
                ("trial_period_days", "5"),
                ("trial_settings[end_behavior][missing_payment_method]", "pause"),
            ]),
        }
        self.call("POST", "/v1/subscriptions", &fields).await;
    }

    async fn pay_by_hand(&self, who: &Billable) {
        let Some(customer) = self.customer_by_hand(who).await else { return };
        let method = self.attach(BY_HAND, &customer).await;
        let fields = [
            ("customer", customer.as_str()),
            ("payment_method", method.as_str()),
            ("amount", "1500"),
            ("currency", "usd"),
            ("confirm", "true"),
        ];
        self.call("POST", "/v1/payment_intents", &fields).await;
    }

    /// The customer of a person. The unlinked one is created here, without an account id.
    async fn customer_by_hand(&self, who: &Billable) -> Option<String> {
        if let Some(known) = self.customers(who).await.first() {
            return Some(id(known));
        }
        if *who != people()[UNLINKED] {
            return None;
        }
        Some(id(&self.call("POST", "/v1/customers", &[("email", &who.email)]).await))
    }

    /// Gives a card to a customer.
    async fn attach(&self, card: &str, customer: &str) -> String {
        id(&self.call("POST", &format!("/v1/payment_methods/{card}/attach"), &[("customer", customer)]).await)
    }

    async fn resume(&self, who: &Billable) {
        for paused in self.of_customer(who, "subscriptions", "&status=paused").await {
            let method = self.attach(BY_HAND, paused["customer"].as_str().unwrap()).await;
            let path = format!("/v1/subscriptions/{}", id(&paused));
            self.call("POST", &path, &[("default_payment_method", &method)]).await;
            self.call("POST", &format!("{path}/resume"), &[]).await;
        }
    }

    /// The customers of this person that were not deleted.
    async fn customers(&self, who: &Billable) -> Vec<Value> {
        self.list(&format!("customers?email={}", who.email)).await
    }

    async fn of_customer(&self, who: &Billable, kind: &str, filter: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for customer in self.customers(who).await {
            found.extend(self.list(&format!("{kind}?customer={}{filter}", id(&customer))).await);
        }
        found
    }

    async fn set(&self, who: &Billable, fields: &[(&str, &str)]) {
        for subscription in self.of_customer(who, "subscriptions", "").await {
            self.call("POST", &format!("/v1/subscriptions/{}", id(&subscription)), fields).await;
        }
    }

    async fn price(&self, lookup_key: &str) -> String {
        id(&self.list(&format!("prices?lookup_keys[]={lookup_key}")).await[0])
    }

    async fn change_price(&self, who: &Billable, to: impl Fn(&str) -> &'static str, how: &[(&str, &str)]) {
        for subscription in self.of_customer(who, "subscriptions", "").await {
            let item = &subscription["items"]["data"][0];
            let price = self.price(to(item["price"]["lookup_key"].as_str().unwrap())).await;
            let mut fields = vec![
                ("items[0][id]", item["id"].as_str().unwrap()),
                ("items[0][price]", price.as_str()),
                ("proration_behavior", "always_invoice"),
            ];
            fields.extend(how);
            self.call("POST", &format!("/v1/subscriptions/{}", id(&subscription)), &fields).await;
        }
    }

    async fn on_open_invoice(&self, who: &Billable, what: &str) {
        if let Some(invoice) = self.of_customer(who, "invoices", "&status=open").await.last() {
            self.call("POST", &format!("/v1/invoices/{}/{what}", id(invoice)), &[]).await;
        }
    }

    /// The latest payment that succeeded, of a plan or of a purchase.
    async fn latest_payment(&self, who: &Billable) -> Option<String> {
        let all = self.of_customer(who, "payment_intents", "").await;
        all.iter().find(|payment| payment["status"] == "succeeded").map(id)
    }

    async fn refund(&self, who: &Billable, fields: &[(&str, &str)]) {
        if let Some(payment) = self.latest_payment(who).await {
            let fields: Vec<_> = fields.iter().copied().chain([("payment_intent", payment.as_str())]).collect();
            self.call("POST", "/v1/refunds", &fields).await;
        }
    }

    async fn credit(&self, who: &Billable, credit: Credit) {
        let all = self.of_customer(who, "invoices", "").await;
        let is_finalized = |invoice: &&Value| matches!(invoice["status"].as_str(), Some("open" | "paid"));
        let Some(invoice) = all.iter().find(is_finalized) else { return };
        let amount = |name: &str| invoice[name].as_i64().unwrap();
        let left =
            amount("total") - amount("pre_payment_credit_notes_amount") - amount("post_payment_credit_notes_amount");
        let credited = if matches!(credit, Credit::All) { left } else { left.min(300) }.to_string();
        let (invoice_id, is_open) = (id(invoice), invoice["status"] == "open");
        let mut fields = vec![("invoice", invoice_id.as_str()), ("amount", credited.as_str())];
        match credit {
            _ if is_open => {}
            Credit::Refund => fields.push(("refund_amount", &credited)),
            Credit::Part | Credit::All | Credit::Void => fields.push(("credit_amount", &credited)),
        }
        let note = self.call("POST", "/v1/credit_notes", &fields).await;
        if let (Credit::Void, Some(note)) = (credit, note["id"].as_str()) {
            self.call("POST", &format!("/v1/credit_notes/{note}"), &[("memo", "Sorry")]).await;
            self.call("POST", &format!("/v1/credit_notes/{note}/void"), &[]).await;
        }
    }

    async fn dispute(&self, who: &Billable, dispute: Dispute) {
        let Some(payment) = self.latest_payment(who).await else { return };
        let inquiry = if matches!(dispute, Dispute::Inquiry) { "true" } else { "false" };
        let disputed = self.sandbox.control(&format!("POST payments/{payment}/dispute"), &[("inquiry", inquiry)]);
        let Ok(disputed) = disputed else { return };
        let opened = id(&disputed);
        match dispute {
            Dispute::Inquiry | Dispute::Open => {}
            Dispute::Answered => {
                let evidence = [("evidence[uncategorized_text]", "winning_evidence")];
                self.call("POST", &format!("/v1/disputes/{opened}"), &evidence).await;
            }
            Dispute::Lost => drop(self.sandbox.control(&format!("POST disputes/{opened}/lose"), &[]).unwrap()),
        }
    }
}

/// The id of an object.
pub fn id(object: &Value) -> String {
    object["id"].as_str().unwrap_or_else(|| panic!("an object, not {object}")).to_owned()
}

fn plan_key(plan: Plan) -> &'static str {
    match (plan.enterprise, plan.yearly) {
        (false, false) => "tollgate_pro_month",
        (false, true) => "tollgate_pro_year",
        (true, false) => "tollgate_enterprise_month",
        (true, true) => "tollgate_enterprise_year",
    }
}

fn at_the_other_interval(lookup_key: &str) -> &'static str {
    let enterprise = lookup_key.starts_with("tollgate_enterprise");
    plan_key(Plan { enterprise, yearly: lookup_key.ends_with("_month") })
}

//! Subscriptions and their items.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fields::metadata;
use crate::ids;
use crate::objects::price::{Price, Recurring};
use crate::objects::typed::{List, Object, api_enum};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "subscription", default)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    application: Value,
    application_fee_percent: Value,
    automatic_tax: Value,
    pub(crate) billing_cycle_anchor: i64,
    billing_cycle_anchor_config: Value,
    pub(crate) billing_mode: BillingMode,
    billing_schedules: Vec<Value>,
    billing_thresholds: Value,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_details: CancellationDetails,
    pub(crate) collection_method: CollectionMethod,
    created: i64,
    pub(crate) currency: String,
    pub(crate) customer: String,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) default_payment_method: Option<String>,
    default_source: Value,
    default_tax_rates: Vec<Value>,
    pub(crate) description: Option<String>,
    discounts: Vec<Value>,
    pub(crate) ended_at: Option<i64>,
    invoice_settings: Value,
    items: List<SubscriptionItem>,
    pub(crate) latest_invoice: Option<String>,
    livemode: bool,
    pub(crate) metadata: Map<String, Value>,
    next_pending_invoice_item_invoice: Value,
    on_behalf_of: Value,
    pub(crate) pause_collection: Option<PauseCollection>,
    pub(crate) payment_settings: PaymentSettings,
    pending_invoice_item_interval: Value,
    pending_setup_intent: Value,
    pub(crate) pending_update: Option<PendingUpdate>,
    pub(crate) schedule: Option<String>,
    start_date: i64,
    pub(crate) status: SubscriptionStatus,
    pub(crate) status_details: Option<StatusDetails>,
    test_clock: Value,
    transfer_data: Value,
    pub(crate) trial_end: Option<i64>,
    pub(crate) trial_settings: TrialSettings,
    pub(crate) trial_start: Option<i64>,
    /// The subscription after its pending update.
    #[serde(rename = "_pending_change", skip_serializing_if = "Option::is_none")]
    pub(crate) pending_change: Option<Box<Subscription>>,
    /// Whether `trial_will_end` has been sent.
    #[serde(rename = "_warned", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) warned: bool,
}

/// The method of computing prorations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BillingMode {
    flexible: Value,
    #[serde(rename = "type")]
    kind: String,
    updated_at: Option<i64>,
}

/// The reason for a cancellation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CancellationDetails {
    pub(crate) comment: Option<String>,
    pub(crate) feedback: Option<String>,
    pub(crate) reason: Option<String>,
}

/// Details about the status, which only a paused subscription has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StatusDetails {
    paused: PausedDetails,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PausedDetails {
    subscription: PausedSubscription,
    #[serde(rename = "type")]
    kind: PausedBy,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PausedSubscription {
    #[serde(rename = "type")]
    reason: PauseReason,
}

/// The settings of paused collection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PauseCollection {
    pub(crate) behavior: PauseBehavior,
    pub(crate) resumes_at: Option<i64>,
}

/// A subscription's settings for payments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PaymentSettings {
    pub(crate) payment_method_options: Value,
    pub(crate) payment_method_types: Value,
    pub(crate) save_default_payment_method: SaveMethod,
}

/// An update that is applied when its invoice is paid.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PendingUpdate {
    billing_cycle_anchor: Option<i64>,
    pub(crate) expires_at: i64,
    pub(crate) subscription_items: Vec<SubscriptionItem>,
    pub(crate) trial_end: Option<i64>,
    trial_from_plan: Option<bool>,
}

/// A subscription's settings for trials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TrialSettings {
    pub(crate) end_behavior: EndBehavior,
}

/// The behavior at the end of a trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EndBehavior {
    pub(crate) missing_payment_method: MissingMethod,
}

api_enum! {
    /// The status of a subscription.
    SubscriptionStatus {
        #[default]
        Incomplete = "incomplete",
        IncompleteExpired = "incomplete_expired",
        Trialing = "trialing",
        Active = "active",
        PastDue = "past_due",
        Canceled = "canceled",
        Unpaid = "unpaid",
        Paused = "paused",
    }
}

api_enum! {
    /// The method of collecting invoices.
    CollectionMethod {
        #[default]
        ChargeAutomatically = "charge_automatically",
        SendInvoice = "send_invoice",
    }
}

api_enum! {
    /// The cause of a pause.
    PausedBy {
        #[default]
        Subscription = "subscription",
    }
}

api_enum! {
    /// The reason for which a subscription is paused.
    PauseReason {
        #[default]
        TrialEndWithoutPaymentMethod = "trial_end_without_payment_method",
        FinalPaymentFailure = "final_payment_failure",
    }
}

api_enum! {
    /// The treatment of invoices while collection is paused.
    PauseBehavior {
        #[default]
        KeepAsDraft = "keep_as_draft",
        MarkUncollectible = "mark_uncollectible",
        Void = "void",
    }
}

api_enum! {
    /// Whether a payment method that paid an invoice becomes the default one.
    SaveMethod {
        #[default]
        Off = "off",
        OnSubscription = "on_subscription",
    }
}

api_enum! {
    /// The behavior when a trial ends without a payment method.
    MissingMethod {
        #[default]
        CreateInvoice = "create_invoice",
        Cancel = "cancel",
        Pause = "pause",
    }
}

impl Object for Subscription {
    const KIND: &'static str = "subscription";
}

impl SubscriptionStatus {
    /// Returns whether the subscription has ended and cannot be revived.
    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

impl BillingMode {
    /// Creates the billing mode of a type, `classic` or `flexible`.
    pub(crate) fn new(kind: &str) -> Self {
        let flexible = match kind {
            "flexible" => json!({ "proration_discounts": "included" }),
            _ => Value::Null,
        };
        Self { flexible, kind: kind.to_owned(), updated_at: None }
    }

    pub(crate) fn is_flexible(&self) -> bool {
        self.kind == "flexible"
    }
}

impl PendingUpdate {
    /// Creates an update to the items and the trial of a changed subscription.
    pub(crate) fn new(items: &[SubscriptionItem], trial_end: Option<i64>, expires_at: i64) -> Self {
        Self { expires_at, subscription_items: items.to_vec(), trial_end, ..Self::default() }
    }
}

impl Subscription {
    /// Creates a subscription without items, status and dates, which `flows` sets.
    pub(crate) fn new(customer: &str, currency: &str, now: i64) -> Self {
        let id = ids::new("sub_");
        Self {
            automatic_tax: json!({ "disabled_reason": null, "enabled": false, "liability": null }),
            billing_cycle_anchor: now,
            billing_mode: BillingMode::new("flexible"),
            created: now,
            currency: currency.to_owned(),
            customer: customer.to_owned(),
            invoice_settings: json!({ "account_tax_ids": null, "issuer": { "type": "self" } }),
            items: List::new(Vec::new(), format!("/v1/subscription_items?subscription={id}")),
            start_date: now,
            id,
            ..Self::default()
        }
    }

    /// Pauses the subscription.
    pub(crate) fn pause(&mut self, reason: PauseReason) {
        self.status = SubscriptionStatus::Paused;
        let subscription = PausedSubscription { reason };
        self.status_details =
            Some(StatusDetails { paused: PausedDetails { subscription, kind: PausedBy::Subscription } });
    }

    /// Changes the status to one that has no details.
    pub(crate) fn set_status(&mut self, status: SubscriptionStatus) {
        self.status = status;
        self.status_details = None;
    }

    pub(crate) fn items(&self) -> &[SubscriptionItem] {
        &self.items.data
    }

    pub(crate) fn set_items(&mut self, items: Vec<SubscriptionItem>) {
        self.items.set(items);
    }

    /// Returns the current period, which all items share.
    pub(crate) fn period(&self) -> (i64, i64) {
        self.items().first().map_or((0, 0), |item| (item.current_period_start, item.current_period_end))
    }

    pub(crate) fn set_period(&mut self, (start, end): (i64, i64)) {
        for item in &mut self.items.data {
            item.current_period_start = start;
            item.current_period_end = end;
        }
    }

    /// Returns the interval of the prices, and the number of intervals in a period; all items share both.
    pub(crate) fn interval(&self) -> (&str, i64) {
        let recurring = self.items().first().and_then(|item| item.price.recurring.as_ref());
        recurring.map_or(("", 1), Recurring::period)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "subscription_item", default)]
pub(crate) struct SubscriptionItem {
    pub(crate) id: String,
    billing_thresholds: Value,
    created: i64,
    pub(crate) current_period_end: i64,
    pub(crate) current_period_start: i64,
    discounts: Vec<Value>,
    pub(crate) metadata: Map<String, Value>,
    plan: Value,
    pub(crate) price: Price,
    /// Absent for a metered item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quantity: Option<i64>,
    pub(crate) subscription: String,
    tax_rates: Vec<Value>,
}

impl Object for SubscriptionItem {
    const KIND: &'static str = "subscription_item";
}

impl SubscriptionItem {
    /// Creates an item with its current period.
    pub(crate) fn new(
        subscription: &str,
        price: Price,
        quantity: Option<i64>,
        (start, end): (i64, i64),
        params: &Value,
        now: i64,
    ) -> Self {
        Self {
            id: ids::new("si_"),
            created: now,
            current_period_end: end,
            current_period_start: start,
            metadata: metadata(params),
            plan: price.plan(),
            quantity: (!price.is_metered()).then(|| quantity.unwrap_or(1)),
            price,
            subscription: subscription.to_owned(),
            ..Self::default()
        }
    }

    /// Returns the item with another price or quantity; it keeps its id and period.
    pub(crate) fn with_price(&self, price: Option<Price>, quantity: Option<i64>) -> Self {
        let mut changed = self.clone();
        if let Some(price) = price {
            changed.plan = price.plan();
            changed.price = price;
        }
        changed.quantity = (!changed.is_metered()).then(|| quantity.or(self.quantity).unwrap_or(1));
        changed
    }

    /// Returns a metered item with its usage as the quantity.
    pub(crate) fn with_usage(&self, quantity: i64) -> Self {
        Self { quantity: Some(quantity), ..self.clone() }
    }

    /// Returns whether the item is billed by reported usage, after the period.
    pub(crate) fn is_metered(&self) -> bool {
        self.price.is_metered()
    }

    /// Returns the price of the item for a full period.
    pub(crate) fn full_price(&self) -> i64 {
        self.price.times(self.quantity.unwrap_or_default())
    }
}

//! PaymentIntents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fields::{assign, merge};
use crate::ids;
use crate::objects::typed::{Object, api_enum};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "payment_intent", default)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) amount: i64,
    amount_capturable: i64,
    amount_details: Value,
    amount_received: i64,
    application: Value,
    application_fee_amount: Value,
    pub(crate) automatic_payment_methods: Value,
    canceled_at: Option<i64>,
    cancellation_reason: Option<String>,
    capture_method: String,
    client_secret: String,
    confirmation_method: String,
    created: i64,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    excluded_payment_method_types: Value,
    pub(crate) last_payment_error: Value,
    pub(crate) latest_charge: Option<String>,
    livemode: bool,
    pub(crate) metadata: Map<String, Value>,
    next_action: Value,
    on_behalf_of: Value,
    pub(crate) payment_method: Option<String>,
    payment_method_configuration_details: Value,
    payment_method_options: Value,
    pub(crate) payment_method_types: Vec<String>,
    processing: Value,
    pub(crate) receipt_email: Option<String>,
    review: Value,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) shipping: Value,
    source: Value,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) status: IntentStatus,
    transfer_data: Value,
    transfer_group: Value,
    /// The invoice that the payment pays.
    #[serde(rename = "_invoice", skip_serializing_if = "Option::is_none")]
    pub(crate) invoice: Option<String>,
    /// The URL to return to after 3-D Secure.
    #[serde(rename = "_return_url", skip_serializing_if = "Option::is_none")]
    pub(crate) return_url: Option<String>,
    /// The time at which a bank debit settles or fails.
    #[serde(rename = "_settles_at", skip_serializing_if = "Option::is_none")]
    pub(crate) settles_at: Option<i64>,
}

api_enum! {
    /// The status of a PaymentIntent.
    IntentStatus {
        #[default]
        RequiresPaymentMethod = "requires_payment_method",
        RequiresConfirmation = "requires_confirmation",
        RequiresAction = "requires_action",
        Processing = "processing",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

impl Object for PaymentIntent {
    const KIND: &'static str = "payment_intent";
}

impl PaymentIntent {
    /// Creates a PaymentIntent that requires a payment method.
    pub(crate) fn new(amount: i64, currency: &str, customer: Option<&str>, now: i64) -> Self {
        let id = ids::new("pi_");
        Self {
            amount,
            amount_details: json!({ "tip": {} }),
            capture_method: "automatic".to_owned(),
            client_secret: ids::client_secret(&id),
            confirmation_method: "automatic".to_owned(),
            created: now,
            currency: currency.to_owned(),
            customer: customer.map(str::to_owned),
            payment_method_options: json!({
                "card": {
                    "installments": null, "mandate_options": null, "network": null,
                    "request_three_d_secure": "automatic",
                },
            }),
            payment_method_types: vec!["card".to_owned()],
            id,
            ..Self::default()
        }
    }

    /// Applies the parameters that describe a payment.
    pub(crate) fn describe(&mut self, params: &Value) {
        assign(&mut self.description, params, "description");
        assign(&mut self.receipt_email, params, "receipt_email");
        assign(&mut self.setup_future_usage, params, "setup_future_usage");
        assign(&mut self.statement_descriptor, params, "statement_descriptor");
        assign(&mut self.statement_descriptor_suffix, params, "statement_descriptor_suffix");
        if let Some(shipping) = params.get("shipping") {
            self.shipping = Some(shipping).filter(|shipping| shipping.is_object()).cloned().unwrap_or_default();
        }
        merge(&mut self.metadata, params);
    }

    /// Returns whether the payment has succeeded or is canceled.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.status, IntentStatus::Succeeded | IntentStatus::Canceled)
    }

    /// Returns the charge of the latest attempt, or `""`.
    pub(crate) fn charge(&self) -> &str {
        self.latest_charge.as_deref().unwrap_or_default()
    }

    /// Requires 3-D Secure, on the page at `url`.
    pub(crate) fn require_action(&mut self, method: &str, url: &str) {
        self.status = IntentStatus::RequiresAction;
        self.payment_method = Some(method.to_owned());
        self.last_payment_error = Value::Null;
        self.next_action = json!({
            "redirect_to_url": { "return_url": self.return_url, "url": url },
            "type": "redirect_to_url",
        });
    }

    /// Records a charge in progress.
    pub(crate) fn process(&mut self, method: &str, charge: &str, settles_at: i64) {
        self.status = IntentStatus::Processing;
        self.payment_method = Some(method.to_owned());
        self.latest_charge = Some(charge.to_owned());
        self.last_payment_error = Value::Null;
        self.settles_at = Some(settles_at);
    }

    /// Records that the amount has been received.
    pub(crate) fn succeed(&mut self) {
        self.status = IntentStatus::Succeeded;
        self.amount_received = self.amount;
        self.last_payment_error = Value::Null;
        self.next_action = Value::Null;
        self.settles_at = None;
    }

    /// Records a failed attempt; another payment method can be tried.
    pub(crate) fn fail(&mut self, error: Value) {
        self.status = IntentStatus::RequiresPaymentMethod;
        self.last_payment_error = error;
        self.payment_method = None;
        self.next_action = Value::Null;
        self.settles_at = None;
    }

    pub(crate) fn cancel(&mut self, reason: Option<&str>, now: i64) {
        self.status = IntentStatus::Canceled;
        self.canceled_at = Some(now);
        self.cancellation_reason = reason.map(str::to_owned);
        self.next_action = Value::Null;
    }
}

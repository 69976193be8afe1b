//! Checkout Sessions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::DAY;
use crate::fields::{Fields, assign, merge, metadata};
use crate::ids;
use crate::objects::price::Price;
use crate::objects::typed::{Object, api_enum};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "checkout.session", default)]
pub(crate) struct CheckoutSession {
    pub(crate) id: String,
    adaptive_pricing: Value,
    after_expiration: Value,
    allow_promotion_codes: Option<bool>,
    amount_subtotal: i64,
    pub(crate) amount_total: i64,
    automatic_tax: Value,
    billing_address_collection: Option<String>,
    branding_settings: Value,
    pub(crate) cancel_url: Option<String>,
    client_reference_id: Option<String>,
    client_secret: Value,
    collected_information: Value,
    consent: Value,
    consent_collection: Value,
    created: i64,
    pub(crate) currency: String,
    currency_conversion: Value,
    custom_fields: Vec<Value>,
    pub(crate) custom_text: CustomText,
    pub(crate) customer: Option<String>,
    customer_account: Value,
    pub(crate) customer_creation: Option<CustomerCreation>,
    pub(crate) customer_details: Option<CustomerDetails>,
    pub(crate) customer_email: Option<String>,
    discounts: Vec<Value>,
    pub(crate) expires_at: i64,
    integration_identifier: Option<String>,
    pub(crate) invoice: Option<String>,
    pub(crate) invoice_creation: Option<InvoiceCreation>,
    livemode: bool,
    locale: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) mode: SessionMode,
    origin_context: Option<String>,
    pub(crate) payment_intent: Option<String>,
    payment_link: Value,
    pub(crate) payment_method_collection: MethodCollection,
    payment_method_configuration_details: Value,
    payment_method_options: Value,
    pub(crate) payment_method_types: Vec<String>,
    pub(crate) payment_status: PaymentStatus,
    permissions: Value,
    phone_number_collection: Value,
    recovered_from: Value,
    saved_payment_method_options: Value,
    setup_intent: Value,
    shipping_address_collection: Value,
    shipping_cost: Value,
    shipping_options: Vec<Value>,
    pub(crate) status: SessionStatus,
    submit_type: Option<String>,
    pub(crate) subscription: Option<String>,
    success_url: Option<String>,
    tax_id_collection: Value,
    total_details: Value,
    ui_mode: String,
    pub(crate) url: Option<String>,
    wallet_options: Value,
    /// The customer created by a declined attempt.
    #[serde(rename = "_customer", skip_serializing_if = "Option::is_none")]
    pub(crate) attempted_customer: Option<String>,
    /// The PaymentIntent of the first attempt.
    #[serde(rename = "_payment_intent", skip_serializing_if = "Option::is_none")]
    pub(crate) attempted_intent: Option<String>,
    /// The reason why the 3-D Secure step failed, for the page.
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(rename = "_line_items")]
    items: Vec<SessionItem>,
    #[serde(rename = "_params")]
    pub(crate) params: SessionParams,
    /// The submitted form that waits for 3-D Secure.
    #[serde(rename = "_pending", skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<PendingForm>,
}

/// Custom text on the page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CustomText {
    pub(crate) after_submit: Option<CustomMessage>,
    shipping_address: Option<CustomMessage>,
    pub(crate) submit: Option<CustomMessage>,
    terms_of_service_acceptance: Option<CustomMessage>,
}

/// A custom text on the page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CustomMessage {
    pub(crate) message: String,
}

/// The payer of a completed session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CustomerDetails {
    address: Value,
    business_name: Value,
    email: String,
    individual_name: Value,
    name: String,
    phone: Value,
    tax_exempt: String,
    tax_ids: Vec<Value>,
}

/// Whether a payment creates an invoice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InvoiceCreation {
    pub(crate) enabled: bool,
    pub(crate) invoice_data: Value,
}

/// Parameters that apply when the session is completed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SessionParams {
    pub(crate) customer_update: Value,
    pub(crate) payment_intent_data: Value,
    pub(crate) subscription_data: Value,
}

/// A submitted form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PendingForm {
    pub(crate) email: String,
    /// The id of the payment method.
    pub(crate) method: String,
    pub(crate) name: String,
}

api_enum! {
    /// The type of purchase.
    SessionMode {
        #[default]
        Payment = "payment",
        Subscription = "subscription",
    }
}

api_enum! {
    /// The status of a session.
    SessionStatus {
        #[default]
        Open = "open",
        Complete = "complete",
        Expired = "expired",
    }
}

api_enum! {
    /// Whether a session is paid.
    PaymentStatus {
        #[default]
        Unpaid = "unpaid",
        Paid = "paid",
        NoPaymentRequired = "no_payment_required",
    }
}

api_enum! {
    /// Whether a payment creates a customer.
    CustomerCreation {
        #[default]
        IfRequired = "if_required",
        Always = "always",
    }
}

api_enum! {
    /// Whether the page asks for a payment method when nothing is due.
    MethodCollection {
        #[default]
        Always = "always",
        IfRequired = "if_required",
    }
}

impl Object for CheckoutSession {
    const KIND: &'static str = "checkout.session";
}

impl CheckoutSession {
    /// Creates an open session with default values.
    pub(crate) fn new(now: i64) -> Self {
        Self {
            id: ids::session(),
            adaptive_pricing: json!({ "enabled": false }),
            automatic_tax: json!({ "enabled": false, "liability": null, "provider": null, "status": null }),
            created: now,
            expires_at: now + DAY,
            payment_method_options: json!({ "card": { "request_three_d_secure": "automatic" } }),
            payment_method_types: vec!["card".to_owned()],
            phone_number_collection: json!({ "enabled": false }),
            total_details: json!({ "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 }),
            ui_mode: "hosted_page".to_owned(),
            ..Self::default()
        }
    }

    /// Applies the parameters that are stored unchanged.
    pub(crate) fn apply(&mut self, params: &Value) {
        if let Some(allowed) = params.get("allow_promotion_codes") {
            self.allow_promotion_codes = allowed.as_bool();
        }
        assign(&mut self.billing_address_collection, params, "billing_address_collection");
        assign(&mut self.cancel_url, params, "cancel_url");
        assign(&mut self.client_reference_id, params, "client_reference_id");
        assign(&mut self.customer_email, params, "customer_email");
        assign(&mut self.integration_identifier, params, "integration_identifier");
        assign(&mut self.locale, params, "locale");
        assign(&mut self.origin_context, params, "origin_context");
        assign(&mut self.submit_type, params, "submit_type");
        assign(&mut self.success_url, params, "success_url");
        for (key, field) in [
            ("saved_payment_method_options", &mut self.saved_payment_method_options),
            ("wallet_options", &mut self.wallet_options),
        ] {
            if let Some(sent) = params.get(key) {
                *field = sent.clone();
            }
        }
        let text = |field: &str| {
            let sent = params["custom_text"].get(field).filter(|text| text.is_object());
            sent.map(|text| CustomMessage { message: text.text("message").to_owned() })
        };
        self.custom_text = CustomText {
            after_submit: text("after_submit"),
            shipping_address: text("shipping_address"),
            submit: text("submit"),
            terms_of_service_acceptance: text("terms_of_service_acceptance"),
        };
        merge(&mut self.metadata, params);
    }

    /// Sets the items and the amount due.
    pub(crate) fn set_items(&mut self, items: Vec<SessionItem>, due: i64) {
        self.items = items;
        self.amount_subtotal = due;
        self.amount_total = due;
        self.payment_status = if due == 0 { PaymentStatus::NoPaymentRequired } else { PaymentStatus::Unpaid };
    }

    pub(crate) fn items(&self) -> &[SessionItem] {
        &self.items
    }

    /// Returns whether the session sells a subscription.
    pub(crate) fn subscribes(&self) -> bool {
        self.mode == SessionMode::Subscription
    }

    /// Returns whether the session accepts a type of payment method.
    pub(crate) fn accepts(&self, kind: &str) -> bool {
        self.payment_method_types.iter().any(|accepted| accepted == kind)
    }

    /// Returns the success URL with the session's id filled in.
    pub(crate) fn success_url(&self) -> String {
        let url = self.success_url.as_deref().unwrap_or_default();
        url.replace("{CHECKOUT_SESSION_ID}", &self.id).replace("%7BCHECKOUT_SESSION_ID%7D", &self.id)
    }
}

impl CustomerDetails {
    /// Returns the details of a payer.
    pub(crate) fn new(email: &str, name: &str) -> Self {
        Self { email: email.to_owned(), name: name.to_owned(), tax_exempt: "none".to_owned(), ..Self::default() }
    }
}

impl InvoiceCreation {
    /// Reads the parameter `invoice_creation`.
    pub(crate) fn new(params: &Value) -> Self {
        let data = &params["invoice_data"];
        Self {
            enabled: params.flag("enabled"),
            invoice_data: json!({
                "account_tax_ids": null, "custom_fields": null, "issuer": null,
                "description": data.some("description"), "footer": data.some("footer"),
                "metadata": metadata(data), "rendering_options": null,
            }),
        }
    }
}

/// A line item of a Checkout Session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "item", default)]
pub(crate) struct SessionItem {
    id: String,
    adjustable_quantity: Value,
    amount_discount: i64,
    amount_subtotal: i64,
    amount_tax: i64,
    pub(crate) amount_total: i64,
    pub(crate) currency: String,
    pub(crate) description: String,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) price: Price,
    /// `None` for a metered price.
    pub(crate) quantity: Option<i64>,
}

impl SessionItem {
    /// Creates a line item. A metered price has no quantity, and nothing is due for it.
    pub(crate) fn new(price: Price, quantity: Option<i64>, description: String, params: &Value) -> Self {
        let amount = quantity.map_or(0, |quantity| price.times(quantity));
        Self {
            id: ids::new("li_"),
            amount_subtotal: amount,
            amount_total: amount,
            currency: price.currency.clone(),
            description,
            metadata: metadata(params),
            price,
            quantity,
            ..Self::default()
        }
    }

    /// Returns whether the item is billed once.
    pub(crate) fn is_one_time(&self) -> bool {
        self.price.recurring.is_none()
    }
}

//! Invoices and their payments.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::DAY;
use crate::fields::{assign, merge};
use crate::ids;
use crate::objects::customer::{Customer, TaxExempt};
use crate::objects::invoice_line::InvoiceLine;
use crate::objects::payment_intent::PaymentIntent;
use crate::objects::subscription::{CollectionMethod, Subscription};
use crate::objects::typed::{List, Object, api_enum};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "invoice", default)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    account_country: String,
    account_name: String,
    account_tax_ids: Value,
    pub(crate) amount_due: i64,
    amount_overpaid: i64,
    pub(crate) amount_paid: i64,
    pub(crate) amount_remaining: i64,
    amount_shipping: i64,
    application: Value,
    pub(crate) attempt_count: i64,
    pub(crate) attempted: bool,
    pub(crate) auto_advance: bool,
    automatic_tax: Value,
    pub(crate) automatically_finalizes_at: Option<i64>,
    pub(crate) billing_reason: BillingReason,
    pub(crate) collection_method: CollectionMethod,
    pub(crate) created: i64,
    pub(crate) currency: String,
    custom_fields: Value,
    pub(crate) customer: String,
    customer_address: Value,
    pub(crate) customer_email: Option<String>,
    pub(crate) customer_name: Option<String>,
    customer_phone: Option<String>,
    customer_shipping: Value,
    customer_tax_exempt: TaxExempt,
    customer_tax_ids: Vec<Value>,
    pub(crate) default_payment_method: Option<String>,
    default_source: Value,
    default_tax_rates: Vec<Value>,
    description: Option<String>,
    discounts: Vec<Value>,
    pub(crate) due_date: Option<i64>,
    pub(crate) effective_at: Option<i64>,
    pub(crate) ending_balance: Option<i64>,
    footer: Option<String>,
    from_invoice: Value,
    pub(crate) hosted_invoice_url: Option<String>,
    pub(crate) invoice_pdf: Option<String>,
    issuer: Value,
    last_finalization_error: Value,
    latest_revision: Value,
    lines: List<InvoiceLine>,
    livemode: bool,
    metadata: Map<String, Value>,
    pub(crate) next_payment_attempt: Option<i64>,
    pub(crate) number: Option<String>,
    on_behalf_of: Value,
    parent: Option<InvoiceParent>,
    payment_settings: Value,
    period_end: i64,
    period_start: i64,
    pub(crate) post_payment_credit_notes_amount: i64,
    pub(crate) pre_payment_credit_notes_amount: i64,
    receipt_number: Value,
    rendering: Value,
    shipping_cost: Value,
    shipping_details: Value,
    pub(crate) starting_balance: i64,
    statement_descriptor: Value,
    pub(crate) status: InvoiceStatus,
    pub(crate) status_transitions: StatusTransitions,
    subtotal: i64,
    subtotal_excluding_tax: i64,
    test_clock: Value,
    pub(crate) total: i64,
    total_discount_amounts: Vec<Value>,
    total_excluding_tax: i64,
    total_pretax_credit_amounts: Vec<Value>,
    total_taxes: Vec<Value>,
    webhooks_delivered_at: Option<i64>,
    /// The charge that paid the invoice.
    #[serde(rename = "_charge", skip_serializing_if = "Option::is_none")]
    pub(crate) charge: Option<String>,
    /// Whether a bank debit is in progress.
    #[serde(rename = "_debited", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) debited: bool,
    /// Whether the invoice was paid outside Stripe.
    #[serde(rename = "_out_of_band", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) out_of_band: bool,
    /// Whether the passing of the due date has been handled.
    #[serde(rename = "_overdue", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) overdue: bool,
    #[serde(rename = "_payment_intent", skip_serializing_if = "Option::is_none")]
    pub(crate) payment_intent: Option<String>,
    /// The secret in the URL of the hosted page.
    #[serde(rename = "_secret", skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// The origin of an invoice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct InvoiceParent {
    quote_details: Value,
    subscription_details: InvoiceOwner,
    #[serde(rename = "type")]
    kind: String,
}

/// The subscription that an invoice bills.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct InvoiceOwner {
    metadata: Map<String, Value>,
    subscription: String,
    /// The time of the prorations; only a preview has the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_proration_date: Option<Option<i64>>,
}

/// The times of an invoice's status changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StatusTransitions {
    pub(crate) finalized_at: Option<i64>,
    pub(crate) marked_uncollectible_at: Option<i64>,
    pub(crate) paid_at: Option<i64>,
    pub(crate) voided_at: Option<i64>,
}

api_enum! {
    /// The status of an invoice.
    InvoiceStatus {
        #[default]
        Draft = "draft",
        Open = "open",
        Paid = "paid",
        Uncollectible = "uncollectible",
        Void = "void",
    }
}

api_enum! {
    /// The reason for an invoice.
    BillingReason {
        #[default]
        Manual = "manual",
        SubscriptionCreate = "subscription_create",
        SubscriptionCycle = "subscription_cycle",
        SubscriptionUpdate = "subscription_update",
        /// A preview of the next renewal.
        Upcoming = "upcoming",
    }
}

impl Object for Invoice {
    const KIND: &'static str = "invoice";
}

impl Invoice {
    /// Creates a draft without lines.
    pub(crate) fn new(
        customer: &Customer,
        currency: &str,
        reason: BillingReason,
        period: (i64, i64),
        now: i64,
    ) -> Self {
        Self {
            id: ids::new("in_"),
            account_country: "US".to_owned(),
            account_name: "Sandbox".to_owned(),
            auto_advance: true,
            automatic_tax: json!({
                "disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null,
            }),
            billing_reason: reason,
            created: now,
            currency: currency.to_owned(),
            customer: customer.id.clone(),
            customer_address: customer.address.clone(),
            customer_email: customer.email.clone(),
            customer_name: customer.name.clone(),
            customer_phone: customer.phone.clone(),
            customer_shipping: customer.shipping.clone(),
            customer_tax_exempt: customer.tax_exempt,
            issuer: json!({ "type": "self" }),
            payment_settings: json!({
                "default_mandate": null, "payment_method_options": null, "payment_method_types": null,
            }),
            period_end: period.1,
            period_start: period.0,
            webhooks_delivered_at: Some(now),
            ..Self::default()
        }
    }

    pub(crate) fn lines(&self) -> &[InvoiceLine] {
        &self.lines.data
    }

    /// Sets the lines and the total.
    pub(crate) fn set_lines(&mut self, mut lines: Vec<InvoiceLine>) {
        for line in &mut lines {
            line.invoice = Some(self.id.clone());
        }
        self.total = lines.iter().map(|line| line.amount).sum();
        self.total_excluding_tax = self.total;
        self.subtotal = self.total;
        self.subtotal_excluding_tax = self.total;
        self.lines = List::new(lines, format!("/v1/invoices/{}/lines", self.id));
    }

    /// Makes the invoice bill a subscription.
    pub(crate) fn set_subscription(&mut self, subscription: &Subscription) {
        self.parent = Some(InvoiceParent {
            quote_details: Value::Null,
            subscription_details: InvoiceOwner {
                metadata: subscription.metadata.clone(),
                subscription: subscription.id.clone(),
                subscription_proration_date: None,
            },
            kind: "subscription_details".to_owned(),
        });
    }

    /// Returns the subscription that the invoice bills.
    pub(crate) fn subscription(&self) -> Option<&str> {
        self.parent.as_ref().map(|parent| parent.subscription_details.subscription.as_str())
    }

    /// Makes the invoice a preview, which has no id.
    pub(crate) fn make_preview(&mut self, proration_date: Option<i64>) {
        self.id = self.id.replacen("in_", "upcoming_in_", 1);
        if let Some(parent) = &mut self.parent {
            parent.subscription_details.subscription_proration_date = Some(proration_date);
        }
    }

    /// Applies the parameters that can be set both on creation and by an update.
    pub(crate) fn apply(&mut self, params: &Value) {
        assign(&mut self.default_payment_method, params, "default_payment_method");
        assign(&mut self.description, params, "description");
        assign(&mut self.footer, params, "footer");
        merge(&mut self.metadata, params);
    }

    /// Makes the invoice one to send, due the given number of days after its creation.
    pub(crate) fn send_later(&mut self, days: i64) {
        self.collection_method = CollectionMethod::SendInvoice;
        self.due_date = Some(self.created + days * DAY);
    }

    /// Returns whether the invoice is sent to the customer rather than charged.
    pub(crate) fn is_sent(&self) -> bool {
        self.collection_method == CollectionMethod::SendInvoice
    }

    /// Returns the PaymentIntent, or `""`.
    pub(crate) fn intent(&self) -> &str {
        self.payment_intent.as_deref().unwrap_or_default()
    }
}

/// Creates the InvoicePayment of an invoice and its PaymentIntent.
pub(crate) fn invoice_payment(invoice: &Invoice, intent: &PaymentIntent, now: i64) -> Value {
    json!({
        "id": ids::new("inpay_"),
        "object": "invoice_payment",
        "amount_paid": null,
        "amount_requested": intent.amount,
        "created": now,
        "currency": invoice.currency,
        "invoice": invoice.id,
        "is_default": true,
        "livemode": false,
        "payment": { "payment_intent": intent.id, "type": "payment_intent" },
        "status": "open",
        "status_transitions": { "canceled_at": null, "paid_at": null },
    })
}

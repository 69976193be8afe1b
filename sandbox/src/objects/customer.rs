//! Customers.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::ids;
use crate::objects::typed::Object;
use crate::store::Tx;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "customer", default)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) address: Value,
    /// A negative balance is credit.
    pub(crate) balance: i64,
    created: i64,
    pub(crate) currency: Option<String>,
    default_source: Option<String>,
    pub(crate) delinquent: bool,
    description: Option<String>,
    discount: Value,
    pub(crate) email: Option<String>,
    pub(crate) invoice_prefix: String,
    pub(crate) invoice_settings: InvoiceSettings,
    livemode: bool,
    metadata: Map<String, Value>,
    pub(crate) name: Option<String>,
    pub(crate) next_invoice_sequence: i64,
    pub(crate) phone: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    preferred_locales: Vec<String>,
    pub(crate) shipping: Value,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) tax_exempt: TaxExempt,
    test_clock: Value,
    /// The number of charges to decline next, as requested with a control.
    #[serde(rename = "_decline_next", skip_serializing_if = "is_zero")]
    pub(crate) decline_next: i64,
}

/// A customer's settings for invoices.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InvoiceSettings {
    custom_fields: Value,
    pub(crate) default_payment_method: Option<String>,
    footer: Option<String>,
    rendering_options: Value,
}

/// Whether a customer is exempt from tax.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaxExempt {
    #[default]
    None,
    Exempt,
    Reverse,
}

impl Object for Customer {
    const KIND: &'static str = "customer";
}

impl Customer {
    /// Creates a customer without details.
    pub(crate) fn new(now: i64) -> Self {
        Self {
            id: ids::new("cus_"),
            created: now,
            invoice_prefix: ids::new("")[..8].to_ascii_uppercase(),
            next_invoice_sequence: 1,
            ..Self::default()
        }
    }

    /// Applies the parameters of creating or updating a customer.
    pub(crate) fn apply(&mut self, params: &Value) -> Result<(), ApiError> {
        let mut changed = self.to_json()?;
        copy(&mut changed, params, FIELDS);
        merge_metadata(&mut changed, params);
        if changed["balance"].is_null() {
            changed.set("balance", 0);
        }
        if let Some(settings) = params.get("invoice_settings") {
            copy(&mut changed["invoice_settings"], settings, &["default_payment_method", "footer"]);
        }
        *self = Self::from_json(changed)?;
        Ok(())
    }

    pub(crate) fn default_payment_method(&self) -> Option<&str> {
        self.invoice_settings.default_payment_method.as_deref().or(self.default_source.as_deref())
    }
}

impl Tx<'_> {
    /// Returns the customer that the parameter `customer` names; a deleted one counts as missing.
    pub(crate) fn customer(&self, id: &str) -> Result<Customer, ApiError> {
        self.read_param(id, "customer")
    }
}

/// The parameters that set a field of the same name.
const FIELDS: &[&str] = &[
    "address",
    "balance",
    "description",
    "email",
    "invoice_prefix",
    "name",
    "next_invoice_sequence",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
];

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

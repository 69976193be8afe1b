//! Prices.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fields::{Fields, assign, merge, metadata};
use crate::ids;
use crate::objects::typed::{Object, api_enum};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "price", default)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) active: bool,
    billing_scheme: String,
    created: i64,
    pub(crate) currency: String,
    custom_unit_amount: Value,
    livemode: bool,
    pub(crate) lookup_key: Option<String>,
    metadata: Map<String, Value>,
    nickname: Option<String>,
    pub(crate) product: String,
    /// `None` for a one-time price.
    pub(crate) recurring: Option<Recurring>,
    tax_behavior: String,
    tiers_mode: Value,
    transform_quantity: Value,
    #[serde(rename = "type")]
    kind: Kind,
    /// `None` when the amount is not a whole number.
    pub(crate) unit_amount: Option<i64>,
    pub(crate) unit_amount_decimal: String,
}

/// The interval at which a price is charged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Recurring {
    pub(crate) interval: String,
    pub(crate) interval_count: i64,
    pub(crate) meter: Option<String>,
    trial_period_days: Option<i64>,
    usage_type: UsageType,
}

api_enum! {
    /// Whether a price is one-time or recurring.
    Kind {
        #[default]
        OneTime = "one_time",
        Recurring = "recurring",
    }
}

api_enum! {
    /// The source of a recurring price's quantity.
    UsageType {
        /// Set with the subscription.
        #[default]
        Licensed = "licensed",
        /// Reported usage.
        Metered = "metered",
    }
}

impl Object for Price {
    const KIND: &'static str = "price";
}

impl Price {
    /// Creates a price of `product`; the caller has validated the currency and the amount.
    pub(crate) fn new(params: &Value, product: &str, amount: (Option<i64>, String), now: i64) -> Self {
        let (unit_amount, unit_amount_decimal) = amount;
        let recurring = params.get("recurring").map(Recurring::new);
        Self {
            id: ids::new("price_"),
            active: true,
            billing_scheme: "per_unit".to_owned(),
            created: now,
            currency: params.text("currency").to_owned(),
            metadata: metadata(params),
            product: product.to_owned(),
            tax_behavior: params.some("tax_behavior").unwrap_or("unspecified").to_owned(),
            kind: if recurring.is_some() { Kind::Recurring } else { Kind::OneTime },
            recurring,
            unit_amount,
            unit_amount_decimal,
            ..Self::default()
        }
    }

    /// Applies the parameters that can be set both on creation and by an update.
    pub(crate) fn apply(&mut self, params: &Value) {
        if let Some(active) = params.get("active").and_then(Value::as_bool) {
            self.active = active;
        }
        assign(&mut self.nickname, params, "nickname");
    }

    /// Applies the parameters of an update.
    pub(crate) fn update(&mut self, params: &Value) {
        self.apply(params);
        if let Some(behavior) = params.some("tax_behavior") {
            behavior.clone_into(&mut self.tax_behavior);
        }
        merge(&mut self.metadata, params);
    }

    /// Returns whether the price is billed by reported usage, after the period.
    pub(crate) fn is_metered(&self) -> bool {
        self.recurring.as_ref().is_some_and(Recurring::is_metered)
    }

    /// Returns the price of a quantity.
    pub(crate) fn times(&self, quantity: i64) -> i64 {
        crate::money::times(&self.unit_amount_decimal, quantity)
    }

    /// Returns the amount as text: "$19.00".
    pub(crate) fn formatted(&self) -> String {
        crate::money::format_decimal(&self.unit_amount_decimal, &self.currency)
    }

    /// Returns the legacy plan object that subscription items still include alongside the price.
    pub(crate) fn plan(&self) -> Value {
        let recurring = self.recurring.as_ref();
        json!({
            "id": self.id,
            "object": "plan",
            "active": self.active,
            "amount": self.unit_amount,
            "amount_decimal": self.unit_amount_decimal,
            "billing_scheme": "per_unit",
            "created": self.created,
            "currency": self.currency,
            "interval": recurring.map(|recurring| &recurring.interval),
            "interval_count": recurring.map(|recurring| recurring.interval_count),
            "livemode": false,
            "metadata": self.metadata,
            "meter": recurring.and_then(|recurring| recurring.meter.as_ref()),
            "nickname": self.nickname,
            "product": self.product,
            "tiers_mode": null,
            "transform_usage": null,
            "trial_period_days": null,
            "usage_type": recurring.map(|recurring| recurring.usage_type),
        })
    }

    /// Returns the `pricing` of an invoice line or item.
    pub(crate) fn pricing(&self) -> Value {
        json!({
            "price_details": { "price": self.id, "product": self.product },
            "type": "price_details",
            "unit_amount_decimal": self.unit_amount_decimal,
        })
    }
}

impl Recurring {
    fn new(params: &Value) -> Self {
        Self {
            interval: params.text("interval").to_owned(),
            interval_count: params.some_int("interval_count").unwrap_or(1),
            meter: params.some("meter").map(str::to_owned),
            usage_type: match params.text("usage_type") {
                "metered" => UsageType::Metered,
                _ => UsageType::Licensed,
            },
            trial_period_days: None,
        }
    }

    /// Returns whether the quantity is reported usage.
    fn is_metered(&self) -> bool {
        self.usage_type == UsageType::Metered
    }

    /// Returns the interval, and the number of intervals in a period, at least one.
    pub(crate) fn period(&self) -> (&str, i64) {
        (&self.interval, self.interval_count.max(1))
    }
}

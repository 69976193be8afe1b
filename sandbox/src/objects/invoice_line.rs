//! Lines of invoices, and the items that become lines of a customer's next invoice.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields::{Fields, assign, merge};
use crate::ids;
use crate::objects::price::Price;
use crate::objects::subscription::SubscriptionItem;
use crate::objects::typed::Object;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "line_item", default)]
pub(crate) struct InvoiceLine {
    id: String,
    pub(crate) amount: i64,
    currency: String,
    pub(crate) description: Option<String>,
    discount_amounts: Vec<Value>,
    discountable: bool,
    discounts: Vec<Value>,
    pub(crate) invoice: Option<String>,
    livemode: bool,
    metadata: Map<String, Value>,
    parent: LineParent,
    period: Period,
    pretax_credit_amounts: Vec<Value>,
    pricing: Value,
    quantity: i64,
    subtotal: i64,
    taxes: Vec<Value>,
}

/// The origin of a line: a subscription item, an invoice item, or both.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LineParent {
    invoice_item_details: Option<LineDetails>,
    subscription_item_details: Option<LineDetails>,
    #[serde(rename = "type")]
    kind: String,
}

/// The items that a line comes from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LineDetails {
    invoice_item: Option<String>,
    proration: bool,
    proration_details: ProrationDetails,
    subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_item: Option<String>,
}

/// The lines that a proration credits; the sandbox leaves them out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ProrationDetails {
    credited_items: Value,
}

/// The period that a line or an item bills.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Period {
    end: i64,
    start: i64,
}

impl From<(i64, i64)> for Period {
    fn from((start, end): (i64, i64)) -> Self {
        Self { end, start }
    }
}

impl From<LineDetails> for LineParent {
    fn from(details: LineDetails) -> Self {
        match details.subscription_item {
            Some(_) => Self {
                invoice_item_details: None,
                subscription_item_details: Some(details),
                kind: "subscription_item_details".to_owned(),
            },
            None => Self {
                invoice_item_details: Some(details),
                subscription_item_details: None,
                kind: "invoice_item_details".to_owned(),
            },
        }
    }
}

impl InvoiceLine {
    /// Creates the line of a subscription item for a period.
    pub(crate) fn of_subscription(
        item: &SubscriptionItem,
        description: String,
        amount: i64,
        period: (i64, i64),
    ) -> Self {
        let details = LineDetails {
            subscription: Some(item.subscription.clone()),
            subscription_item: Some(item.id.clone()),
            ..LineDetails::default()
        };
        let quantity = item.quantity.unwrap_or_default();
        let line = Self::of_price(&item.price, quantity, description, amount, period.into());
        Self { metadata: item.metadata.clone(), parent: details.into(), ..line }
    }

    /// Creates the line of a one-time price.
    pub(crate) fn once(price: &Price, quantity: i64, description: &str, now: i64) -> Self {
        let amount = price.unit_amount.unwrap_or_default() * quantity;
        let details = LineDetails { invoice_item: Some(ids::new("ii_")), ..LineDetails::default() };
        let line = Self::of_price(price, quantity, description.to_owned(), amount, (now, now).into());
        Self { parent: details.into(), ..line }
    }

    fn of_price(price: &Price, quantity: i64, description: String, amount: i64, period: Period) -> Self {
        Self {
            id: ids::new("il_"),
            amount,
            currency: price.currency.clone(),
            description: Some(description),
            discountable: true,
            period,
            pricing: price.pricing(),
            quantity,
            subtotal: amount,
            ..Self::default()
        }
    }

    /// Creates the line of a pending item.
    pub(crate) fn of_item(item: &InvoiceItem) -> Self {
        let owner = item.parent.as_ref().map(|parent| &parent.subscription_details);
        let details = LineDetails {
            invoice_item: Some(item.id.clone()),
            proration: item.proration,
            subscription: owner.map(|owner| owner.subscription.clone()),
            subscription_item: owner.map(|owner| owner.subscription_item.clone()),
            ..LineDetails::default()
        };
        Self {
            id: ids::new("il_"),
            amount: item.amount,
            currency: item.currency.clone(),
            description: item.description.clone(),
            discountable: item.discountable,
            metadata: item.metadata.clone(),
            parent: details.into(),
            period: item.period,
            pricing: item.pricing.clone(),
            quantity: item.quantity,
            subtotal: item.amount,
            ..Self::default()
        }
    }
}

/// An item to bill with a customer's next invoice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "invoiceitem", default)]
pub(crate) struct InvoiceItem {
    pub(crate) id: String,
    amount: i64,
    pub(crate) currency: String,
    customer: String,
    date: i64,
    pub(crate) description: Option<String>,
    pub(crate) discountable: bool,
    discounts: Vec<Value>,
    /// The invoice that bills the item; `None` while it is pending.
    pub(crate) invoice: Option<String>,
    livemode: bool,
    metadata: Map<String, Value>,
    net_amount: i64,
    parent: Option<ItemParent>,
    pub(crate) period: Period,
    pricing: Value,
    proration: bool,
    quantity: i64,
    tax_rates: Vec<Value>,
    test_clock: Value,
}

/// The origin of a proration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ItemParent {
    subscription_details: ItemOwner,
    #[serde(rename = "type")]
    kind: String,
}

/// The subscription item of a proration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ItemOwner {
    subscription: String,
    subscription_item: String,
}

impl Object for InvoiceItem {
    const KIND: &'static str = "invoiceitem";
}

impl InvoiceItem {
    /// Creates an item for an amount, optionally with its price.
    pub(crate) fn new(
        customer: &str,
        amount: i64,
        currency: &str,
        quantity: i64,
        price: Option<&Price>,
        now: i64,
    ) -> Self {
        Self {
            id: ids::new("ii_"),
            amount,
            currency: currency.to_owned(),
            customer: customer.to_owned(),
            date: now,
            discountable: true,
            net_amount: amount,
            period: (now, now).into(),
            pricing: price.map(Price::pricing).unwrap_or_default(),
            quantity,
            ..Self::default()
        }
    }

    /// Creates a proration of a subscription item.
    pub(crate) fn proration(
        customer: &str,
        of: &SubscriptionItem,
        description: String,
        amount: i64,
        period: (i64, i64),
        now: i64,
    ) -> Self {
        let item =
            Self::new(customer, amount, &of.price.currency, of.quantity.unwrap_or_default(), Some(&of.price), now);
        Self {
            description: Some(description),
            discountable: false,
            parent: Some(ItemParent {
                subscription_details: ItemOwner {
                    subscription: of.subscription.clone(),
                    subscription_item: of.id.clone(),
                },
                kind: "subscription_details".to_owned(),
            }),
            period: period.into(),
            proration: true,
            ..item
        }
    }

    /// Applies the parameters of creating an item.
    pub(crate) fn apply(&mut self, params: &Value) {
        assign(&mut self.description, params, "description");
        if params.get("discountable").is_some() {
            self.discountable = params.flag("discountable");
        }
        merge(&mut self.metadata, params);
    }

    /// Returns the subscription that the item belongs to.
    pub(crate) fn subscription(&self) -> Option<&str> {
        self.parent.as_ref().map(|parent| parent.subscription_details.subscription.as_str())
    }
}

//! A one-time purchase, and the credits it grants now.
//!
//! The credits follow from what was promised at the time of purchase and from the payment's
//! current state, never from the events in between: whatever the order in which refunds and
//! disputes are reported, and however often, the same payment grants the same. A refund takes
//! back its share of the credits. A dispute takes back its share while it is open and when it
//! is lost, and returns it when it is won (`tests/purchase.rs`).

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::ids::{CheckoutSessionId, PaymentIntentId, PriceId};
use crate::keys::Meter;
use crate::ledger::payment::{Payment, PaymentStatus};
use crate::money::Money;
use crate::time::Timestamp;

/// One line of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineItem {
    /// The name on Stripe's payment page.
    pub description: String,
    /// The price that was charged.
    pub price: Option<PriceId>,
    /// The lookup key of the price.
    pub lookup_key: Option<String>,
    /// The quantity bought.
    pub quantity: u64,
    /// The amount for all of them.
    pub amount: i64,
    /// The key of the product in the catalog.
    pub product: Option<String>,
    /// The meter and the total number of credits, as promised at the time of purchase.
    pub grants: Option<(Meter, u64)>,
}

/// A one-time purchase: a completed Checkout Session in mode `payment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Stripe's `cs_…`.
    pub session: CheckoutSessionId,
    /// The PaymentIntent; `None` if nothing had to be paid.
    pub payment: Option<PaymentIntentId>,
    /// Whether nothing is owed: Stripe's `payment_status` is `paid` or `no_payment_required`.
    pub is_paid: bool,
    /// The total of all lines.
    pub total: Money,
    /// The lines, in Stripe's order.
    pub items: Vec<LineItem>,
    /// When the session was created.
    pub created: Timestamp,
}

/// The credits that one line of a purchase grants now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditGrant {
    /// The natural key: the session and the position of the line in it.
    pub source: String,
    /// The meter the credits are for.
    pub meter: Meter,
    /// The number of units; 0 after a full refund.
    pub units: u64,
}

impl Purchase {
    /// Resolves the product of each line and the credits it promises.
    ///
    /// A line that was resolved in `before`, the stored version of this purchase, keeps its promise
    /// whatever the catalog says today.
    #[must_use]
    pub fn described(mut self, catalog: &Catalog, before: Option<&Self>) -> Self {
        for (index, item) in self.items.iter_mut().enumerate() {
            let known = before.and_then(|before| before.items.get(index)).filter(|known| known.price == item.price);
            if let Some(known) = known.filter(|known| known.product.is_some()) {
                (item.product, item.grants) = (known.product.clone(), known.grants);
                continue;
            }
            let by_price = item.price.as_ref().and_then(|id| catalog.product_of_price(id, item.lookup_key.as_deref()));
            let by_key = item.product.as_deref().and_then(|key| catalog.product(key));
            let product = by_price.or(by_key);
            let quantity = item.quantity;
            let grants = product.and_then(|product| product.grants);
            item.grants = grants.map(|(meter, units)| (meter, units.saturating_mul(quantity)));
            item.product = product.map(|product| product.key.clone());
        }
        self
    }

    /// Returns the credits each line grants, given the current state of its payment.
    ///
    /// `payment` is `None` if nothing had to be paid or the payment has not been read yet.
    pub fn grants(&self, payment: Option<&Payment>) -> Vec<CreditGrant> {
        let grant = |(index, item): (usize, &LineItem)| {
            let (meter, units) = item.grants?;
            let source = if index == 0 { self.session.to_string() } else { format!("{}#{index}", self.session) };
            Some(CreditGrant { source, meter, units: self.units_earned(units, payment) })
        };
        self.items.iter().enumerate().filter_map(grant).collect()
    }

    /// Returns the part of `units` that is paid for, rounded down. A free purchase earns all of them.
    fn units_earned(&self, units: u64, payment: Option<&Payment>) -> u64 {
        // A session stays paid when its payment is refunded later, but also when the bank rejects the
        // payment afterwards, so the payment has to have succeeded as well.
        if !self.is_paid || payment.is_some_and(|payment| payment.status != PaymentStatus::Succeeded) {
            return 0;
        }
        let total = self.total.minor;
        if total <= 0 {
            return units;
        }
        let taken_back = payment.map_or(0, |payment| payment.amount_refunded.saturating_add(payment.amount_disputed()));
        let kept = total.saturating_sub(taken_back).clamp(0, total);
        let share = u128::from(units) * u128::from(kept.unsigned_abs()) / u128::from(total.unsigned_abs());
        // `kept` is at most `total`, so the share is at most `units`.
        u64::try_from(share).unwrap_or(units)
    }
}

//! A product that is bought once.

use std::collections::BTreeSet;

use crate::ids::PriceId;
use crate::keys::Meter;
use crate::money::Money;

/// A one-time product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The name in forms and URLs.
    pub key: String,
    /// The display name.
    pub name: String,
    /// One sentence about its use.
    pub summary: String,
    /// The price. For display only: Stripe charges its own price.
    pub amount: Money,
    /// Stripe's lookup key, which finds the price when no id is configured.
    pub lookup_key: String,
    /// Stripe's price id, if the environment configures one.
    pub id: Option<PriceId>,
    /// Ids of prices that are no longer sold but still belong to this product.
    pub retired_prices: BTreeSet<PriceId>,
    /// The meter it adds credits to and how many units.
    pub grants: Option<(Meter, u64)>,
}

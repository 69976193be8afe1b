//! Differences between `plans.toml` and Stripe.

use std::fmt;

use super::wanted::WantedPrice;
use crate::stripe::prices::{StripePrice, describe_charge};

/// A change that brings Stripe in line with `plans.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A meter that bills usage is missing in Stripe.
    CreateMeter {
        /// The event name that usage is reported under.
        event_name: String,
        /// Its name on invoices.
        label: String,
    },
    /// A product is missing in Stripe.
    CreateProduct {
        /// The id that the product will have, derived from its key.
        id: String,
        /// Its name on Stripe's pages.
        name: String,
        /// Its description; may be empty.
        description: String,
    },
    /// A product has another name or description, or is archived.
    UpdateProduct {
        /// Its id in Stripe.
        id: String,
        /// Its name in Stripe.
        old_name: String,
        /// Its name in `plans.toml`.
        name: String,
        /// Its description in `plans.toml`; may be empty.
        description: String,
    },
    /// A price is missing in Stripe.
    CreatePrice(WantedPrice),
    /// A price has a different amount, interval or meter.
    ReplacePrice {
        /// The price in Stripe, which will be archived.
        old: StripePrice,
        /// The price that takes over its lookup key.
        new: WantedPrice,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateMeter { event_name, .. } => write!(f, "create meter {event_name}"),
            Self::CreateProduct { id, name, .. } => write!(f, "create product {id} ({name})"),
            Self::UpdateProduct { id, old_name, name, .. } if old_name == name => {
                write!(f, "update product {id} ({name})")
            }
            Self::UpdateProduct { id, old_name, name, .. } => {
                write!(f, "rename product {id} from {old_name} to {name}")
            }
            Self::CreatePrice(price) => write!(f, "create price {} ({})", price.lookup_key, charge(price)),
            Self::ReplacePrice { old, new } => write!(
                f,
                "replace price {} ({} becomes {}); add {} to `retired_prices` in plans.toml, \
                because subscribers may still pay it",
                new.lookup_key,
                describe_charge(old.amount.as_ref(), old.interval.as_ref(), old.meter.is_some()),
                charge(new),
                old.id
            ),
        }
    }
}

fn charge(price: &WantedPrice) -> String {
    describe_charge(Some(&price.amount), price.interval.map(Into::into).as_ref(), price.event_name.is_some())
}

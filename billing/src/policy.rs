//! Who may come in: what a route asks for, and whether an entitlement meets it.

use crate::catalog::{Catalog, Tier};
use crate::entitlement::Entitlement;
use crate::keys::Feature;

/// What a route asks of its visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Anybody.
    Public,
    /// Anybody signed in.
    SignedIn,
    /// Signed in, on this tier or a higher one.
    Tier(&'static str),
    /// Signed in, on a plan with this feature.
    Feature(Feature),
    /// Signed in, and trusted with everybody's billing. No plan opens it.
    Operator,
}

/// The answer for somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Come in.
    Admitted,
    /// The plan is too low; the lowest that would do.
    UpgradeRequired {
        /// Its tier.
        needed: Tier,
    },
    /// It is not a matter of a plan.
    Forbidden,
}

impl Policy {
    /// Whether the catalogue can answer this policy at all.
    ///
    /// # Errors
    /// A sentence that names the tier or feature that no plan has.
    pub fn check(self, catalog: &Catalog) -> Result<(), String> {
        match self {
            Self::Public | Self::SignedIn | Self::Operator => Ok(()),
            Self::Tier(name) if catalog.rank(&Tier::new(name)).is_some() => Ok(()),
            Self::Tier(name) => Err(format!("asks for tier `{name}`, which no plan has")),
            Self::Feature(feature) if catalog.cheapest_with(feature).is_some() => Ok(()),
            Self::Feature(feature) => Err(format!("asks for feature `{feature}`, which no plan has")),
        }
    }

    /// Whether somebody signed in with this entitlement may come in. A policy that the
    /// catalogue cannot answer admits nobody.
    pub fn admits(self, entitlement: &Entitlement, catalog: &Catalog) -> Admission {
        match self {
            Self::Public | Self::SignedIn => Admission::Admitted,
            Self::Operator => Admission::Forbidden,
            Self::Tier(name) => {
                let needed = Tier::new(name);
                let open = catalog.rank(&needed).is_some_and(|rank| entitlement.rank >= rank);
                if open { Admission::Admitted } else { Admission::UpgradeRequired { needed } }
            }
            Self::Feature(feature) => match catalog.cheapest_with(feature) {
                Some(_) if entitlement.features.contains(&feature) => Admission::Admitted,
                Some(plan) => Admission::UpgradeRequired { needed: plan.tier.clone() },
                None => Admission::UpgradeRequired { needed: catalog.free().tier.clone() },
            },
        }
    }
}

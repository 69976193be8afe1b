//! Who may come in: what a route asks for, and whether an entitlement meets it.

use crate::catalog::{Catalog, Feature, Tier};
use crate::entitlement::Entitlement;

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
}

/// The answer for somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Come in.
    Admitted,
    /// The plan is too low; the lowest that would do.
    TooLow {
        /// Its tier.
        needed: Tier,
    },
}

impl Policy {
    /// Whether the catalogue can answer this policy at all.
    ///
    /// # Errors
    /// A sentence that names the tier or feature that no plan has.
    pub fn check(self, catalog: &Catalog) -> Result<(), String> {
        match self {
            Self::Public | Self::SignedIn => Ok(()),
            Self::Tier(name) if catalog.rank(&Tier::new(name)).is_some() => Ok(()),
            Self::Tier(name) => Err(format!("asks for tier `{name}`, which no plan has")),
            Self::Feature(feature) if catalog.cheapest_with(feature).is_some() => Ok(()),
            Self::Feature(feature) => Err(format!("asks for feature `{feature}`, which no plan has")),
        }
    }

    /// Whether somebody signed in with this entitlement may come in. A policy that the
    /// catalogue cannot answer admits nobody.
    pub fn admits(self, entitlement: &Entitlement, catalog: &Catalog) -> Admission {
        let open = match self {
            Self::Public | Self::SignedIn => true,
            Self::Tier(name) => catalog.rank(&Tier::new(name)).is_some_and(|rank| entitlement.rank >= rank),
            Self::Feature(feature) => {
                catalog.cheapest_with(feature).is_some() && entitlement.features.contains(&feature)
            }
        };
        if open { Admission::Admitted } else { Admission::TooLow { needed: self.needed(catalog) } }
    }

    fn needed(self, catalog: &Catalog) -> Tier {
        match self {
            Self::Public | Self::SignedIn => catalog.free().tier.clone(),
            Self::Tier(name) => Tier::new(name),
            Self::Feature(feature) => {
                catalog.cheapest_with(feature).map_or_else(|| catalog.free().tier.clone(), |plan| plan.tier.clone())
            }
        }
    }
}

//! The policies of routes, checked against an entitlement.

use crate::catalog::{Catalog, Tier};
use crate::entitlement::Entitlement;
use crate::keys::Feature;

/// The access that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Anyone.
    Public,
    /// A signed-in visitor.
    SignedIn,
    /// A signed-in visitor on this tier or a higher one.
    Tier(&'static str),
    /// A signed-in visitor on a plan with this feature.
    Feature(Feature),
    /// A signed-in operator, who can see every account. No plan includes it.
    Operator,
}

/// The reason no visitor can ever meet a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The catalog has no such tier.
    #[error("requires tier `{0}`, which no plan has")]
    UnknownTier(&'static str),
    /// No plan includes the feature.
    #[error("requires feature `{0}`, which no plan has")]
    UnknownFeature(Feature),
}

/// The decision about a signed-in visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The entitlement meets the policy.
    Admitted,
    /// A higher plan is required.
    UpgradeRequired {
        /// The lowest tier that meets the policy.
        needed: Tier,
    },
    /// No plan meets the policy.
    Forbidden,
}

impl Policy {
    /// Checks that at least one plan of the catalog meets the policy.
    pub fn check(self, catalog: &Catalog) -> Result<(), PolicyError> {
        match self {
            Self::Public | Self::SignedIn | Self::Operator => Ok(()),
            Self::Tier(name) if catalog.rank(&Tier::new(name)).is_some() => Ok(()),
            Self::Tier(name) => Err(PolicyError::UnknownTier(name)),
            Self::Feature(feature) if catalog.cheapest_with(feature).is_some() => Ok(()),
            Self::Feature(feature) => Err(PolicyError::UnknownFeature(feature)),
        }
    }

    /// Decides whether a signed-in visitor with this entitlement is admitted.
    ///
    /// A policy that fails [`Policy::check`] admits no one.
    pub fn admits(self, entitlement: &Entitlement, catalog: &Catalog) -> Admission {
        match self {
            Self::Public | Self::SignedIn => Admission::Admitted,
            Self::Operator => Admission::Forbidden,
            Self::Tier(name) => {
                let needed = Tier::new(name);
                let is_met = catalog.rank(&needed).is_some_and(|rank| entitlement.rank >= rank);
                if is_met { Admission::Admitted } else { Admission::UpgradeRequired { needed } }
            }
            Self::Feature(feature) => match catalog.cheapest_with(feature) {
                Some(_) if entitlement.features.contains(&feature) => Admission::Admitted,
                Some(plan) => Admission::UpgradeRequired { needed: plan.tier.clone() },
                None => Admission::UpgradeRequired { needed: catalog.free().tier.clone() },
            },
        }
    }
}

//! The parts of the product that a plan includes: the one source for addresses, tiles, pages and
//! the upgrade page.

use billing::{Catalog, Feature, Plan, Policy, Tier};
use server::product;

/// One part of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its path. Every path below belongs to it.
    pub path: &'static str,
    /// Its name.
    pub title: &'static str,
    /// One sentence about what it does.
    pub summary: &'static str,
    /// The policy that a visitor has to meet.
    pub policy: Policy,
    /// Its feature in the catalog, if it has one.
    pub feature: Option<Feature>,
}

/// Usage over time.
pub const ANALYTICS: Area = Area {
    path: "/dashboard/analytics",
    title: "Analytics",
    summary: "Track usage day by day.",
    policy: Policy::Tier("PRO"),
    feature: Some(product::ADVANCED_ANALYTICS),
};

/// Keys for the public API.
pub const API_KEYS: Area = Area {
    path: "/dashboard/api-keys",
    title: "API keys",
    summary: "Call the API from your own code.",
    policy: Policy::Tier("PRO"),
    feature: None,
};

/// Serving under the customer's own domain.
pub const CUSTOM_DOMAIN: Area = Area {
    path: "/dashboard/custom-domain",
    title: "Custom domain",
    summary: "Use your own domain.",
    policy: Policy::Tier("PRO"),
    feature: Some(product::CUSTOM_DOMAIN),
};

/// Priority support.
pub const SUPPORT: Area = Area {
    path: "/dashboard/support",
    title: "Support",
    summary: "Priority support from our team.",
    policy: Policy::Tier("ENTERPRISE"),
    feature: Some(product::PRIORITY_SUPPORT),
};

/// All areas, in the order of the dashboard.
pub const AREAS: [&Area; 4] = [&ANALYTICS, &API_KEYS, &CUSTOM_DOMAIN, &SUPPORT];

impl Area {
    /// Returns the area that `path` is in.
    pub fn at(path: &str) -> Option<&'static Self> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        AREAS
            .into_iter()
            .find(|area| path.strip_prefix(area.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Returns the area named by `feature=`: its feature's key or the last segment of its path.
    pub fn named(name: &str) -> Option<&'static Self> {
        AREAS.into_iter().find(|area| {
            area.feature.is_some_and(|feature| feature.as_str() == name) || area.path.rsplit('/').next() == Some(name)
        })
    }

    /// Returns the lowest plan that includes it.
    pub fn included_in<'a>(&self, catalog: &'a Catalog) -> Option<&'a Plan> {
        match self.policy {
            Policy::Public | Policy::SignedIn => Some(catalog.free()),
            Policy::Operator => None,
            Policy::Tier(tier) => catalog.plan(&Tier::new(tier)),
            Policy::Feature(feature) => catalog.cheapest_with(feature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_covers_the_paths_below_its_own() {
        assert_eq!(Area::at("/dashboard/api-keys/revoke"), Some(&API_KEYS));
        assert_eq!(Area::at("/dashboard/analytics?from=1"), Some(&ANALYTICS));
        assert_eq!(Area::at("/dashboard/analytics-export"), None);
        assert_eq!(Area::at("/dashboard"), None);
    }

    #[test]
    fn an_area_is_found_by_its_feature_or_its_path() {
        assert_eq!(Area::named("advancedAnalytics"), Some(&ANALYTICS));
        assert_eq!(Area::named("api-keys"), Some(&API_KEYS));
        assert_eq!(Area::named("<script>"), None);
    }
}

//! The parts of the product that a plan opens, each named once: the route table,
//! the dashboard's tiles, the pages and the upgrade page all read them here.

use billing::{Catalog, Feature, Plan, Policy, Tier};
use server::product;

/// One part of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Where it is; everything below belongs to it.
    pub path: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What one gets, as a sentence.
    pub summary: &'static str,
    /// Who may come in.
    pub policy: Policy,
    /// The feature of the catalogue that it stands for, if it is one.
    pub feature: Option<Feature>,
}

/// Usage over time.
pub const ANALYTICS: Area = Area {
    path: "/dashboard/analytics",
    title: "Analytics",
    summary: "See what is used, day by day.",
    policy: Policy::Tier("PRO"),
    feature: Some(product::ADVANCED_ANALYTICS),
};

/// Keys for the public API.
pub const API_KEYS: Area = Area {
    path: "/dashboard/api-keys",
    title: "API keys",
    summary: "Call the API from your own programs.",
    policy: Policy::Tier("PRO"),
    feature: None,
};

/// Serving under the customer's own domain.
pub const CUSTOM_DOMAIN: Area = Area {
    path: "/dashboard/custom-domain",
    title: "Custom domain",
    summary: "Serve under a name of your own.",
    policy: Policy::Tier("PRO"),
    feature: Some(product::CUSTOM_DOMAIN),
};

/// Messages that are answered first.
pub const SUPPORT: Area = Area {
    path: "/dashboard/support",
    title: "Support",
    summary: "Write to us and be answered first.",
    policy: Policy::Tier("ENTERPRISE"),
    feature: Some(product::PRIORITY_SUPPORT),
};

/// All of them, in the order of the dashboard.
pub const AREAS: [&Area; 4] = [&ANALYTICS, &API_KEYS, &CUSTOM_DOMAIN, &SUPPORT];

impl Area {
    /// The area that `path` lies in.
    pub fn at(path: &str) -> Option<&'static Self> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        AREAS
            .into_iter()
            .find(|area| path.strip_prefix(area.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// The area of a `feature=` in an address: a feature's key, or the last segment of the area's path.
    pub fn named(name: &str) -> Option<&'static Self> {
        AREAS.into_iter().find(|area| {
            area.feature.is_some_and(|feature| feature.as_str() == name) || area.path.rsplit('/').next() == Some(name)
        })
    }

    /// The lowest plan that opens it.
    pub fn opened_by<'a>(&self, catalog: &'a Catalog) -> Option<&'a Plan> {
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
    fn an_area_holds_what_is_below_it_and_nothing_beside_it() {
        assert_eq!(Area::at("/dashboard/api-keys/revoke"), Some(&API_KEYS));
        assert_eq!(Area::at("/dashboard/analytics?from=1"), Some(&ANALYTICS));
        assert_eq!(Area::at("/dashboard/analytics-export"), None);
        assert_eq!(Area::at("/dashboard"), None);
    }

    #[test]
    fn an_area_is_found_by_feature_or_by_its_own_name() {
        assert_eq!(Area::named("advancedAnalytics"), Some(&ANALYTICS));
        assert_eq!(Area::named("api-keys"), Some(&API_KEYS));
        assert_eq!(Area::named("<script>"), None);
    }
}

//! The table of the app's addresses, each with its policy.
//!
//! The server doesn't start if a route has no line here, or a line has no route
//! ([`crate::routes`]). The gate reads the same table, so no page can be reached without a policy.

use billing::Policy;

use crate::areas::{ANALYTICS, API_KEYS, CUSTOM_DOMAIN, SUPPORT};

/// One address.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The path, as the router and the gate know it.
    pub path: &'static str,
    /// The policy that a request has to meet.
    pub policy: Policy,
    /// Page or action.
    pub kind: Kind,
    /// The page with the form that is posted there, which is shown again with its errors.
    form_page: Option<&'static str>,
}

impl Entry {
    const fn form_on(self, page: &'static str) -> Self {
        Self { form_page: Some(page), ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A page. A form posted to the same address has the same policy.
    Page,
    /// A form post, or a link that redirects. Visitors are never sent back to it.
    Action,
}

const fn page(path: &'static str, policy: Policy) -> Entry {
    Entry { path, policy, kind: Kind::Page, form_page: None }
}

const fn action(path: &'static str, policy: Policy) -> Entry {
    Entry { path, policy, kind: Kind::Action, form_page: None }
}

/// Every address of the app.
pub const TABLE: &[Entry] = &[
    page("/", Policy::Public),
    page("/pricing", Policy::Public),
    page("/api-reference", Policy::Public),
    page("/signup", Policy::Public),
    page("/login", Policy::Public),
    action("/logout", Policy::Public),
    action("/theme", Policy::Public),
    page("/billing", Policy::SignedIn),
    page("/billing/success", Policy::SignedIn),
    page("/billing/upgrade", Policy::SignedIn),
    action("/billing/invoice", Policy::SignedIn),
    action("/billing/return", Policy::SignedIn),
    action("/api/billing/subscribe", Policy::SignedIn).form_on("/pricing"),
    action("/api/billing/checkout", Policy::SignedIn).form_on("/billing"),
    action("/api/billing/portal", Policy::SignedIn).form_on("/billing"),
    action("/api/billing/plan", Policy::SignedIn),
    action("/api/billing/usage", Policy::SignedIn),
    page("/account", Policy::SignedIn),
    action("/account/close", Policy::SignedIn).form_on("/account"),
    page("/dashboard", Policy::SignedIn),
    action("/dashboard/meters", Policy::SignedIn),
    action("/dashboard/notices/dismiss", Policy::SignedIn).form_on("/dashboard"),
    page(ANALYTICS.path, ANALYTICS.policy),
    action("/dashboard/analytics/export", ANALYTICS.policy),
    page(API_KEYS.path, API_KEYS.policy),
    action("/dashboard/api-keys/revoke", API_KEYS.policy),
    page(CUSTOM_DOMAIN.path, CUSTOM_DOMAIN.policy),
    page(SUPPORT.path, SUPPORT.policy),
    page("/admin", Policy::Operator),
    page("/admin/events", Policy::Operator),
    page("/admin/changes", Policy::Operator),
    page("/admin/drift", Policy::Operator),
    page("/admin/event", Policy::Operator),
    page("/admin/accounts", Policy::Operator),
    page("/admin/account", Policy::Operator),
    action("/admin/replay", Policy::Operator).form_on("/admin/events"),
    action("/admin/changes/retry", Policy::Operator).form_on("/admin/changes"),
    action("/admin/changes/skip", Policy::Operator).form_on("/admin/changes"),
    action("/admin/compare", Policy::Operator).form_on("/admin/drift"),
];

/// Returns the page with the form that is posted to `path`.
pub fn form_page(path: &str) -> Option<&'static str> {
    TABLE.iter().find(|entry| entry.path == path)?.form_page
}

/// Returns whether `path` is a page, which a visitor can be sent back to.
pub fn is_page(path: &str) -> bool {
    TABLE.iter().any(|entry| entry.path == path && entry.kind == Kind::Page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::areas::AREAS;

    #[test]
    fn every_tier_and_feature_of_a_policy_is_in_the_catalog() {
        let catalog = billing::Catalog::parse(include_str!("../../plans.toml"), &|_| None).unwrap();
        for entry in TABLE {
            entry.policy.check(&catalog).unwrap();
        }
    }

    #[test]
    fn a_form_and_the_page_it_is_on_have_the_same_policy() {
        for (entry, page) in TABLE.iter().filter_map(|entry| Some((entry, entry.form_page?))) {
            let page = TABLE.iter().find(|other| other.path == page).unwrap();
            assert_eq!(page.kind, Kind::Page, "{}", entry.path);
            assert!(page.policy == entry.policy || page.policy == Policy::Public, "{}", entry.path);
        }
    }

    #[test]
    fn the_actions_of_an_area_have_its_policy() {
        for entry in TABLE {
            if let Some(area) = AREAS.into_iter().find(|area| entry.path.starts_with(area.path)) {
                assert_eq!(entry.policy, area.policy, "{}", entry.path);
            }
        }
    }
}

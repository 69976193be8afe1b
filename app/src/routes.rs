//! Every address of the app, with its policy: the one table.
//!
//! A Leptos route or an action that is not in it stops the program at start, and so
//! does a line that nothing answers (`tests` below). The guard reads the same
//! table, so that no page can be reached that nobody decided about.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use billing::Policy;
use server::Tollgate;
use server::guard::Route;
use server::http::RouteFaults;

use crate::areas::{ANALYTICS, API_KEYS, CUSTOM_DOMAIN, SUPPORT};
use crate::failure::Failure;
use crate::pages::Pages;
use crate::{actions, document};

/// One address.
struct Entry {
    path: &'static str,
    policy: Policy,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Shown to people; what is posted to the same address has the same policy.
    Page,
    /// Posted to, or a way on to somewhere else: no page that one could come back to.
    Action,
}

const fn page(path: &'static str, policy: Policy) -> Entry {
    Entry { path, policy, kind: Kind::Page }
}

const fn action(path: &'static str, policy: Policy) -> Entry {
    Entry { path, policy, kind: Kind::Action }
}

const TABLE: &[Entry] = &[
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
    action("/api/billing/subscribe", Policy::SignedIn),
    action("/api/billing/checkout", Policy::SignedIn),
    action("/api/billing/portal", Policy::SignedIn),
    page("/account", Policy::SignedIn),
    action("/account/close", Policy::SignedIn),
    page("/dashboard", Policy::SignedIn),
    action("/dashboard/meters", Policy::SignedIn),
    action("/dashboard/notices/dismiss", Policy::SignedIn),
    page(ANALYTICS.path, ANALYTICS.policy),
    action("/dashboard/analytics/export", ANALYTICS.policy),
    page(API_KEYS.path, API_KEYS.policy),
    action("/dashboard/api-keys/revoke", API_KEYS.policy),
    page(CUSTOM_DOMAIN.path, CUSTOM_DOMAIN.policy),
    page(SUPPORT.path, SUPPORT.policy),
    page("/admin", Policy::Operator),
    page("/admin/events", Policy::Operator),
    page("/admin/drift", Policy::Operator),
    page("/admin/event", Policy::Operator),
    page("/admin/accounts", Policy::Operator),
    page("/admin/account", Policy::Operator),
    action("/admin/replay", Policy::Operator),
    action("/admin/compare", Policy::Operator),
];

/// Whether `path` is a page, so that one can go back to it.
pub fn is_page(path: &str) -> bool {
    TABLE.iter().any(|entry| entry.path == path && entry.kind != Kind::Action)
}

/// Everything that `server` needs to serve the pages.
///
/// # Errors
/// A sentence for each route that has no line in the table and each line that has no route.
pub fn pages(tollgate: &Tollgate) -> Result<server::http::Pages, RouteFaults> {
    let page_paths = page_paths();
    let actions = actions::all();
    let action_paths: Vec<&str> = actions.iter().map(|(path, _)| *path).collect();
    let faults = disagreements(&page_paths, &action_paths);
    if !faults.is_empty() {
        return Err(RouteFaults(faults));
    }

    let mut router = Router::new();
    for path in &page_paths {
        router = router.route(path, get(show));
    }
    for (path, handler) in actions {
        router = router.route(path, handler);
    }
    Ok(server::http::Pages {
        router,
        routes: TABLE.iter().map(|entry| Route { path: entry.path, policy: entry.policy }).collect(),
        refusals: Router::new().fallback(say_why_not).with_state(tollgate.clone()),
    })
}

async fn show(State(tollgate): State<Tollgate>, request: Request) -> Response {
    document::page(&tollgate, request.into_parts().0).await
}

/// The page for the status in the request's extensions, 404 without one: so that a
/// layer that refuses a request can answer with a page too.
async fn say_why_not(State(tollgate): State<Tollgate>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let status = parts.extensions.get::<StatusCode>().copied().unwrap_or(StatusCode::NOT_FOUND);
    document::failure(&tollgate, parts, Failure::of_status(status)).await
}

/// The addresses that the Leptos router answers.
fn page_paths() -> Vec<String> {
    leptos_axum::generate_route_list(Pages).iter().map(|listing| listing.path().to_owned()).collect()
}

/// A sentence for each route without a line and each line without a route.
fn disagreements(pages: &[String], actions: &[&str]) -> Vec<String> {
    let has_line = |path: &str| TABLE.iter().any(|entry| entry.path == path);
    let unlisted = pages
        .iter()
        .map(String::as_str)
        .chain(actions.iter().copied())
        .filter(|path| !has_line(path))
        .map(|path| format!("`{path}` is served but has no policy"));
    let unserved = TABLE
        .iter()
        .filter(|entry| match entry.kind {
            Kind::Page => !pages.iter().any(|path| path == entry.path),
            Kind::Action => !actions.contains(&entry.path),
        })
        .map(|entry| format!("`{}` has a policy but nothing serves it", entry.path));
    unlisted.chain(unserved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::areas::AREAS;

    fn action_paths() -> Vec<&'static str> {
        actions::all().into_iter().map(|(path, _)| path).collect()
    }

    #[tokio::test]
    async fn every_route_has_a_policy_and_every_policy_a_route() {
        assert_eq!(disagreements(&page_paths(), &action_paths()), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_route_that_nobody_decided_about_is_named() {
        let mut pages = page_paths();
        pages.push("/secret".to_owned());
        assert_eq!(disagreements(&pages, &action_paths()), ["`/secret` is served but has no policy"]);
        let mut actions = action_paths();
        actions.push("/api/billing/refund-everybody");
        assert_eq!(
            disagreements(&page_paths(), &actions),
            ["`/api/billing/refund-everybody` is served but has no policy"]
        );
    }

    #[tokio::test]
    async fn a_line_that_nothing_serves_is_named() {
        let pages: Vec<String> = page_paths().into_iter().filter(|path| path != "/pricing").collect();
        assert_eq!(disagreements(&pages, &action_paths()), ["`/pricing` has a policy but nothing serves it"]);
    }

    #[test]
    fn the_catalogue_can_answer_every_policy() {
        let catalog = billing::Catalog::parse(include_str!("../../plans.toml"), &|_| None).unwrap();
        for entry in TABLE {
            entry.policy.check(&catalog).unwrap();
        }
    }

    #[test]
    fn an_area_is_guarded_by_its_own_policy_down_to_its_actions() {
        for entry in TABLE {
            if let Some(area) = AREAS.into_iter().find(|area| entry.path.starts_with(area.path)) {
                assert_eq!(entry.policy, area.policy, "{}", entry.path);
            }
        }
    }
}

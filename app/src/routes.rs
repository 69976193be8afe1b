//! The app's routes, checked against the table of addresses.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use engine::axum::{PolicyTableError, Route};
use server::Tollgate;

use crate::addresses::{Kind, TABLE};
use crate::failure::Failure;
use crate::pages::Pages;
use crate::{actions, document, endpoints, form_page};

/// Returns the routes, with their policies. It is an error if the table of addresses is missing a route,
/// or has one that isn't served.
pub fn pages(tollgate: &Tollgate) -> Result<server::http::Pages, PolicyTableError> {
    let page_paths = page_paths();
    let (actions, functions) = (actions::all(), endpoints::all());
    let errors = disagreements(&page_paths, &paths(&actions), &paths(&functions));
    if !errors.is_empty() {
        return Err(PolicyTableError(errors));
    }

    let mut router = Router::new();
    for path in &page_paths {
        router = router.route(path, get(show));
    }
    for (path, handler) in actions {
        router = router.route(path, handler);
    }
    for (path, method) in functions {
        router = router.route(path, endpoints::route(&method));
    }
    Ok(server::http::Pages {
        router,
        routes: TABLE.iter().map(|entry| Route { path: entry.path, policy: entry.policy }).collect(),
        rejections: Router::new().fallback(reject).with_state(tollgate.clone()),
        form_page: form_page::of_request,
    })
}

async fn show(State(tollgate): State<Tollgate>, request: Request) -> Response {
    document::page(&tollgate, request.into_parts().0).await
}

/// Responds to a request that a layer rejects, by the status in its extensions (404 without one):
/// with a page, or with JSON for a script.
async fn reject(State(tollgate): State<Tollgate>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let status = parts.extensions.get::<StatusCode>().copied().unwrap_or(StatusCode::NOT_FOUND);
    let failure = Failure::of_status(status);
    if endpoints::is_script(&parts.headers) {
        return endpoints::error_for_script(&failure.into());
    }
    document::failure(&tollgate, parts, failure).await
}

/// Returns the addresses of the Leptos router.
fn page_paths() -> Vec<String> {
    leptos_axum::generate_route_list(Pages).iter().map(|listing| listing.path().to_owned()).collect()
}

fn paths<T>(routes: &[(&'static str, T)]) -> Vec<&'static str> {
    routes.iter().map(|(path, _)| *path).collect()
}

/// Returns an error for each route without a line in the table, and each line without a route.
fn disagreements(pages: &[String], actions: &[&str], functions: &[&str]) -> Vec<String> {
    let has_line = |path: &str| TABLE.iter().any(|entry| entry.path == path);
    let pages_and_actions = pages.iter().map(String::as_str).chain(actions.iter().copied());
    let unlisted =
        pages_and_actions.filter(|path| !has_line(path)).map(|path| format!("`{path}` is served but has no policy"));
    let unlisted_functions = functions
        .iter()
        .filter(|path| !has_line(path))
        .map(|path| format!("the server function at `{path}` has no policy"));
    let unserved = TABLE
        .iter()
        .filter(|entry| match entry.kind {
            Kind::Page => !pages.iter().any(|path| path == entry.path),
            Kind::Action => !actions.contains(&entry.path) && !functions.contains(&entry.path),
        })
        .map(|entry| format!("`{}` has a policy but nothing serves it", entry.path));
    unlisted.chain(unlisted_functions).chain(unserved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pages: &[String], actions: &[&'static str], functions: &[&'static str]) -> Vec<String> {
        let actions: Vec<&str> = paths(&actions::all()).into_iter().chain(actions.iter().copied()).collect();
        let functions: Vec<&str> = paths(&endpoints::all()).into_iter().chain(functions.iter().copied()).collect();
        disagreements(pages, &actions, &functions)
    }

    #[tokio::test]
    async fn every_route_has_a_policy_and_every_policy_a_route() {
        assert_eq!(with(&page_paths(), &[], &[]), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_route_without_a_policy_is_reported() {
        let mut pages = page_paths();
        pages.push("/secret".to_owned());
        assert_eq!(with(&pages, &[], &[]), ["`/secret` is served but has no policy"]);
        let pages = page_paths();
        assert_eq!(with(&pages, &["/refund"], &[]), ["`/refund` is served but has no policy"]);
        assert_eq!(with(&pages, &[], &["/refund"]), ["the server function at `/refund` has no policy"]);
    }

    #[tokio::test]
    async fn a_line_that_nothing_serves_is_reported() {
        let pages: Vec<String> = page_paths().into_iter().filter(|path| path != "/pricing").collect();
        assert_eq!(with(&pages, &[], &[]), ["`/pricing` has a policy but nothing serves it"]);
    }
}

//! No spelling of a guarded path opens its page.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use axum::routing::any;
use billing::Policy;
use engine::axum::Route;

use crate::host::{ANONYMOUS, App, FREE, PAID, REPORTS, ROUTES, pages, request};

/// Spellings of `/reports`.
const SPELLINGS: [&str; 25] = [
    "/reports",
    "/reports/",
    "/reports//",
    "//reports",
    "///reports",
    "/./reports",
    "/reports/.",
    "/x/../reports",
    "/../reports",
    "/reports/x/..",
    "/pricing/../reports",
    "/%72eports",
    "/%2572eports",
    "/reports%2f",
    "/reports%2F.",
    "/pricing/%2e%2e/reports",
    "/pricing/.%2E/reports",
    "/pricing%2f..%2freports",
    "/REPORTS",
    "/Reports/",
    "/reports;x=1",
    "/reports%3bx",
    "/reports.",
    "/reports%20",
    "\\reports",
];

/// Spellings of paths next to `/reports` that a router could take for a page below it.
const CLIMBING: [&str; 8] = [
    "/reports/..",
    "/reports/../x",
    "/reports/%2e%2e/x",
    "/reports/%252e%252e/x",
    "/%72eports/../x",
    "/reports/..;/../x",
    "/reports/..%2fx",
    "/reports%2f..%2fx",
];

/// Hosts that guard `/reports`: with all pages declared, with only some, and with a gate inside or outside of
/// a nested router.
fn hosts(app: &App) -> Vec<(&'static str, Router)> {
    let strict = || app.gate(app.policies(&ROUTES));
    let lenient = || app.gate(app.policies(&ROUTES[3..]).otherwise_public());
    let nested = [Route { path: "/app/reports", policy: Policy::Feature(REPORTS) }];
    let inside = || app.gate(app.policies(&nested).otherwise_public());
    vec![
        ("", strict().guard(pages())),
        ("", lenient().guard(pages())),
        ("", lenient().guard(any_page())),
        ("/app", Router::new().nest("/app", inside().guard(pages()))),
        ("/app", inside().guard(Router::new().nest("/app", pages()))),
        ("/app", Router::new().nest("/app", inside().guard(any_page()))),
        ("/app", Router::new().nest_service("/app", inside().guard(any_page()))),
    ]
}

/// A router whose pages are named by decoded parameters, like those of a content management system.
fn any_page() -> Router {
    let page = |Path(path): Path<String>| async move { path };
    Router::new().route("/{*path}", any(page))
}

on_both_databases! {
    async fn no_spelling_of_a_guarded_path_opens_it_without_the_plan(database) {
        let app = App::on(&database);
        for (host, (prefix, router)) in hosts(&app).into_iter().enumerate() {
            for spelling in SPELLINGS {
                // A path begins with a slash; after a prefix a backslash counts as one too.
                let path = if prefix.is_empty() && spelling.starts_with('\\') { "/\\reports" } else { spelling };
                let path = format!("{prefix}{path}");
                for method in [Method::GET, Method::POST, Method::HEAD, Method::DELETE] {
                    for user in [ANONYMOUS, FREE] {
                        let response = request(&router, method.clone(), &path, user).await;
                        let is_rejected = matches!(response.status.as_u16(), 303 | 404);
                        assert!(is_rejected && response.body.is_empty(), "{host}: {method} {path} as {user:?}: {response:?}");
                    }
                }
            }
        }
    }

    async fn a_path_that_climbs_out_of_a_guarded_page_does_not_open_it(database) {
        let app = App::on(&database);
        for (host, (prefix, router)) in hosts(&app).into_iter().enumerate() {
            for path in CLIMBING {
                let path = format!("{prefix}{path}");
                for user in [ANONYMOUS, FREE] {
                    let response = request(&router, Method::GET, &path, user).await;
                    assert_ne!(response.status, StatusCode::OK, "{host}: {path} as {user:?}: {response:?}");
                }
            }
        }
    }

    async fn another_spelling_of_an_allowed_page_is_redirected_to_the_page(database) {
        let app = App::on(&database);
        app.subscribe().await;
        let router = app.guarded();
        for spelling in SPELLINGS {
            let path = if spelling.starts_with('\\') { "/\\reports" } else { spelling };
            let (read, write) = match path {
                "/reports" => ((200, ""), 200),
                _ => ((308, "/reports"), 404),
            };
            assert_eq!(request(&router, Method::GET, path, PAID).await.redirect(), read, "{path}");
            assert_eq!(request(&router, Method::HEAD, path, PAID).await.redirect(), read, "{path}");
            let response = request(&router, Method::POST, path, PAID).await;
            assert_eq!(response.status.as_u16(), write, "{path}: a form is not sent twice");
        }
        let response = request(&router, Method::GET, "//reports?day=1", PAID).await;
        assert_eq!(response.redirect(), (308, "/reports?day=1"));
    }

    async fn a_path_that_does_not_decode_to_text_is_rejected(database) {
        let app = App::on(&database);
        app.subscribe().await;
        for (host, (prefix, router)) in hosts(&app).into_iter().enumerate() {
            for path in ["/reports%00", "/reports%0a", "/reports/%ff", "/%c0%afreports"] {
                let response = request(&router, Method::GET, &format!("{prefix}{path}"), PAID).await;
                assert_eq!(response.page(), (404, ""), "{host}: {path}");
            }
        }
    }

    async fn a_path_that_only_resembles_a_guarded_one_has_its_own_policy(database) {
        let app = App::on(&database);
        let lenient = app.gate(app.policies(&ROUTES).otherwise_public()).guard(any_page());
        for path in ["/reports2", "/reports.json", "/report", "/x/reports"] {
            let response = request(&lenient, Method::GET, path, ANONYMOUS).await;
            assert_eq!(response.page(), (200, &path[1..]), "{path}");
            assert_eq!(request(&app.guarded(), Method::GET, path, FREE).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

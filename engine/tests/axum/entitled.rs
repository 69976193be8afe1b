//! A handler that takes `Entitled<R>` runs only for entitled callers.

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::any;
use billing::Policy;
use engine::axum::{Entitled, Requirement, SignedIn};

use crate::host::{ANONYMOUS, App, FREE, OPERATOR, PAID, REPORTS, TestResponse, request_with};

struct Reports;

impl Requirement for Reports {
    const POLICY: Policy = Policy::Feature(REPORTS);
}

struct Operators;

impl Requirement for Operators {
    const POLICY: Policy = Policy::Operator;
}

async fn who<R: Requirement>(permit: Entitled<R>) -> String {
    permit.account_id().to_string()
}

fn handlers() -> Router {
    Router::new()
        .route("/reports", any(who::<Reports>))
        .route("/settings", any(who::<SignedIn>))
        .route("/admin", any(who::<Operators>))
}

/// The handlers behind a gate that identifies callers and leaves the rest to the extractor.
fn router(app: &App) -> Router {
    app.gate(app.policies(&[]).otherwise_public()).guard(handlers())
}

async fn visit(router: &Router, path: &str, user: Option<&str>) -> TestResponse {
    request_with(router, Method::GET, path, user, &[("accept", "text/html,*/*;q=0.8")]).await
}

async fn call(router: &Router, path: &str, user: Option<&str>) -> (u16, String, String) {
    let response = request_with(router, Method::POST, path, user, &[("accept", "application/json")]).await;
    let json: serde_json::Value = serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{response:?}"));
    let text = |name: &str| json[name].as_str().expect("a string").to_owned();
    (response.status.as_u16(), text("error"), text("url"))
}

on_both_databases! {
    async fn a_handler_runs_with_the_account_of_an_entitled_caller(database) {
        let app = App::on(&database);
        app.subscribe().await;
        let router = router(&app);
        assert_eq!(visit(&router, "/settings", FREE).await.page(), (200, "free"));
        assert_eq!(visit(&router, "/reports", PAID).await.page(), (200, "paid"));
    }

    async fn a_browser_is_redirected(database) {
        let router = router(&App::on(&database));
        let response = visit(&router, "/reports?a=b", ANONYMOUS).await;
        assert_eq!(response.redirect(), (303, "/login?next=/reports%3Fa%3Db"));
        let response = visit(&router, "/reports?a=b", FREE).await;
        assert_eq!(response.redirect(), (303, "/billing/upgrade?feature=reports&next=/reports%3Fa%3Db"));
    }

    async fn an_api_client_gets_a_status_and_the_address_of_the_page(database) {
        let router = router(&App::on(&database));
        let (status, error, address) = call(&router, "/reports", ANONYMOUS).await;
        assert_eq!((status, error.as_str(), address.as_str()), (401, "Sign in first", "/login"));
        let (status, error, address) = call(&router, "/reports", FREE).await;
        assert_eq!((status, error.as_str()), (403, "Upgrade first"));
        assert_eq!(address, "/billing/upgrade?feature=reports");
    }

    async fn a_visitor_is_never_sent_back_to_the_address_of_a_form_post(database) {
        let router = router(&App::on(&database));
        for (referer, location) in [
            ("https://app.example.com/settings", "/login?next=/settings"),
            ("https://app.example.com/reports", "/login"),
            ("https://evil.example/settings", "/login"),
        ] {
            let headers = [("accept", "text/html"), ("referer", referer)];
            let response = request_with(&router, Method::POST, "/reports", ANONYMOUS, &headers).await;
            assert_eq!(response.redirect(), (303, location), "{referer}");
        }
    }

    async fn the_return_address_of_a_nested_router_has_its_prefix(database) {
        let router = Router::new().nest("/app", router(&App::on(&database)));
        assert_eq!(visit(&router, "/app/reports?a=b", ANONYMOUS).await.location(), "/login?next=/app/reports%3Fa%3Db");
        let upgrade = "/billing/upgrade?feature=reports&next=/app/reports";
        assert_eq!(visit(&router, "/app/reports", FREE).await.location(), upgrade);
    }

    async fn operator_routes_are_404_for_others(database) {
        let app = App::on(&database);
        app.subscribe().await;
        let router = router(&app);
        for user in [FREE, PAID] {
            assert_eq!(visit(&router, "/admin", user).await.page(), (404, ""), "{user:?}");
        }
        assert_eq!(visit(&router, "/admin", OPERATOR).await.page(), (200, "operator"));
    }

    async fn without_a_gate_every_caller_is_rejected(database) {
        let app = App::on(&database);
        app.subscribe().await;
        for user in [ANONYMOUS, PAID] {
            let response = visit(&handlers(), "/settings", user).await;
            assert_eq!((response.status, response.body.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, ""));
        }
    }
}

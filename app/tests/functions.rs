//! Rules for every server function, including those that are added later.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod support;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use billing::{AccountId, UserId};
use engine::Billable;
use leptos::server_fn::axum::server_fn_paths;
use server::auth::{SignedIn, Visitor};
use support::App;
use tower::ServiceExt;

/// A valid form for each function, and whether it is for operators.
const FORMS: [(&str, &str, bool); 13] = [
    ("/account/close", "password=correct-horse", false),
    ("/admin/changes/retry", "account=acc_1&number=1", true),
    ("/admin/changes/skip", "account=acc_1&number=1", true),
    ("/admin/compare", "", true),
    ("/admin/replay", "id=evt_1", true),
    ("/api/billing/checkout", "product=ai-500", false),
    ("/api/billing/plan", "", false),
    ("/api/billing/portal", "flow=card", false),
    ("/api/billing/subscribe", "plan=PRO&interval=month", false),
    ("/api/billing/usage", "", false),
    ("/billing/invoice", "id=in_1&as=pdf", false),
    ("/billing/return", "", false),
    ("/dashboard/notices/dismiss", "meter=apiCallsPerMonth&percent=80&next=%2Fbilling", false),
];

fn methods() -> Vec<(&'static str, Method)> {
    let mut functions: Vec<_> = server_fn_paths().collect();
    functions.sort_by_key(|(path, _)| *path);
    functions
}

fn request(path: &str, method: &Method, form: &str) -> Request<Body> {
    let request = Request::builder().method(method).header("accept", "application/json");
    if *method == Method::GET {
        return request.uri(format!("{path}?{form}")).body(Body::empty()).unwrap();
    }
    let request = request.uri(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(form.to_owned())).unwrap()
}

#[test]
fn the_forms_cover_every_function() {
    let listed: Vec<&str> = FORMS.iter().map(|(path, ..)| *path).collect();
    assert_eq!(listed, methods().iter().map(|(path, _)| *path).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_function_rejects_unknown_fields() {
    let app = App::new().await;
    let mut operator = app.operator("ada@example.com").await;
    for ((path, method), (_, form, _)) in methods().into_iter().zip(FORMS) {
        let form = if form.is_empty() { "unknown=1".to_owned() } else { format!("{form}&unknown=1") };
        let response = operator.send(request(path, &method, &form)).await;
        assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(response.html.contains("\"code\":\"malformed\""), "{path}: {}", response.html);
    }
}

/// Calls a function without the gate and the session in front of it. Returns status and body.
async fn call_without_gate(app: &App, request: Request<Body>) -> (StatusCode, String) {
    let router = app::pages(&app.tollgate).unwrap().router.with_state(app.tollgate.clone());
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_function_checks_its_caller_without_the_gate() {
    let app = App::new().await;
    for ((path, method), (_, form, is_for_operators)) in methods().into_iter().zip(FORMS) {
        let (status, body) = call_without_gate(&app, request(path, &method, form)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {body}");
        assert!(body.contains("\"code\":\"signed_out\""), "{path}: {body}");

        if is_for_operators {
            let who = SignedIn {
                user_id: UserId::new("user"),
                account_id: AccountId::new("account"),
                email: "eve@example.com".to_owned(),
                is_operator: false,
            };
            let mut request = request(path, &method, form);
            let entitlement = app.tollgate.entitlement(&who.account_id).await.unwrap();
            let billable =
                Billable { account: who.account_id.clone(), email: who.email.clone(), name: None, is_operator: false };
            request.extensions_mut().insert(engine::axum::Visitor(Some((billable, Arc::new(entitlement)))));
            request.extensions_mut().insert(Visitor { signed_in: Some(who) });
            let (status, body) = call_without_gate(&app, request).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn a_form_without_the_gate_redirects_to_the_login() {
    let app = App::new().await;
    let mut request = request("/api/billing/subscribe", &Method::POST, "plan=PRO&interval=month");
    request.headers_mut().remove("accept");
    let router = app::pages(&app.tollgate).unwrap().router.with_state(app.tollgate.clone());
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        response.headers()["location"],
        "/login?next=/pricing%3Fplan%3DPRO%26interval%3Dmonth",
        "the page with the form and its choice, not the post's address"
    );
}

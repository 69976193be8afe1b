//! Server functions over HTTP: rejected input, and the responses to forms and scripts.

use engine::metering::{self, Recorded, UsageEvent};
use reqwest::{Method, RequestBuilder};
use server::product::API_CALLS;

use crate::support::{Browser, Harness, PAYS, Page, on_both_databases};

const SUBSCRIBE: &str = "/api/billing/subscribe";
/// The `Accept` header of a browser's form or link.
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The fields of a form, by name.
type Fields = &'static [(&'static str, &'static str)];

on_both_databases! {
    async fn a_form_with_unexpected_fields_is_rejected_before_any_lookup(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let before = app.sandbox.requests().len();
        for (what, form, status) in rejected_forms() {
            let page = Page::of(posted(&browser, SUBSCRIBE, &form).header("accept", HTML)).await;
            assert_eq!(page.status, status, "{what}");
            assert_is_page(&page, what);
        }
        let json = browser.request(Method::POST, SUBSCRIBE).header("content-type", "application/json");
        assert_eq!(Page::of(json.body(r#"{"plan":"PRO","interval":"month"}"#)).await.status, 422);
        assert_eq!(app.sandbox.requests().len(), before, "Stripe must not be called");
    }

    async fn a_script_gets_the_same_errors_as_codes(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for (what, form, status) in rejected_forms() {
            let response = Page::of(posted(&browser, SUBSCRIBE, &form).header("accept", "application/json")).await;
            let code = if status == 413 { "too_large" } else { "malformed" };
            assert_eq!((response.status, code_of(&response).as_str()), (status, code), "{what}");
        }
    }

    async fn the_query_of_a_link_is_read_just_as_strictly(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for query in ["id=in_1&id=in_2", "id=in_1&to=%2F%2Fevil.example", "id=in_1%00", "id=in_1&as=exe"] {
            assert_eq!(browser.get(&format!("/billing/invoice?{query}")).await.status, 422, "{query}");
        }
        assert_eq!(browser.get("/billing/invoice?id=in_1&as=pdf").await.status, 404);
        let head = browser.request(Method::HEAD, "/billing/invoice?id=in_1");
        assert_eq!(Page::of(head).await.status, 404, "HEAD responds like GET");
    }

    async fn a_form_error_renders_the_form_and_never_redirects(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let form = [("plan", "GOLD"), ("interval", "month")];
        let request = browser.request(Method::POST, SUBSCRIBE).form(&form).header("accept", HTML);
        let page = Page::of(request.header("referer", format!("{}/pricing?from=mail", app.url))).await;
        assert_eq!((page.status, page.header("location")), (422, None));
        assert_is_page(&page, "GOLD");
        let banner = page.banner();
        assert!(banner.tone == "danger" && page.body.contains("id=\"plan-pro\""), "{}", page.body);
        assert_eq!(page.header("serverfnerror"), None);
    }

    async fn every_invalid_form_is_shown_again_with_its_error(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "ENTERPRISE", PAYS).await;
        app.settled().await;
        let at_a_field: [(&str, Fields, u16, &str); 4] = [
            ("/account/close", &[("password", "a guess")], 401, "password"),
            ("/dashboard/api-keys", &[("name", " ")], 422, "name"),
            ("/dashboard/custom-domain", &[("domain", "http://x")], 422, "domain"),
            ("/dashboard/support", &[("subject", "Hello"), ("body", " ")], 422, "body"),
        ];
        for (path, fields, status, field) in at_a_field {
            let page = browser.post(path, fields).await;
            assert_eq!((page.status, page.header("location")), (status, None), "{path}");
            assert!(page.body.contains(&format!("id=\"{field}-error\"")), "{path}: {}", page.body);
            assert!(page.body.contains(&format!("action=\"{path}\"")), "{path}: {}", page.body);
        }
        let form_errors: [(&str, Fields, u16); 2] = [
            ("/login", &[("email", "eve@example.com"), ("password", "a guess")], 401),
            ("/api/billing/checkout", &[("product", "gold")], 422),
        ];
        for (path, fields, status) in form_errors {
            let browser = if path == "/login" { app.browser() } else { browser.clone() };
            let page = browser.post(path, fields).await;
            assert_eq!((page.status, page.header("location")), (status, None), "{path}");
            assert!(page.banners().iter().any(|banner| banner.tone == "danger"), "{path}: {}", page.body);
            assert!(page.body.contains(&format!("action=\"{path}\"")), "{path}: {}", page.body);
        }
    }

    async fn a_script_gets_a_code_and_a_sentence_and_no_internals(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let call = async |plan: &str| {
            let form = [("plan", plan), ("interval", "month")];
            let request = browser.request(Method::POST, SUBSCRIBE).form(&form);
            Page::of(request.header("accept", "application/json")).await
        };
        let rejected = call("GOLD").await;
        assert_eq!((rejected.status, code_of(&rejected).as_str()), (422, "invalid"));
        assert!(rejected.json()["message"].as_str().is_some_and(|message| message.ends_with('.')));
        app.sandbox.fail_next(100, 503);
        let failed = call("PRO").await;
        app.sandbox.fail_next(0, 503);
        assert_eq!((failed.status, code_of(&failed).as_str()), (503, "stripe_unavailable"));
        let keys: Vec<String> = failed.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["code", "message"]);
        let started = call("PRO").await;
        assert_eq!(started.status, 200);
        let to = started.json()["to"].as_str().unwrap().to_owned();
        assert!(to.starts_with(&app.sandbox.url()), "{to}");
        assert_eq!(started.header("location"), None, "a script is not redirected");
    }

    async fn a_form_is_redirected_to_stripe_and_not_back_to_its_page(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let form = [("plan", "PRO"), ("interval", "month")];
        let request = browser.request(Method::POST, SUBSCRIBE).form(&form).header("accept", HTML);
        let page = Page::of(request.header("referer", format!("{}/pricing", app.url))).await;
        assert_eq!(page.status, 303);
        assert!(page.location().starts_with(&app.sandbox.url()), "{}", page.location());
        assert_eq!(page.body, "");
    }

    /// Chromium and WebKit check `form-action` along redirects, and block origins that it does not list.
    async fn a_form_that_leads_to_an_origin_outside_its_policy_ends_in_a_page_that_continues(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.sandbox.separate_origins(true);
        let port = app.sandbox.url().rsplit(':').next().unwrap().to_owned();
        let forms: [(&str, Fields, &str); 3] = [
            (SUBSCRIBE, &[("plan", "PRO"), ("interval", "month")], "checkout"),
            ("/api/billing/checkout", &[("product", "ai-500")], "checkout"),
            ("/api/billing/portal", &[], "billing"),
        ];
        for (path, fields, host) in forms {
            let page = browser.post(path, fields).await;
            assert_eq!((page.status, page.header("location")), (200, None), "{path}: {}", page.body);
            let stripe = format!("http://{host}.localhost:{port}/");
            assert!(page.body.contains(&format!("content=\"0; url={stripe}")), "{path}: {}", page.body);
            assert!(page.body.contains(&format!("href=\"{stripe}")), "{path}: {}", page.body);
            let script = browser.request(Method::POST, path).form(fields).header("accept", "application/json");
            assert!(Page::of(script).await.json()["to"].as_str().unwrap().starts_with(&stripe), "{path}");
        }
        let fields = [("email", "ada@example.com"), ("password", "correct horse"), ("next", "/billing/invoice?id=in_1")];
        let page = app.browser().post("/login", &fields).await;
        assert_eq!((page.status, page.header("location")), (200, None));
        assert!(page.header("set-cookie").is_some());
        assert!(page.header("cache-control").unwrap().contains("no-store"));
        assert!(!page.body.contains("href=\"/signup\""), "the visitor is signed in by now: {}", page.body);
        assert!(page.body.contains("content=\"0; url=/billing/invoice?id=in_1\""), "{}", page.body);
        let page = browser.post("/theme", &[("theme", "dark"), ("next", "/login?next=/billing/invoice")]).await;
        assert_eq!((page.status, page.header("location")), (200, None));
        assert!(page.header("set-cookie").unwrap().contains("dark"));
        assert!(page.body.contains("content=\"0; url=/login?next=/billing/invoice\""), "{}", page.body);
    }

    async fn a_script_gets_json_from_the_layers_before_the_function_too(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let foreign = browser.request(Method::POST, SUBSCRIBE).header("origin", "https://evil.example");
        let response = Page::of(foreign.header("accept", "application/json")).await;
        assert_eq!((response.status, code_of(&response).as_str()), (403, "forbidden"));
        let hidden = browser.request(Method::POST, "/admin/compare").header("accept", "application/json");
        let response = Page::of(hidden).await;
        assert_eq!((response.status, code_of(&response).as_str()), (404, "not_found"));
        let anonymous = app.browser().request(Method::POST, SUBSCRIBE).header("accept", "application/json");
        assert!(Page::of(anonymous).await.location().starts_with("/login"), "the gate comes first");
    }

    async fn plan_and_usage_can_be_read(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let plan = browser.get("/api/billing/plan").await.json();
        assert_eq!((plan["tier"].as_str(), plan["is_paid"].as_bool()), (Some("FREE"), Some(false)));
        let account = app.account("ada@example.com").await;
        let recorded = metering::record(&app.tollgate, &account, UsageEvent::new(API_CALLS, 80, "a")).await.unwrap();
        assert!(matches!(recorded, Recorded::Counted(_)), "{recorded:?}");
        let usage = browser.get("/api/billing/usage").await;
        assert!(usage.header("cache-control").unwrap().contains("no-store"));
        let usage = usage.json();
        let calls = &usage["meters"][0];
        assert_eq!((calls["key"].as_str(), calls["used"].as_u64()), (Some("apiCallsPerMonth"), Some(80)));
        assert_eq!((calls["limit"].as_u64(), calls["overage_policy"].as_str()), (Some(100), Some("denied")));
        assert_eq!(usage["notices"][0]["percent"], 80);
        assert!(app.browser().get("/api/billing/usage").await.location().starts_with("/login"));
    }

    async fn too_many_attempts_say_when_to_try_again(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let guess = async |accept: &str| {
            let request = browser.request(Method::POST, "/account/close").form(&[("password", "a guess")]);
            Page::of(request.header("accept", accept)).await
        };
        for _ in 0..10 {
            let response = guess("application/json").await;
            assert_eq!((response.status, code_of(&response).as_str()), (401, "wrong_password"));
            assert_eq!(response.json()["field"], "password");
        }
        let page = guess(HTML).await;
        assert_eq!(page.status, 429);
        assert!(page.body.contains("id=\"password-error\"") && !page.body.contains("a guess"), "{}", page.body);
        let response = guess("application/json").await;
        let wait = response.json()["retry_after"].as_u64().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        for header in [page.header("retry-after"), response.header("retry-after")] {
            assert!((1..=900).contains(&header.unwrap().parse::<u64>().unwrap()));
        }
    }
}

/// Forms with one error each, and the status that rejects them.
fn rejected_forms() -> Vec<(&'static str, String, u16)> {
    let good = "plan=PRO&interval=month";
    vec![
        ("an unknown field", format!("{good}&price=price_1"), 422),
        ("a field in a different case", format!("{good}&Plan=PRO"), 422),
        ("a repeated field", format!("{good}&plan=PRO"), 422),
        ("a missing field", "plan=PRO".to_owned(), 422),
        ("nothing", String::new(), 422),
        ("a NUL in a value", "plan=PRO%00&interval=month".to_owned(), 422),
        ("a NUL in a name", format!("{good}&%00=1"), 422),
        ("an array", "plan[0]=PRO&interval=month".to_owned(), 422),
        ("more than 64 KiB", format!("plan={}&interval=month", "A".repeat(64 * 1024)), 413),
    ]
}

fn posted(browser: &Browser, path: &str, form: &str) -> RequestBuilder {
    let request = browser.request(Method::POST, path).header("sec-fetch-site", "same-origin");
    request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())
}

fn code_of(response: &Page) -> String {
    assert_eq!(response.header("content-type").as_deref(), Some("application/json"), "{}", response.body);
    response.json()["code"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_is_page(page: &Page, what: &str) {
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"), "{what}");
    assert!(page.body.starts_with("<!DOCTYPE html>") && page.body.contains("<h1"), "{what}: {}", page.body);
}

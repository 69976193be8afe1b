//! The pages as a browser without JavaScript sees them.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod support;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use billing::ledger::{Reversal, ReversalKind};
use billing::{PaidPlan, PauseReason, Status, Tier};
use support::{App, NOW, PLANS, Response, subscription};
use tower::ServiceExt;

/// Checks the rules for every page.
fn assert_valid(path: &str, response: &Response) {
    let html = &response.html;
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\""), "{path}: {}", &html[..html.len().min(200)]);
    assert_eq!(html.matches("<h1").count(), 1, "{path} has one h1");
    assert_eq!(html.matches("<title>").count(), 1, "{path} has one title");
    assert!(html.contains(" · Tollgate</title>"), "{path} is named");
    assert!(!html.contains(" style="), "{path} has a style attribute, which its policy forbids");
    assert!(html.ends_with("</html>"), "{path} ends with the document");
    if response.csp.contains("script-src 'none'") {
        assert!(!html.contains("<script"), "{path} has a script that its policy forbids");
    } else {
        let nonce = response.csp.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert_eq!(html.matches("<script").count(), 1, "{path} has the one script that hydrates islands");
        assert!(html.contains(&format!("nonce=\"{nonce}\"")), "{path} has the nonce of its policy");
    }
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{path} has an id twice");
}

#[tokio::test]
async fn public_pages_need_no_account() {
    let app = App::new().await;
    let mut browser = app.browser();
    for path in
        ["/", "/pricing", "/pricing?interval=year", "/api-reference", "/signup", "/login", "/login?next=/billing"]
    {
        let response = browser.get(path).await;
        assert_eq!(response.status, StatusCode::OK, "{path}");
        assert_valid(path, &response);
    }
}

#[tokio::test]
async fn an_unknown_address_returns_a_404_page() {
    let app = App::new().await;
    let response = app.browser().get("/nothing-here").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_valid("/nothing-here", &response);
}

#[tokio::test]
async fn the_page_for_a_bug_shows_the_code_of_the_request() {
    let app = App::new().await;
    let rejections = app::pages(&app.tollgate).unwrap().rejections;
    for (status, shows_code) in [(StatusCode::INTERNAL_SERVER_ERROR, true), (StatusCode::NOT_FOUND, false)] {
        let request = Request::get("/").header("x-request-id", "4f1c").extension(status).body(Body::empty()).unwrap();
        let response = rejections.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let html = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(html.contains("4f1c"), shows_code, "{html}");
    }
}

#[tokio::test]
async fn only_a_page_with_an_island_has_a_script() {
    let app = App::new().await;
    // Without an account, the pricing page has links instead of forms.
    for path in ["/", "/pricing"] {
        assert!(app.browser().get(path).await.csp.contains("script-src 'none'"), "{path}");
    }
    let pricing = app.signed_up("ada@example.com").await.get("/pricing").await;
    assert_valid("/pricing", &pricing);
    assert!(pricing.csp.contains("'wasm-unsafe-eval'"));
    assert!(pricing.html.contains("/pkg/tollgate-1.js"));
}

#[tokio::test]
async fn signed_in_pages_open_on_every_plan() {
    let app = App::new().await;
    let mut free = app.signed_up("free@example.com").await;
    let mut pro = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let mut top = app.subscribed("top@example.com", subscription("tollgate_enterprise_year", Status::Active)).await;
    for path in ["/dashboard", "/billing", "/billing?notice=already_subscribed", "/billing/upgrade", "/pricing"] {
        for (who, browser) in [("free", &mut free), ("pro", &mut pro), ("top", &mut top)] {
            let response = browser.get(path).await;
            assert_eq!(response.status, StatusCode::OK, "{path} for {who}");
            assert_valid(path, &response);
        }
    }
    for path in ["/dashboard/analytics", "/dashboard/api-keys", "/dashboard/custom-domain", "/dashboard/support"] {
        let response = top.get(path).await;
        assert_eq!(response.status, StatusCode::OK, "{path}");
        assert_valid(path, &response);
    }
}

#[tokio::test]
async fn an_invalid_form_keeps_its_values_except_the_password() {
    let app = App::new().await;
    let mut browser = app.browser();
    let response =
        browser.post("/signup?next=/ignored", "email=ada%40nowhere&password=sesame-sesame&next=%2Fpricing").await;
    assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_valid("/signup", &response);
    assert!(response.html.contains("value=\"ada@nowhere\""));
    assert!(response.html.contains("aria-describedby=\"email-error\""));
    assert!(response.html.contains("name=\"next\" value=\"/pricing\""));
    assert!(!response.html.contains("sesame"));
}

#[tokio::test]
async fn a_wrong_login_does_not_reveal_whether_the_address_is_known() {
    let app = App::new().await;
    app.signed_up("ada@example.com").await;
    let mut browser = app.browser();
    let known = browser.post("/login", "email=ada%40example.com&password=not-hers").await;
    let unknown = browser.post("/login", "email=bob%40example.com&password=not-hers").await;
    assert_eq!(known.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert_eq!(known.html.replace("ada", "bob"), unknown.html);
}

#[tokio::test]
async fn a_form_with_an_unknown_missing_or_repeated_field_is_rejected() {
    let app = App::new().await;
    let mut browser = app.browser();
    for form in ["email=a%40b.example&password=12345678&tier=PRO", "email=a%40b.example", "email=x&email=y&password=z"]
    {
        let response = browser.post("/signup", form).await;
        assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert_valid(form, &response);
    }
    let json = Request::post("/signup").header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(browser.send(json).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_signed_in_visitor_is_redirected_from_the_login() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    for (path, to) in [
        ("/login?next=/billing", "/billing"),
        ("/signup", "/dashboard"),
        ("/login?next=https://evil.example", "/dashboard"),
        ("/login?next=//evil.example", "/dashboard"),
    ] {
        let response = browser.get(path).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(response.location.as_deref(), Some(to), "{path}");
    }
}

#[tokio::test]
async fn a_chosen_plan_survives_the_sign_up() {
    let app = App::new().await;
    let mut browser = app.browser();
    let pricing = browser.get("/pricing").await;
    assert!(pricing.html.contains("/signup?next=%2Fpricing%3Fplan%3DPRO%26interval%3Dmonth"), "{}", pricing.html);
    let form = "email=ada%40example.com&password=correct-horse&next=%2Fpricing%3Fplan%3DPRO%26interval%3Dmonth";
    let response = browser.post("/signup", form).await;
    assert_eq!(response.location.as_deref(), Some("/pricing?plan=PRO&interval=month"));
    let pricing = browser.get("/pricing?plan=PRO&interval=month").await;
    assert!(pricing.html.contains("Selected"));
    assert!(pricing.html.contains("Start Pro trial"));
}

#[tokio::test]
async fn a_subscriber_cannot_buy_a_second_plan() {
    let app = App::new().await;
    let mut browser = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let pricing = browser.get("/pricing").await;
    assert!(pricing.html.contains("Current plan"));
    assert!(!pricing.html.contains("action=\"/api/billing/subscribe\""), "one subscription at a time");
}

#[tokio::test]
async fn a_visitor_whose_plan_is_too_low_is_offered_the_right_one() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    let response = browser.get("/dashboard/api-keys").await;
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    let upgrade = browser.get(&response.location.unwrap()).await;
    assert_eq!(upgrade.status, StatusCode::OK);
    assert_valid("/billing/upgrade", &upgrade);
    assert!(upgrade.html.contains(">Get API keys with Pro</h1>"));
    assert!(upgrade.html.contains("name=\"plan\" value=\"PRO\""));
}

#[tokio::test]
async fn a_visitor_whose_payment_failed_is_asked_to_pay_instead_of_upgrading() {
    let app = App::new().await;
    let mut overdue = subscription("tollgate_pro_month", Status::PastDue);
    overdue.past_due_since = Some(NOW.plus_days(-4));
    let mut browser = app.subscribed("ada@example.com", overdue).await;
    let response = browser.get("/dashboard/analytics").await;
    let upgrade = browser.get(&response.location.unwrap()).await;
    assert_valid("/billing/upgrade", &upgrade);
    assert!(upgrade.html.contains("role=\"alert\""), "{}", upgrade.html);
    assert!(!upgrade.html.contains("action=\"/api/billing/subscribe\""), "{}", upgrade.html);
}

#[tokio::test]
async fn a_notice_at_eighty_percent_can_be_dismissed() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    app.record_calls("ada@example.com", 80).await;
    for path in ["/dashboard", "/billing"] {
        let response = browser.get(path).await;
        assert_valid(path, &response);
        assert_eq!(usage_notices(&response.html), [("apiCallsPerMonth".to_owned(), "80".to_owned())], "{path}");
        assert!(banners(&response.html)[0].0.contains("80 of 100"), "{path}");
    }
    let form = "meter=apiCallsPerMonth&percent=80&next=%2Fbilling";
    let response = browser.post("/dashboard/notices/dismiss", form).await;
    assert_eq!((response.status, response.location.as_deref()), (StatusCode::SEE_OTHER, Some("/billing")));
    assert!(usage_notices(&browser.get("/dashboard").await.html).is_empty());
    app.record_calls("ada@example.com", 20).await;
    let notices = usage_notices(&browser.get("/dashboard").await.html);
    assert_eq!(notices, [("apiCallsPerMonth".to_owned(), "100".to_owned())]);
    for wrong in ["meter=calls&percent=80", "meter=apiCallsPerMonth&percent=81", "meter=apiCallsPerMonth"] {
        assert_eq!(browser.post("/dashboard/notices/dismiss", wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn analytics_shows_and_exports_usage_by_day_and_key() {
    let app = App::new().await;
    let mut browser = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    app.record_calls("pro@example.com", 42).await;
    for range in ["", "?range=7d", "?range=30d", "?range=90d", "?range=365d", "?range=nonsense"] {
        let path = format!("/dashboard/analytics{range}");
        let response = browser.get(&path).await;
        assert_valid(&path, &response);
        let charts = between(&response.html, "role=\"img\" aria-label=\"", "\"");
        let [of_calls] = charts.as_slice() else { panic!("{path}: {charts:?}") };
        assert_eq!(of_calls.matches("42").count(), 2, "the total and the peak: {of_calls}");
        let (_, by_key) = response.html.split_once("aria-label=\"By key\"").unwrap();
        assert_eq!(by_key.matches("<th scope=\"row\">").count(), 1, "usage without a key: {path}");
        assert_eq!(between(by_key, "<td class=\"number\">", "</td>"), ["42", "0"], "{path}");
    }
    let csv = browser.get("/dashboard/analytics/export?range=7d").await;
    assert_eq!(csv.status, StatusCode::OK);
    assert_eq!(csv.html, "day,meter,api_key_id,api_key_name,used\r\n2026-11-23,apiCallsPerMonth,,,42\r\n");
    let mut free = app.signed_up("free@example.com").await;
    assert_eq!(free.get("/dashboard/analytics/export").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_meters_are_also_a_fragment() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    app.record_calls("ada@example.com", 7).await;
    let response = browser.get("/dashboard/meters").await;
    assert!(response.html.starts_with("<div class=\"meter\""), "{}", response.html);
    assert!(response.html.contains("max=\"100\" value=\"7\""), "{}", response.html);
}

#[tokio::test]
async fn the_reference_describes_requests_and_responses() {
    let app = App::new().await;
    let response = app.browser().get("/api-reference").await;
    let rows = |table: &str| {
        let (_, table) =
            response.html.split_once(&format!("aria-label=\"{table}\"")).unwrap_or_else(|| panic!("{table}"));
        let (table, _) = table.split_once("</table>").unwrap();
        let heads = table.split("<th scope=\"row\">").skip(1).map(|row| row.split("</th>").next().unwrap());
        heads.map(|head| head.replace("<code>", "").replace("</code>", "")).collect::<Vec<_>>()
    };
    let generate = "POST /api/v1/generate";
    assert_eq!(rows(&format!("Request of {generate}")), ["prompt", "stream"]);
    assert_eq!(rows(&format!("Headers of {generate}")), ["Idempotency-Key"]);
    let statuses = rows(&format!("Status codes of {generate}"));
    assert!(
        ["200", "401", "402", "422", "429"].iter().all(|status| statuses.iter().any(|row| row == status)),
        "{statuses:?}"
    );
    let fields = rows("Response of GET /api/v1/usage");
    assert!(fields.contains(&"meters".to_owned()) && fields.contains(&"meters.resets_at".to_owned()), "{fields:?}");
    assert_eq!(response.html.matches("Request of GET").count(), 0, "a GET has no body");
}

#[tokio::test]
async fn a_new_key_is_shown_once() {
    let app = App::new().await;
    let mut browser = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let made = browser.post("/dashboard/api-keys", "name=Worker").await;
    assert_eq!(made.status, StatusCode::OK);
    assert_valid("/dashboard/api-keys", &made);
    let key = made.html.split("value=\"tg_").nth(1).and_then(|rest| rest.split('"').next()).expect("the key is there");
    let again = browser.get("/dashboard/api-keys").await;
    assert!(again.html.contains("Worker"));
    assert!(!again.html.contains(key));

    let rejected = browser.post("/dashboard/api-keys", "name=").await;
    assert_eq!(rejected.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(rejected.html.contains("id=\"name-error\""));
}

#[tokio::test]
async fn a_key_of_another_account_cannot_be_revoked() {
    let app = App::new().await;
    let mut pro = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let mut top = app.subscribed("top@example.com", subscription("tollgate_enterprise_month", Status::Active)).await;
    let made = pro.post("/dashboard/api-keys", "name=Worker").await;
    let id = made.html.split("name=\"id\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(top.post("/dashboard/api-keys/revoke", &format!("id={id}")).await.status, StatusCode::NOT_FOUND);
    let response = pro.post("/dashboard/api-keys/revoke", &format!("id={id}")).await;
    assert_eq!((response.status, response.location.as_deref()), (StatusCode::SEE_OTHER, Some("/dashboard/api-keys")));
}

#[tokio::test]
async fn a_message_is_stored_and_shown_as_it_was_typed() {
    let app = App::new().await;
    let mut browser =
        app.subscribed("top@example.com", subscription("tollgate_enterprise_month", Status::Active)).await;
    let response = browser.post("/dashboard/support", "subject=Help&body=%3Cb%3Ebold%3C%2Fb%3E").await;
    let shown = browser.get(&response.location.unwrap()).await;
    assert_valid("/dashboard/support", &shown);
    assert!(shown.html.contains("&lt;b&gt;bold&lt;/b&gt;"));
    let long = "a".repeat(201);
    for (form, field) in [
        ("subject=Help&body=".to_owned(), "body"),
        ("subject=&body=Help".to_owned(), "subject"),
        (format!("subject={long}&body=Help"), "subject"),
        (format!("subject=Help&body={}", "a".repeat(10_001)), "body"),
    ] {
        let rejected = browser.post("/dashboard/support", &form).await;
        assert_eq!(rejected.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(rejected.html.matches("class=\"field-error\"").count(), 1, "{field}");
        assert!(rejected.html.contains(&format!("id=\"{field}-error\"")), "{field}: {}", rejected.html);
        assert!(rejected.html.contains("Help"), "the values are kept");
    }
}

#[tokio::test]
async fn each_state_of_a_subscription_has_a_banner_with_its_date() {
    let app = App::new().await;
    let mut trial = subscription("tollgate_pro_month", Status::Trialing);
    trial.trial_end = Some(NOW.plus_days(7));
    let mut late = subscription("tollgate_pro_month", Status::PastDue);
    late.past_due_since = Some(NOW.plus_days(-1));
    let mut too_late = subscription("tollgate_pro_month", Status::PastDue);
    too_late.past_due_since = Some(NOW.plus_days(-4));
    let mut leaving = subscription("tollgate_pro_month", Status::Active);
    leaving.cancel_at_period_end = true;
    let paused = |reason| {
        let mut paused = subscription("tollgate_pro_month", Status::Paused);
        paused.past_due_since = Some(NOW.plus_days(-1));
        paused.paused = Some(reason);
        paused
    };
    let mut not_upgraded = subscription("tollgate_enterprise_month", Status::PastDue);
    not_upgraded.past_due_since = Some(NOW.plus_days(-1));
    not_upgraded.paid = Some(PaidPlan { tier: Tier::new("PRO"), until: not_upgraded.period().end });
    let cases = [
        (trial, "7 days", "30 November 2026, 14:05:00 UTC"),
        (late, "Pro failed", "25 November 2026, 14:05:00 UTC"),
        (too_late, "suspended", "22 November 2026, 14:05:00 UTC"),
        (leaving, "canceled", "16 December 2026, 14:05:00 UTC"),
        (subscription("tollgate_pro_month", Status::Incomplete), "first payment", ""),
        (subscription("tollgate_pro_month", Status::Unpaid), "suspended", ""),
        (subscription("tollgate_pro_month", Status::Paused), "paused", ""),
        (paused(PauseReason::TrialEndWithoutPaymentMethod), "paused", ""),
        (paused(PauseReason::PauseRequested), "paused", ""),
        (paused(PauseReason::FirstPaymentFailure), "Pro failed", "25 November 2026, 14:05:00 UTC"),
        (not_upgraded, "Enterprise failed", "16 December 2026, 14:05:00 UTC"),
        (subscription("no_such_price", Status::Active), "checking", ""),
    ];
    for (number, (mut subscription, word, date)) in cases.into_iter().enumerate() {
        let email = format!("number{number}@example.com");
        subscription.id = billing::SubscriptionId::new(format!("sub_{number}"));
        subscription.customer = billing::CustomerId::new(format!("cus_{number}"));
        let mut browser = app.subscribed(&email, subscription).await;
        for path in ["/billing", "/dashboard"] {
            let response = browser.get(path).await;
            assert_valid(path, &response);
            let banners = banners(&response.html);
            let [(shown, dates)] = banners.as_slice() else { panic!("{path} of {number}: {banners:?}") };
            assert!(shown.contains(word), "{path} of {number}: {shown}");
            assert_eq!(dates.join(", "), date, "{path} of {number}");
        }
    }
}

#[tokio::test]
async fn a_plan_whose_payment_was_returned_says_why_it_is_suspended_and_when_it_comes_back() {
    let plans = PLANS.replace("\"flag\"", "\"suspend\"").replace("\"keep\"", "\"end_access\"");
    let app = App::with_plans(&plans).await;
    let renews = "16 December 2026, 14:05:00 UTC";
    let cases = [
        (ReversalKind::Disputed, false, "disputed", "withdraw", ""),
        (ReversalKind::DisputeLost, false, "disputed", "returned", renews),
        (ReversalKind::Refunded, false, "refunded", "comes back", renews),
        (ReversalKind::Refunded, true, "refunded", "is canceled", ""),
    ];
    for (number, (kind, is_canceled, word, text, date)) in cases.into_iter().enumerate() {
        let mut subscription = subscription("tollgate_pro_month", Status::Active);
        subscription.id = billing::SubscriptionId::new(format!("sub_{number}"));
        subscription.customer = billing::CustomerId::new(format!("cus_{number}"));
        subscription.cancel_at_period_end = is_canceled;
        let (invoice, created) = (billing::InvoiceId::new("in_1"), NOW.plus_days(-1));
        subscription.reversals = vec![Reversal { invoice, created, until: subscription.period().end, kind }];
        let mut browser = app.subscribed(&format!("number{number}@example.com"), subscription).await;
        let response = browser.get("/billing").await;
        assert_valid("/billing", &response);
        let banners = banners(&response.html);
        let [(shown, dates)] = banners.as_slice() else { panic!("{number}: {banners:?}") };
        assert!(shown.contains(word), "{number}: {shown}");
        assert_eq!(dates.join(", "), date, "{number}");
        assert!(response.html.contains(text), "{number}: {}", response.html);
    }
}

#[tokio::test]
async fn a_paused_plan_that_is_kept_shows_until_when() {
    let app = App::with_plans(&PLANS.replace("\"end_access\" #", "\"keep_period\" #")).await;
    let mut paused = subscription("tollgate_pro_month", Status::Paused);
    paused.paused = Some(PauseReason::PauseRequested);
    let mut browser = app.subscribed("ada@example.com", paused).await;
    let banners = banners(&browser.get("/billing").await.html);
    let [(title, dates)] = banners.as_slice() else { panic!("{banners:?}") };
    assert!(title.contains("paused"), "{title}");
    assert_eq!(dates, &["16 December 2026, 14:05:00 UTC"]);
    assert_eq!(browser.get("/dashboard/analytics").await.status, StatusCode::OK);
}

/// Returns the title of each banner above the cards, and the exact dates in it.
fn banners(html: &str) -> Vec<(String, Vec<String>)> {
    let (above, _) = html.split_once("<div class=\"split\">").unwrap();
    let banner = |banner: &str| {
        let title = between(banner, "<p class=\"banner-title\">", "</p>").concat();
        (title, between(banner, "<time ", ">").iter().flat_map(|time| between(time, "title=\"", "\"")).collect())
    };
    above.split("class=\"banner banner-").skip(1).map(banner).collect()
}

/// Returns the meter and the percentage of each notice about usage.
fn usage_notices(html: &str) -> Vec<(String, String)> {
    let of = |field: &str| between(html, &format!("name=\"{field}\" value=\""), "\"");
    of("meter").into_iter().zip(of("percent")).collect()
}

/// Returns every text between `start` and the next `end`.
fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    text.split(start).skip(1).map(|rest| rest.split(end).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_ended_subscription_is_listed() {
    let app = App::new().await;
    let mut ended = subscription("tollgate_pro_month", Status::Canceled);
    ended.ended_at = Some(NOW.plus_days(-1));
    let mut browser = app.subscribed("ada@example.com", ended).await;
    let response = browser.get("/billing").await;
    assert_valid("/billing", &response);
    let (_, past) = response.html.split_once("Past subscriptions, table").expect("past subscriptions are listed");
    assert!(past.contains("<th scope=\"row\">Pro</th>") && past.contains("22 November 2026"), "{past}");
}

#[tokio::test]
async fn the_theme_is_stored_and_the_visitor_stays_on_the_page() {
    let app = App::new().await;
    let mut browser = app.browser();
    let response = browser.post("/theme", "theme=dark&next=%2Fpricing").await;
    assert_eq!((response.status, response.location.as_deref()), (StatusCode::SEE_OTHER, Some("/pricing")));
    assert!(browser.get("/pricing").await.html.contains("data-theme=\"dark\""));
    assert_eq!(browser.post("/theme", "theme=pink").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    assert_eq!(browser.post("/logout", "").await.status, StatusCode::SEE_OTHER);
    let response = browser.get("/dashboard").await;
    assert_eq!(response.location.as_deref(), Some("/login?next=/dashboard"));
}

#[tokio::test]
async fn a_checkout_of_another_account_returns_404() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    let response = browser.get("/billing/success?session_id=cs_of_another_account").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_valid("/billing/success", &response);
}

#[tokio::test]
async fn the_free_plan_has_the_currency_of_the_others() {
    let app = App::with_plans(&PLANS.replace("\"usd\"", "\"eur\"")).await;
    for path in ["/", "/pricing"] {
        let html = app.browser().get(path).await.html;
        assert!(html.contains("€0") && html.contains("€29"), "{path}: {html}");
        assert!(!html.contains('$'), "{path}: {html}");
    }
}

#[tokio::test]
async fn the_home_page_shows_the_yearly_price_of_a_plan_without_a_monthly_one() {
    let monthly = "  [[plan.price]]\n  interval = \"month\"\n  amount = 2900\n  currency = \"usd\"\n  \
                   lookup_key = \"tollgate_pro_month\"\n  env = \"STRIPE_PRO_PRICE_ID\"\n";
    assert_eq!(PLANS.matches(monthly).count(), 1);
    let html = App::with_plans(&PLANS.replace(monthly, "")).await.browser().get("/").await.html;
    let prices: Vec<String> = between(&html, "<span class=\"teaser-price\">", "</span></span>");
    let prices: Vec<String> = prices.iter().map(|price| price.replace("<span class=\"teaser-per\">", "")).collect();
    assert_eq!(prices, ["$0 / month", "$290 / year", "$199 / month"]);
}

#[tokio::test]
async fn a_card_refers_to_a_lower_plan_only_if_its_plan_includes_that_one() {
    let cards = async |from: &str, to: &str| {
        assert_eq!(PLANS.matches(from).count(), 1, "{from}");
        let html = App::with_plans(&PLANS.replace(from, to)).await.browser().get("/pricing").await.html;
        between(&html, "<p class=\"plan-intro\">", "</p>")
    };
    let all = "features = [\"advancedAnalytics\", \"customDomain\", \"prioritySupport\"]";
    assert_eq!(cards(all, all).await, ["What's included", "Everything in Free, plus", "Everything in Pro, plus"]);
    let included = ["What's included", "Everything in Free, plus", "Everything in Free, plus"];
    assert_eq!(cards(all, "features = [\"prioritySupport\"]").await, included, "it lacks features of Pro");
    let unlimited = "aiGenerationsPerMonth = \"unlimited\"";
    assert_eq!(cards(unlimited, "aiGenerationsPerMonth = 499").await, included, "it has a lower limit than Pro");
    let neither = ["What's included", "Everything in Free, plus", "What's included"];
    assert_eq!(cards(unlimited, "aiGenerationsPerMonth = 9").await, neither);
}

#[tokio::test]
async fn the_home_page_says_what_the_catalog_says() {
    let says = async |plans: &str| {
        let html = App::with_plans(plans).await.browser().get("/").await.html;
        ["credits", "nothing extra", "per unit", "Other usage"].map(|text| html.contains(text))
    };
    let (without_credits, _) = PLANS.split_once("[[product]]").unwrap();
    assert_eq!(says(PLANS).await, [true, true, false, false]);
    assert_eq!(says(without_credits).await, [false, true, false, false]);
    assert_eq!(says(&metered_plans()).await, [true, false, true, true]);
}

#[tokio::test]
async fn trial_and_grace_period_on_public_pages_are_those_of_the_catalog() {
    let plans = |trial: &str, grace: &str| {
        assert!(PLANS.contains("trial_days = 14 ") && PLANS.contains("grace_days = 3 "));
        PLANS.replace("trial_days = 14 ", trial).replace("grace_days = 3 ", grace)
    };
    let long = App::with_plans(&plans("trial_days = 30 ", "grace_days = 5 ")).await;
    let (home, pricing) = (long.browser().get("/").await.html, long.browser().get("/pricing").await.html);
    assert!(home.contains("30-day free trial") && home.contains("5 days"), "{home}");
    assert!(pricing.contains("30-day free trial") && pricing.contains("30 days"), "{pricing}");

    let none = App::with_plans(&plans("trial_days = 0 ", "grace_days = 0 ")).await;
    for path in ["/", "/pricing"] {
        let html = none.browser().get(path).await.html;
        assert!(!html.contains("trial") && !html.contains("0 days"), "{path}: {html}");
    }
}

#[tokio::test]
async fn a_visitor_back_from_checkout_learns_that_nothing_was_charged() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    for path in ["/pricing", "/billing"] {
        let returned = browser.get(&format!("{path}?notice=canceled")).await;
        assert_valid(path, &returned);
        let banners = |html: &str| html.matches("class=\"banner banner-info\"").count();
        assert_eq!((banners(&returned.html), banners(&browser.get(path).await.html)), (1, 0), "{path}");
    }
}

#[tokio::test]
async fn a_used_up_meter_says_whether_further_usage_is_rejected_or_billed() {
    let app = App::with_plans(&metered_plans()).await;
    let mut free = app.signed_up("free@example.com").await;
    app.record_calls("free@example.com", 100).await;
    let dashboard = free.get("/dashboard").await.html;
    assert!(dashboard.contains("rejected"), "nothing is billed on the free plan: {dashboard}");

    let mut metered = subscription("tollgate_pro_month", Status::Active);
    let mut item = metered.items[0].clone();
    item.lookup_key = Some("api_calls_month".to_owned());
    item.price = billing::PriceId::new("price_metered");
    metered.items.push(item);
    let mut pro = app.subscribed("pro@example.com", metered).await;
    app.record_calls("pro@example.com", 10_000).await;
    let dashboard = pro.get("/dashboard").await.html;
    assert!(dashboard.contains("billed at $0.01"), "{dashboard}");
}

/// Returns the shipped plans, with API calls billed beyond the limit.
fn metered_plans() -> String {
    let meter = "key = \"apiCallsPerMonth\"\n";
    assert_eq!(PLANS.matches(meter).count(), 1);
    PLANS.replace(
        meter,
        "key = \"apiCallsPerMonth\"\noverage = \"bill\"\nevent_name = \"api_calls\"\n\
         lookup_key = \"api_calls\"\namount = 1\ncurrency = \"usd\"\n",
    )
}

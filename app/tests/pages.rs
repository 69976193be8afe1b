//! The pages as a browser without JavaScript gets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use billing::Status;
use support::{Answer, App, NOW, PLANS, subscription};

/// What every page must be, whatever is on it.
fn assert_sound(path: &str, answer: &Answer) {
    let html = &answer.html;
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\""), "{path}: {}", &html[..html.len().min(200)]);
    assert_eq!(html.matches("<h1").count(), 1, "{path} has one h1");
    assert_eq!(html.matches("<title>").count(), 1, "{path} has one title");
    assert!(html.contains(" · Tollgate</title>"), "{path} is named");
    assert!(!html.contains(" style="), "{path} has a style attribute, which its policy forbids");
    assert!(html.ends_with("</html>"), "{path} ends with the document");
    if answer.csp.contains("script-src 'none'") {
        assert!(!html.contains("<script"), "{path} has a script that its policy forbids");
    } else {
        let nonce = answer.csp.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert_eq!(html.matches("<script").count(), 1, "{path} has the one script that wakes islands");
        assert!(html.contains(&format!("nonce=\"{nonce}\"")), "{path} has the nonce of its policy");
    }
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{path} has an id twice");
}

#[tokio::test]
async fn public_pages_stand_without_an_account() {
    let app = App::new().await;
    let mut browser = app.browser();
    for path in
        ["/", "/pricing", "/pricing?interval=year", "/api-reference", "/signup", "/login", "/login?next=/billing"]
    {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_sound(path, &answer);
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_is_a_page_with_404() {
    let app = App::new().await;
    let answer = app.browser().get("/nothing-here").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_sound("/nothing-here", &answer);
}

#[tokio::test]
async fn only_a_page_with_an_island_carries_a_script() {
    let app = App::new().await;
    // A stranger's pricing page has links where a subscriber-to-be has forms.
    for path in ["/", "/pricing"] {
        assert!(app.browser().get(path).await.csp.contains("script-src 'none'"), "{path}");
    }
    let pricing = app.signed_up("ada@example.com").await.get("/pricing").await;
    assert_sound("/pricing", &pricing);
    assert!(pricing.csp.contains("'wasm-unsafe-eval'"));
    assert!(pricing.html.contains("/pkg/tollgate-1.js"));
}

#[tokio::test]
async fn signed_in_pages_stand_on_every_plan() {
    let app = App::new().await;
    let mut free = app.signed_up("free@example.com").await;
    let mut pro = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let mut top = app.subscribed("top@example.com", subscription("tollgate_enterprise_year", Status::Active)).await;
    for path in ["/dashboard", "/billing", "/billing?notice=already_subscribed", "/billing/upgrade", "/pricing"] {
        for (who, browser) in [("free", &mut free), ("pro", &mut pro), ("top", &mut top)] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} for {who}");
            assert_sound(path, &answer);
        }
    }
    for path in ["/dashboard/analytics", "/dashboard/api-keys", "/dashboard/custom-domain", "/dashboard/support"] {
        let answer = top.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_sound(path, &answer);
    }
}

#[tokio::test]
async fn what_was_typed_is_kept_and_the_password_is_not() {
    let app = App::new().await;
    let mut browser = app.browser();
    let answer =
        browser.post("/signup?next=/ignored", "email=ada%40nowhere&password=sesame-sesame&next=%2Fpricing").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_sound("/signup", &answer);
    assert!(answer.html.contains("value=\"ada@nowhere\""));
    assert!(answer.html.contains("aria-describedby=\"email-fault\""));
    assert!(answer.html.contains("name=\"next\" value=\"/pricing\""));
    assert!(!answer.html.contains("sesame"));
}

#[tokio::test]
async fn a_wrong_login_is_401_and_says_nothing_about_which_half_was_wrong() {
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
async fn a_form_with_a_field_we_do_not_know_is_refused_whole() {
    let app = App::new().await;
    let mut browser = app.browser();
    for form in ["email=a%40b.example&password=12345678&tier=PRO", "email=a%40b.example", "email=x&email=y&password=z"]
    {
        let answer = browser.post("/signup", form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert_sound(form, &answer);
    }
    let json = Request::post("/signup").header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(browser.send(json).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn somebody_signed_in_is_led_past_the_login() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    for (path, to) in [
        ("/login?next=/billing", "/billing"),
        ("/signup", "/dashboard"),
        ("/login?next=https://evil.example", "/dashboard"),
        ("/login?next=//evil.example", "/dashboard"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.location.as_deref(), Some(to), "{path}");
    }
}

#[tokio::test]
async fn a_chosen_plan_survives_the_sign_up() {
    let app = App::new().await;
    let mut browser = app.browser();
    let pricing = browser.get("/pricing").await;
    assert!(pricing.html.contains("/signup?next=%2Fpricing%3Fplan%3DPRO%26interval%3Dmonth"), "{}", pricing.html);
    let form = "email=ada%40example.com&password=correct-horse&next=%2Fpricing%3Fplan%3DPRO%26interval%3Dmonth";
    let answer = browser.post("/signup", form).await;
    assert_eq!(answer.location.as_deref(), Some("/pricing?plan=PRO&interval=month"));
    let pricing = browser.get("/pricing?plan=PRO&interval=month").await;
    assert!(pricing.html.contains("Your choice"));
    assert!(pricing.html.contains("Start free trial of Pro"));
}

#[tokio::test]
async fn a_plan_that_is_had_already_is_not_for_sale() {
    let app = App::new().await;
    let mut browser = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let pricing = browser.get("/pricing").await;
    assert!(pricing.html.contains("Your plan"));
    assert!(!pricing.html.contains("action=\"/api/billing/subscribe\""), "one subscription at a time");
}

#[tokio::test]
async fn too_low_a_plan_is_led_to_the_one_that_opens_it() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    let answer = browser.get("/dashboard/api-keys").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let upgrade = browser.get(&answer.location.unwrap()).await;
    assert_eq!(upgrade.status, StatusCode::OK);
    assert_sound("/billing/upgrade", &upgrade);
    assert!(upgrade.html.contains("Get API keys with Pro"));
    assert!(upgrade.html.contains("name=\"plan\" value=\"PRO\""));
}

#[tokio::test]
async fn a_meter_at_eighty_percent_is_said_and_can_be_dismissed() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    app.record_calls("ada@example.com", 80).await;
    for path in ["/dashboard", "/billing"] {
        let answer = browser.get(path).await;
        assert_sound(path, &answer);
        assert!(answer.html.contains("You have used 80 of 100 API calls."), "{path}");
    }
    let form = "meter=apiCallsPerMonth&percent=80&next=%2Fbilling";
    let answer = browser.post("/dashboard/notices/dismiss", form).await;
    assert_eq!((answer.status, answer.location.as_deref()), (StatusCode::SEE_OTHER, Some("/billing")));
    assert!(!browser.get("/dashboard").await.html.contains("You have used 80"));
    app.record_calls("ada@example.com", 20).await;
    assert!(browser.get("/dashboard").await.html.contains("You have used all of your 100 API calls."));
    for wrong in ["meter=calls&percent=80", "meter=apiCallsPerMonth&percent=81", "meter=apiCallsPerMonth"] {
        assert_eq!(browser.post("/dashboard/notices/dismiss", wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn analytics_show_days_and_keys_in_a_table_and_export_them() {
    let app = App::new().await;
    let mut browser = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    app.record_calls("pro@example.com", 42).await;
    for range in ["", "?range=7d", "?range=30d", "?range=90d", "?range=365d", "?range=nonsense"] {
        let path = format!("/dashboard/analytics{range}");
        let answer = browser.get(&path).await;
        assert_sound(&path, &answer);
        assert!(answer.html.contains("Signed in, without a key"), "{path}");
        assert!(answer.html.contains("<svg") && answer.html.contains("42 in all, at most 42 a day"), "{path}");
    }
    let csv = browser.get("/dashboard/analytics/export?range=7d").await;
    assert_eq!(csv.status, StatusCode::OK);
    assert_eq!(csv.html, "day,meter,api_key_id,api_key_name,used\r\n2026-11-23,apiCallsPerMonth,,,42\r\n");
    let mut free = app.signed_up("free@example.com").await;
    assert_eq!(free.get("/dashboard/analytics/export").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_meters_can_be_had_alone() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    app.record_calls("ada@example.com", 7).await;
    let answer = browser.get("/dashboard/meters").await;
    assert!(
        answer.html.starts_with("<div class=\"meter\"") && answer.html.contains("7 of 100 used"),
        "{}",
        answer.html
    );
}

#[tokio::test]
async fn the_reference_says_what_every_call_takes_and_answers() {
    let app = App::new().await;
    let answer = app.browser().get("/api-reference").await;
    let rows = |table: &str| {
        let (_, table) =
            answer.html.split_once(&format!("aria-label=\"{table}\"")).unwrap_or_else(|| panic!("{table}"));
        let (table, _) = table.split_once("</table>").unwrap();
        let heads = table.split("<th scope=\"row\">").skip(1).map(|row| row.split("</th>").next().unwrap());
        heads.map(|head| head.replace("<code>", "").replace("</code>", "")).collect::<Vec<_>>()
    };
    let generate = "POST /api/v1/generate";
    assert_eq!(rows(&format!("Fields of {generate}")), ["prompt", "stream"]);
    assert_eq!(rows(&format!("Headers of {generate}")), ["Idempotency-Key"]);
    let statuses = rows(&format!("Statuses of {generate}"));
    assert!(
        ["200", "401", "402", "422", "429"].iter().all(|status| statuses.iter().any(|row| row == status)),
        "{statuses:?}"
    );
    let answered = rows("Answer of GET /api/v1/usage");
    assert!(
        answered.contains(&"meters".to_owned()) && answered.contains(&"meters.resets_at".to_owned()),
        "{answered:?}"
    );
    assert_eq!(answer.html.matches("Fields of GET").count(), 0, "what is read takes no body");
}

#[tokio::test]
async fn a_new_key_is_shown_once() {
    let app = App::new().await;
    let mut browser = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let made = browser.post("/dashboard/api-keys", "name=Worker").await;
    assert_eq!(made.status, StatusCode::OK);
    assert_sound("/dashboard/api-keys", &made);
    let key = made.html.split("value=\"tg_").nth(1).and_then(|rest| rest.split('"').next()).expect("the key is there");
    let again = browser.get("/dashboard/api-keys").await;
    assert!(again.html.contains("Worker"));
    assert!(!again.html.contains(key));

    let refused = browser.post("/dashboard/api-keys", "name=").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains("id=\"name-fault\""));
}

#[tokio::test]
async fn somebody_else_s_key_cannot_be_revoked() {
    let app = App::new().await;
    let mut pro = app.subscribed("pro@example.com", subscription("tollgate_pro_month", Status::Active)).await;
    let mut top = app.subscribed("top@example.com", subscription("tollgate_enterprise_month", Status::Active)).await;
    let made = pro.post("/dashboard/api-keys", "name=Worker").await;
    let id = made.html.split("name=\"id\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(top.post("/dashboard/api-keys/revoke", &format!("id={id}")).await.status, StatusCode::NOT_FOUND);
    let answer = pro.post("/dashboard/api-keys/revoke", &format!("id={id}")).await;
    assert_eq!((answer.status, answer.location.as_deref()), (StatusCode::SEE_OTHER, Some("/dashboard/api-keys")));
}

#[tokio::test]
async fn a_message_is_kept_and_shown_as_it_was_written() {
    let app = App::new().await;
    let mut browser =
        app.subscribed("top@example.com", subscription("tollgate_enterprise_month", Status::Active)).await;
    let answer = browser.post("/dashboard/support", "subject=Help&body=%3Cb%3Ebold%3C%2Fb%3E").await;
    let shown = browser.get(&answer.location.unwrap()).await;
    assert_sound("/dashboard/support", &shown);
    assert!(shown.html.contains("&lt;b&gt;bold&lt;/b&gt;"));
    let long = "a".repeat(201);
    for (form, field) in [
        ("subject=Help&body=".to_owned(), "body"),
        ("subject=&body=Help".to_owned(), "subject"),
        (format!("subject={long}&body=Help"), "subject"),
        (format!("subject=Help&body={}", "a".repeat(10_001)), "body"),
    ] {
        let refused = browser.post("/dashboard/support", &form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.html.matches("class=\"field-fault\"").count(), 1, "{field}");
        assert!(refused.html.contains(&format!("id=\"{field}-fault\"")), "{field}: {}", refused.html);
        assert!(refused.html.contains("Help"), "what was typed stays");
    }
}

#[tokio::test]
async fn each_state_of_a_subscription_is_said_with_its_date() {
    let app = App::new().await;
    let mut trial = subscription("tollgate_pro_month", Status::Trialing);
    trial.trial_end = Some(NOW.plus_days(7));
    let mut late = subscription("tollgate_pro_month", Status::PastDue);
    late.past_due_since = Some(NOW.plus_days(-1));
    let mut too_late = subscription("tollgate_pro_month", Status::PastDue);
    too_late.past_due_since = Some(NOW.plus_days(-4));
    let mut leaving = subscription("tollgate_pro_month", Status::Active);
    leaving.cancel_at_period_end = true;
    let cases = [
        (trial, "Your free trial of Pro is running.", "30 November 2026, 14:05 UTC"),
        (late, "The last payment for Pro failed.", "25 November 2026, 14:05 UTC"),
        (too_late, "Pro is closed because a payment failed.", "22 November 2026, 14:05 UTC"),
        (leaving, "Pro is cancelled.", "16 December 2026, 14:05 UTC"),
        (subscription("tollgate_pro_month", Status::Incomplete), "The first payment for Pro is not finished.", ""),
        (subscription("tollgate_pro_month", Status::Unpaid), "Pro is unpaid and closed.", ""),
        (subscription("tollgate_pro_month", Status::Paused), "Pro is paused.", ""),
        (subscription("no_such_price", Status::Active), "We are checking your subscription.", ""),
    ];
    for (number, (mut subscription, title, date)) in cases.into_iter().enumerate() {
        let email = format!("number{number}@example.com");
        subscription.id = billing::SubscriptionId::new(format!("sub_{number}"));
        subscription.customer = billing::CustomerId::new(format!("cus_{number}"));
        let mut browser = app.subscribed(&email, subscription).await;
        for path in ["/billing", "/dashboard"] {
            let answer = browser.get(path).await;
            assert_sound(path, &answer);
            let banners = banners(&answer.html);
            let [(said, dates)] = banners.as_slice() else { panic!("{path} of {number}: {banners:?}") };
            assert_eq!((said.as_str(), dates.join(", ").as_str()), (title, date), "{path} of {number}");
        }
    }
}

/// The title of each banner, and the dates in it.
fn banners(html: &str) -> Vec<(String, Vec<String>)> {
    // They stand above the cards.
    let (above, _) = html.split_once("<div class=\"split\">").unwrap();
    let inside = |text: &str, tag: &str| -> Vec<String> {
        let (opened, closed) = (format!("<{tag}"), format!("</{}>", tag.split(' ').next().unwrap()));
        let pieces = text.split(&opened).skip(1).map(|piece| piece.split(&closed).next().unwrap());
        pieces.map(|piece| piece.split_once('>').unwrap().1.to_owned()).collect()
    };
    let banners = above.split("class=\"banner banner-").skip(1);
    banners.map(|banner| (inside(banner, "p class=\"banner-title\"").concat(), inside(banner, "time"))).collect()
}

#[tokio::test]
async fn an_ended_subscription_stays_in_the_history() {
    let app = App::new().await;
    let mut ended = subscription("tollgate_pro_month", Status::Canceled);
    ended.ended_at = Some(NOW.plus_days(-1));
    let mut browser = app.subscribed("ada@example.com", ended).await;
    let answer = browser.get("/billing").await;
    assert_sound("/billing", &answer);
    let (_, history) = answer.html.split_once("Earlier subscriptions, table").expect("there is a history");
    assert!(history.contains("<th scope=\"row\">Pro</th>") && history.contains("22 November 2026"), "{history}");
}

#[tokio::test]
async fn the_theme_is_remembered_and_one_stays_on_the_page() {
    let app = App::new().await;
    let mut browser = app.browser();
    let answer = browser.post("/theme", "theme=dark&next=%2Fpricing").await;
    assert_eq!((answer.status, answer.location.as_deref()), (StatusCode::SEE_OTHER, Some("/pricing")));
    assert!(browser.get("/pricing").await.html.contains("data-theme=\"dark\""));
    assert_eq!(browser.post("/theme", "theme=pink").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn logging_out_ends_it() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    assert_eq!(browser.post("/logout", "").await.status, StatusCode::SEE_OTHER);
    let answer = browser.get("/dashboard").await;
    assert_eq!(answer.location.as_deref(), Some("/login?next=/dashboard"));
}

#[tokio::test]
async fn somebody_else_s_checkout_is_a_page_that_does_not_exist() {
    let app = App::new().await;
    let mut browser = app.signed_up("ada@example.com").await;
    let answer = browser.get("/billing/success?session_id=cs_of_somebody_else").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_sound("/billing/success", &answer);
}

#[tokio::test]
async fn what_costs_nothing_does_so_in_the_currency_of_what_is_sold() {
    let app = App::with_plans(&PLANS.replace("\"usd\"", "\"eur\"")).await;
    for path in ["/", "/pricing"] {
        let html = app.browser().get(path).await.html;
        assert!(html.contains("€0") && html.contains("€29"), "{path}: {html}");
        assert!(!html.contains('$'), "{path}: {html}");
    }
}

#[tokio::test]
async fn the_start_page_promises_what_the_catalogue_keeps() {
    let denied = App::new().await.browser().get("/").await.html;
    assert!(denied.contains("further calls are rejected; nothing extra is billed"), "{denied}");
    let billed = App::with_plans(&format!("{PLANS}{METERED}")).await.browser().get("/").await.html;
    assert!(billed.contains("Usage beyond a limit is billed per unit"), "{billed}");
    assert!(!billed.contains("nothing extra is billed"), "{billed}");
}

#[tokio::test]
async fn a_meter_that_is_used_up_says_whether_more_is_rejected_or_billed() {
    let app = App::with_plans(&format!("{PLANS}{METERED}")).await;
    let mut free = app.signed_up("free@example.com").await;
    app.record_calls("free@example.com", 100).await;
    let said = free.get("/dashboard").await.html;
    assert!(said.contains("Further API calls are rejected."), "nothing is billed on the free plan: {said}");

    let mut metered = subscription("tollgate_pro_month", Status::Active);
    let mut item = metered.items[0].clone();
    item.lookup_key = Some("api_calls_month".to_owned());
    item.price = billing::PriceId::new("price_metered");
    metered.items.push(item);
    let mut pro = app.subscribed("pro@example.com", metered).await;
    app.record_calls("pro@example.com", 10_000).await;
    let said = pro.get("/dashboard").await.html;
    assert!(said.contains("Further API calls are billed at $0.01 each."), "{said}");
}

/// Calls that are billed beyond the limit, to stand behind the shipped plans.
const METERED: &str = r#"
[[meter]]
key = "apiCallsPerMonth"
overage = "bill"
event_name = "api_calls"
lookup_key = "api_calls"
amount = 1
currency = "usd"
"#;

//! Signing up, logging in and logging out, over HTTP.

use std::pin::pin;
use std::time::Duration;

use reqwest::Method;
use server::auth::session_store::Sessions;
use server::hashing::HashingLimits;
use tower_sessions::SessionStore;
use tower_sessions::session::Id;

use crate::support::{Harness, Page, on_both_databases};

const EMAIL: &str = "ada@example.com";

on_both_databases! {
    async fn signing_up_signs_in_and_leads_to_the_dashboard(database) {
        let app = Harness::start(database).await;
        let browser = app.browser();
        let page = browser.post("/signup", &[("email", EMAIL), ("password", "correct horse"), ("next", "")]).await;
        assert_eq!((page.status, page.location().as_str()), (303, "/dashboard"));
        let dashboard = browser.get("/dashboard").await;
        assert_eq!(dashboard.status, 200);
        assert!(dashboard.body.contains(EMAIL));
    }

    async fn cookies_are_out_of_reach_of_scripts_and_of_other_sites(database) {
        let app = Harness::start(database).await;
        let page = app.browser().post("/signup", &[("email", EMAIL), ("password", "correct horse")]).await;
        let session = cookie(&page, "tollgate");
        assert!(session.contains("SameSite=Lax") && session.contains("HttpOnly"), "{session}");
        let device = cookie(&page, "tollgate-device");
        assert!(device.contains("SameSite=Strict") && device.contains("HttpOnly"), "{device}");
    }

    async fn the_database_contains_no_session_device_or_key_that_grants_access(database) {
        let app = Harness::start(database).await;
        let browser = app.paying(EMAIL).await;
        let key = browser.new_api_key("build server").await;
        let cookies = browser.cookie(&app.url).unwrap();
        let cookie = |name| cookies.split("; ").find_map(|pair| pair.split_once('=').filter(|pair| pair.0 == name));
        let (session, device) = (cookie("tollgate").unwrap().1, cookie("tollgate-device").unwrap().1);
        let Id(session_number) = session.parse().unwrap();
        let traces = async |text: &str| app.database.traces(app.tollgate.db(), text).await;
        assert_eq!(traces("build server").await, ["api_key.name"]);
        for secret in [session, &session_number.to_string(), device, &key] {
            assert_eq!(traces(secret).await, Vec::<String>::new(), "{secret}");
        }
    }

    async fn over_https_every_cookie_belongs_to_the_host_alone(database) {
        let https = "https://app.example.com".parse().unwrap();
        let app = Harness::start_configured(database, |_| {}, |config| config.app_url = https).await;
        let post = async |path: &str, fields: &[(&str, &str)]| {
            let request = app.browser().request(Method::POST, path).header("sec-fetch-site", "same-origin");
            Page::of(request.form(fields)).await
        };
        let page = post("/signup", &[("email", EMAIL), ("password", "correct horse")]).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let theme = post("/theme", &[("theme", "dark")]).await;
        for (page, name) in [(&page, "__Host-tollgate"), (&page, "__Host-tollgate-device"), (&theme, "__Host-theme")] {
            let cookie = cookie(page, name);
            let is_of_the_host = cookie.contains("; Secure") && cookie.contains("; Path=/") && !cookie.contains("Domain");
            assert!(is_of_the_host, "{cookie}");
        }
        assert_eq!(page.headers.get_all("set-cookie").iter().count(), 2, "no cookie has another name: {:?}", page.headers);
        let session = session_named(&page, "__Host-tollgate");
        let opened = |cookie: String| Page::of(app.browser().request(Method::GET, "/dashboard").header("cookie", cookie));
        assert_eq!(opened(session.clone()).await.status, 200);
        let planted = session.replace("__Host-", "");
        assert_eq!(opened(planted).await.status, 303, "another subdomain could have set this one");
    }

    async fn logging_out_ends_the_session_even_if_the_browser_does_not_wait(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up(EMAIL).await;
        assert!(browser.opens("/dashboard").await);
        let cookie = browser.cookie(&app.url).unwrap();
        let id = cookie.split("; ").find_map(|pair| pair.strip_prefix("tollgate=")).unwrap();
        let sessions = Sessions::new(&app.tollgate);
        let id = id.parse().unwrap();
        assert!(futures::poll!(pin!(sessions.delete(&id))).is_pending());
        app.until(async || !browser.opens("/dashboard").await).await;
    }

    async fn a_taken_address_is_rejected_at_its_field_and_stays_in_the_form(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let page = app.browser().post("/signup", &[("email", "ADA@example.com"), ("password", "correct horse")]).await;
        assert_eq!(page.status, 422);
        assert!(page.body.contains("ADA@example.com") && page.body.contains("aria-invalid"), "{}", page.body);
        assert!(!page.body.contains("correct horse"), "a password must not be sent back");
    }

    async fn a_short_password_and_an_invalid_address_are_rejected(database) {
        let app = Harness::start(database).await;
        for (email, password) in [(EMAIL, "short"), ("ada", "correct horse"), ("", "correct horse")] {
            let page = app.browser().post("/signup", &[("email", email), ("password", password)]).await;
            assert_eq!(page.status, 422, "{email} {password}");
        }
    }

    async fn unknown_and_missing_fields_are_rejected(database) {
        let app = Harness::start(database).await;
        let fields = [("email", EMAIL), ("password", "correct horse"), ("role", "operator")];
        assert_eq!(app.browser().post("/signup", &fields).await.status, 422);
        assert_eq!(app.browser().post("/login", &fields).await.status, 422);
        assert_eq!(app.browser().post("/login", &[("email", EMAIL)]).await.status, 422);
    }

    async fn a_nul_in_a_form_is_rejected(database) {
        let app = Harness::start(database).await;
        let fields = [("email", "ada\0@example.com"), ("password", "correct horse")];
        assert_eq!(app.browser().post("/login", &fields).await.status, 422);
        assert_eq!(app.browser().post("/signup", &fields).await.status, 422);
    }

    async fn login_continues_to_the_requested_page(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let next = "/billing/upgrade?feature=analytics&next=/dashboard/analytics";
        let page = log_in(&app, "correct horse", next).await;
        assert_eq!((page.status, page.location().as_str()), (303, next));
    }

    async fn login_never_redirects_to_another_site(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        for next in ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\nevil"] {
            assert_eq!(log_in(&app, "correct horse", next).await.location(), "/dashboard", "{next}");
        }
    }

    async fn a_wrong_password_and_an_unknown_address_get_the_same_response(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let wrong = log_in(&app, "wrong horse", "").await;
        let fields = [("email", "eve@example.com"), ("password", "wrong horse"), ("next", "")];
        let unknown = app.browser().post("/login", &fields).await;
        assert_eq!((wrong.status, unknown.status), (401, 401));
        let without_address = |page: &Page| page.body.replace(EMAIL, "").replace("eve@example.com", "");
        assert_eq!(without_address(&wrong), without_address(&unknown));
    }

    async fn a_planted_session_id_gives_no_access_to_the_user_who_logs_in_with_it(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let planted = app.signed_up("mallory@example.com").await.cookie(&app.url).unwrap();
        let login = app.browser().request(Method::POST, "/login").header("cookie", &planted);
        let login = login.header("sec-fetch-site", "same-origin");
        let logged_in = Page::of(login.form(&[("email", EMAIL), ("password", "correct horse")])).await;
        assert_eq!(logged_in.status, 303);
        assert_ne!(session(&logged_in), planted);
        let opened = |cookie: String| Page::of(app.browser().request(Method::GET, "/dashboard").header("cookie", cookie));
        assert!(opened(session(&logged_in)).await.body.contains(EMAIL));
        assert!(!opened(planted).await.body.contains(EMAIL));
    }

    async fn the_session_id_changes_with_every_login(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let browser = app.browser();
        let first = browser.post("/login", &[("email", EMAIL), ("password", "correct horse")]).await;
        let second = browser.post("/logout", &[]).await;
        assert_eq!(second.status, 303);
        let third = browser.post("/login", &[("email", EMAIL), ("password", "correct horse")]).await;
        assert_ne!(session(&first), session(&third));
        let old = app.browser().request(Method::GET, "/dashboard").header("cookie", session(&first));
        assert_eq!(Page::of(old).await.status, 303, "a session that was logged out must be gone");
    }

    async fn logging_in_as_another_user_starts_a_new_session(database) {
        let app = Harness::start(database).await;
        app.signed_up("eve@example.com").await;
        let browser = app.browser();
        let first = browser.post("/signup", &[("email", EMAIL), ("password", "correct horse")]).await;
        let second = browser.post("/login", &[("email", "eve@example.com"), ("password", "correct horse")]).await;
        assert_ne!(session(&first), session(&second));
        assert!(browser.get("/dashboard").await.body.contains("eve@example.com"));
        let old = app.browser().request(Method::GET, "/dashboard").header("cookie", session(&first));
        assert_eq!(Page::of(old).await.status, 303);
    }

    async fn logging_out_ends_the_session(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up(EMAIL).await;
        assert!(browser.opens("/dashboard").await);
        browser.post("/logout", &[]).await;
        assert!(!browser.opens("/dashboard").await);
    }

    async fn logging_out_ends_the_session_on_the_other_node_too(database) {
        let app = Harness::start(database).await;
        let other = app.second_node().await;
        let browser = app.signed_up("ada@example.com").await;
        // Whether a copied cookie still works.
        let thief = app.browser();
        let cookie = browser.cookie(&app.url).unwrap();
        let opens = async |url: &str| {
            let request = thief.at(url).request(Method::GET, "/dashboard").header("cookie", &cookie);
            Page::of(request).await.status == 200
        };
        assert!(opens(&app.url).await && opens(&other).await);
        assert_eq!(browser.post("/logout", &[]).await.status, 303);
        assert!(!opens(&app.url).await);
        app.until(async || !opens(&other).await).await;
    }

    async fn reading_a_page_writes_no_session(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up(EMAIL).await;
        app.sandbox.advance(Duration::from_secs(86_400));
        for _ in 0..2 {
            assert_eq!(browser.get("/dashboard").await.header("set-cookie"), None);
        }
    }

    async fn after_ten_wrong_passwords_the_right_one_is_rejected_too(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        for _ in 0..10 {
            assert_eq!(log_in(&app, "wrong horse", "").await.status, 401);
        }
        let page = log_in(&app, "correct horse", "").await;
        assert_eq!(page.status, 429);
        let wait: i64 = page.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        app.signed_up("eve@example.com").await;
    }

    async fn wrong_passwords_of_one_client_do_not_lock_out_another(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        for guess in 0..10 {
            // A client cannot pass for another by its own headers.
            let client = format!("203.0.113.{guess}, 198.51.100.1");
            assert_eq!(log_in_from(&app, &client, EMAIL, "wrong horse").await.status, 401);
        }
        for client in ["198.51.100.1", "::ffff:198.51.100.1", "[::ffff:198.51.100.1]:443"] {
            assert_eq!(log_in_from(&app, client, EMAIL, "correct horse").await.status, 429, "{client}");
        }
        assert_eq!(log_in_from(&app, "198.51.100.2", EMAIL, "correct horse").await.status, 303);
    }

    async fn a_browser_with_an_earlier_login_is_locked_out_only_by_its_own_guesses(database) {
        let app = Harness::start(database).await;
        let (ada, eve) = (app.signed_up(EMAIL).await, app.signed_up("eve@example.com").await);
        for _ in 0..10 {
            assert_eq!(log_in(&app, "wrong horse", "").await.status, 401);
        }
        let right = [("email", EMAIL), ("password", "correct horse")];
        assert_eq!(log_in(&app, "correct horse", "").await.status, 429);
        assert_eq!(eve.post("/login", &right).await.status, 429, "her browser is known for another address");
        for _ in 0..2 {
            assert_eq!(ada.post("/logout", &[]).await.status, 303);
            assert_eq!(ada.post("/login", &right).await.status, 303);
        }
        for _ in 0..10 {
            assert_eq!(ada.post("/login", &[("email", EMAIL), ("password", "wrong horse")]).await.status, 401);
        }
        assert_eq!(ada.post("/login", &right).await.status, 429);
    }

    async fn guesses_of_many_clients_do_not_lock_the_owner_out(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up(EMAIL).await;
        let guess = async |client: u32| {
            log_in_from(&app, &format!("198.51.100.{client}"), EMAIL, "wrong horse").await.status
        };
        let mut guesses = 0;
        for client in 0..16 {
            for _ in 0..10 {
                guesses += u32::from(guess(client).await == 401);
            }
        }
        assert_eq!(guesses, 100 + 3 * 16, "they share a hundred, and each has three of its own");
        assert_eq!(log_in_from(&app, "198.51.100.15", EMAIL, "correct horse").await.status, 429, "it has guessed");
        for _ in 0..2 {
            assert_eq!(guess(99).await, 401);
        }
        for _ in 0..4 {
            let page = log_in_from(&app, "198.51.100.99", EMAIL, "correct horse").await;
            assert_eq!(page.status, 303, "from a new address, after two mistakes");
        }
        let right = [("email", EMAIL), ("password", "correct horse")];
        assert_eq!(ada.post("/login", &right).await.status, 303, "her browser is known");
    }

    async fn the_clients_of_an_ipv6_network_share_its_guesses(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let mut guesses = 0;
        for guess in 0..110 {
            let client = format!("2001:db8:0:{guess:x}::1");
            guesses += u32::from(log_in_from(&app, &client, EMAIL, "wrong horse").await.status == 401);
        }
        assert_eq!(guesses, 103);
        assert_eq!(log_in_from(&app, "2001:db8:0:ffff::1", EMAIL, "correct horse").await.status, 429);
        assert_eq!(log_in_from(&app, "2001:db8:1:ffff::1", EMAIL, "correct horse").await.status, 303);
    }

    async fn a_client_gets_a_hundred_guesses_across_its_network(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        for guess in 0..100 {
            let (client, email) = (format!("2001:db8:0:1::{guess:x}"), format!("user{guess}@example.com"));
            assert_eq!(log_in_from(&app, &client, &email, "wrong horse").await.status, 401, "{guess}");
        }
        assert_eq!(log_in_from(&app, "2001:db8:0:1:f::", EMAIL, "correct horse").await.status, 429);
        assert_eq!(log_in_from(&app, "2001:db8:0:2::", EMAIL, "correct horse").await.status, 303);
    }

    async fn the_clients_of_an_ipv6_network_share_its_limits_over_all_addresses(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let attempt = async |client: u32, path: &str, email: &str| {
            let fields = [("email", email), ("password", "wrong horse")];
            from(&app, &format!("2001:db8:0:{client:x}::1"), path, &fields).await.status
        };
        for (path, rejected, limit) in [("/signup", 422, 100), ("/login", 401, 500)] {
            for client in 0..5 {
                assert_eq!(attempt(client, path, EMAIL).await, rejected, "{path} {client}");
            }
            // As if there had been almost as many attempts as the limit: each takes a hash.
            app.database.run(&format!("UPDATE login_throttle SET attempts = {limit} - 1 WHERE attempts = 5")).await;
            assert_eq!(attempt(6, path, EMAIL).await, rejected, "{path}: the last attempt");
            assert_eq!(attempt(7, path, "eve@example.com").await, 429, "{path}");
        }
        let fields = [("email", "eve@example.com"), ("password", "correct horse")];
        assert_eq!(from(&app, "2001:db8:1:9::1", "/signup", &fields).await.status, 303);
        assert_eq!(from(&app, "2001:db8:1:9::1", "/login", &fields).await.status, 303);
    }

    async fn a_client_may_try_twenty_sign_ups(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        let sign_up = async |client: &str, email: &str, password: &str| {
            from(&app, client, "/signup", &[("email", email), ("password", password), ("next", "/billing")]).await
        };
        assert_eq!(sign_up("198.51.100.1", "eve@example.com", "short").await.status, 422, "this one is not counted");
        for _ in 0..20 {
            assert_eq!(sign_up("198.51.100.1", EMAIL, "correct horse").await.status, 422);
        }
        let page = sign_up("198.51.100.1", "eve@example.com", "correct horse").await;
        assert_eq!(page.status, 429);
        let wait: i64 = page.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        assert!(page.body.contains("eve@example.com") && page.body.contains("value=\"/billing\""), "{}", page.body);
        assert_eq!(log_in_from(&app, "198.51.100.1", EMAIL, "correct horse").await.status, 303);
        assert_eq!(sign_up("198.51.100.2", "eve@example.com", "correct horse").await.status, 303);
    }

    async fn counted_attempts_contain_no_address_and_are_deleted_once_their_window_is_over(database) {
        let app = Harness::start(database).await;
        let email = format!("{}@example.com", "a".repeat(9000));
        assert_eq!(log_in_from(&app, "198.51.100.1", &email, "wrong horse").await.status, 401);
        let keys = async || app.database.texts(app.tollgate.db(), "SELECT throttle_key FROM login_throttle").await;
        let counted = keys().await;
        assert_eq!(counted.len(), 3, "per client, and for the address per client and network: {counted:?}");
        assert!(counted.iter().all(|key| key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())), "{counted:?}");
        app.sandbox.advance(Duration::from_secs(15 * 60));
        app.second_node().await;
        app.until(async || keys().await.is_empty()).await;
    }

    async fn guesses_that_arrive_together_are_all_counted(database) {
        let app = std::sync::Arc::new(Harness::start(database).await);
        app.signed_up(EMAIL).await;
        let guesses: Vec<_> = (0..30)
            .map(|_| {
                let app = std::sync::Arc::clone(&app);
                tokio::spawn(async move { log_in(&app, "wrong horse", "").await.status })
            })
            .collect();
        let mut checked = 0;
        for guess in guesses {
            match guess.await.unwrap() {
                401 => checked += 1,
                status => assert_eq!(status, 429),
            }
        }
        assert_eq!(checked, 10);
    }

    async fn while_too_many_passwords_are_hashed_the_form_comes_back_and_nothing_is_counted(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up(EMAIL).await;
        let (busy, _) = app.another_node(|config| config.hashing = HashingLimits { parallel: 0, wait: Duration::ZERO }).await;
        let fields = [("email", EMAIL), ("password", "correct horse"), ("next", "/billing")];
        for path in ["/login", "/signup"].repeat(11) {
            let page = app.browser().at(&busy).post(path, &fields).await;
            assert_eq!((page.status, page.header("retry-after").as_deref()), (503, Some("5")), "{path}");
            assert!(page.body.contains(EMAIL) && page.body.contains("value=\"/billing\""), "{path}: {}", page.body);
            assert!(!page.body.contains("correct horse"), "a password must not be sent back");
        }
        let close = ada.at(&busy).post("/account/close", &[("password", "correct horse")]).await;
        assert_eq!((close.status, close.header("retry-after").as_deref()), (503, Some("5")));
        assert!(ada.at(&busy).opens("/dashboard").await, "everything else works");
        assert_eq!(log_in(&app, "wrong horse", "").await.status, 401);
        assert_eq!(log_in(&app, "correct horse", "").await.status, 303);
    }

    async fn the_right_password_is_never_counted(database) {
        let app = Harness::start(database).await;
        app.signed_up(EMAIL).await;
        for _ in 0..12 {
            assert_eq!(log_in(&app, "correct horse", "").await.status, 303);
        }
    }

    async fn forms_from_other_sites_are_rejected(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up(EMAIL).await;
        let foreign: [&[(&str, &str)]; 6] = [
            &[("origin", "https://evil.example"), ("authorization", "Basic eDp5")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
        ];
        for path in ["/logout", "/login", "/signup", "/theme", "/account/close", "/api/billing/subscribe", "/dashboard/support"] {
            for headers in foreign {
                let mut request = browser.request(Method::POST, path).form(&[("plan", "PRO"), ("interval", "month")]);
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                assert_eq!(Page::of(request).await.status, 403, "{path} {headers:?}");
            }
        }
        assert!(browser.opens("/dashboard").await, "another site must not log her out");
        assert_eq!(app.stripe_calls("POST", "/v1/customers"), 0);
        let without_referrer = browser.request(Method::POST, "/theme").header("sec-fetch-site", "same-origin");
        let without_referrer = without_referrer.header("origin", "null").form(&[("theme", "dark"), ("next", "/")]);
        assert_eq!(Page::of(without_referrer).await.status, 303, "a page of this site that sends no referrer");
        let own = browser.request(Method::POST, "/logout").header("origin", app.url.clone());
        assert_eq!(Page::of(own).await.status, 303);
    }
}

async fn log_in(app: &Harness, password: &str, next: &str) -> Page {
    app.browser().post("/login", &[("email", EMAIL), ("password", password), ("next", next)]).await
}

async fn log_in_from(app: &Harness, client: &str, email: &str, password: &str) -> Page {
    from(app, client, "/login", &[("email", email), ("password", password)]).await
}

/// Posts a form through a proxy on this machine, in a new browser.
async fn from(app: &Harness, client: &str, path: &str, fields: &[(&str, &str)]) -> Page {
    let request = app.browser().request(Method::POST, path).header("sec-fetch-site", "same-origin");
    Page::of(request.header("x-forwarded-for", client).form(fields)).await
}

fn session(page: &Page) -> String {
    session_named(page, "tollgate")
}

fn session_named(page: &Page, name: &str) -> String {
    cookie(page, name).split(';').next().unwrap().to_owned()
}

/// A cookie that the page sets, with its attributes.
fn cookie(page: &Page, name: &str) -> String {
    let mut cookies = page.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    cookies.find(|cookie| cookie.split_once('=').unwrap().0 == name).expect("the cookie is set").to_owned()
}

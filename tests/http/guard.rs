//! The gate over HTTP: every gated page, in every spelling.

use crate::support::{Browser, Harness, PAYS, on_both_databases};

const PRO_PAGES: [&str; 3] = ["/dashboard/analytics", "/dashboard/api-keys", "/dashboard/custom-domain"];
const ENTERPRISE_PAGE: &str = "/dashboard/support";

on_both_databases! {
    async fn anonymous_visitors_are_sent_to_the_login_and_back(database) {
        let app = Harness::start(database).await;
        for path in ["/dashboard", "/billing", "/billing/upgrade", "/dashboard/analytics", "/dashboard/support"] {
            let page = app.browser().get(path).await;
            assert_eq!((page.status, page.location()), (303, format!("/login?next={path}")));
        }
        let page = app.browser().get("/dashboard/analytics?from=a&to=b").await;
        assert_eq!(page.location(), "/login?next=/dashboard/analytics%3Ffrom%3Da%26to%3Db");
    }

    async fn free_customers_are_sent_to_the_upgrade_page_from_every_gated_page(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for path in PRO_PAGES.into_iter().chain([ENTERPRISE_PAGE]) {
            for path in [path.to_owned(), format!("{path}/x"), format!("{path}/x/y?z=1")] {
                let page = browser.get(&path).await;
                assert_eq!(page.status, 303, "{path}");
                assert!(page.location().starts_with("/billing/upgrade?feature="), "{path}: {}", page.location());
                assert_eq!(browser.get(&page.location()).await.status, 200);
            }
        }
    }

    async fn pro_opens_its_pages_and_not_those_of_enterprise(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        for path in PRO_PAGES {
            assert!(browser.opens(path).await, "{path}");
        }
        assert!(browser.get(ENTERPRISE_PAGE).await.location().starts_with("/billing/upgrade?feature=support"));
    }

    async fn enterprise_opens_everything(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "ENTERPRISE", PAYS).await;
        app.settled().await;
        for path in PRO_PAGES.into_iter().chain([ENTERPRISE_PAGE]) {
            assert!(browser.opens(path).await, "{path}");
        }
    }

    async fn no_spelling_of_a_gated_path_opens_it(database) {
        let app = Harness::start(database).await;
        let free = app.signed_up("ada@example.com").await;
        let gated = [
            "/dashboard/analytics/", "/dashboard//analytics", "//dashboard/analytics", "/dashboard/./analytics",
            "/dashboard/x/../analytics", "/x/../dashboard/analytics", "/dashboard/%61nalytics", "/dashboard/%2561nalytics",
            "/dashboard%2Fanalytics", "/dashboard/%2e%2e/dashboard/analytics", "/dashboard/..%2Fdashboard%2Fanalytics",
            "/Dashboard/Analytics", "/DASHBOARD/analytics", "/dashboard/analytics;x=1", "/dashboard;x/analytics",
            "/dashboard\\analytics", "/dashboard/analytics.", "/dashboard/analytics%20", "/pricing/../dashboard/analytics",
            "/./dashboard/analytics",
        ];
        let anonymous = app.browser();
        for method in ["GET", "POST", "HEAD", "PUT"] {
            // A form is not resubmitted after the login.
            let is_read = matches!(method, "GET" | "HEAD");
            let login = if is_read { "/login?next=/dashboard/analytics" } else { "/login" };
            let next = if is_read { "&next=/dashboard/analytics" } else { "" };
            let upgrade = format!("/billing/upgrade?feature=analytics{next}");
            for path in gated {
                let answer = raw(&app.url, method, path, &anonymous).await;
                assert_eq!(answer, (303, login.to_owned()), "{method} {path}");
                assert_eq!(raw(&app.url, method, path, &free).await, (303, upgrade.clone()), "{method} {path}");
            }
            // A path that only resembles a gated page is another path.
            let beside = "/dashboard/analytics.json";
            let answer = raw(&app.url, method, beside, &anonymous).await;
            let login = if is_read { format!("/login?next={beside}") } else { "/login".to_owned() };
            assert_eq!(answer, (303, login), "{method}");
            assert_eq!(raw(&app.url, method, beside, &free).await, (404, String::new()), "{method}");
            for browser in [&anonymous, &free] {
                let answer = raw(&app.url, method, "/dashboard/analytics%00", browser).await;
                assert_eq!(answer, (404, String::new()), "{method}");
            }
            let above = raw(&app.url, method, "/dashboard/analytics/..", &free).await;
            let answer = if is_read { (308, "/dashboard".to_owned()) } else { (404, String::new()) };
            assert_eq!(above, answer, "{method}");
        }
    }

    async fn forms_of_gated_pages_are_guarded_too(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let writes: [(&str, &[(&str, &str)]); 4] = [
            ("/dashboard/api-keys", &[("name", "mine")]),
            ("/dashboard/api-keys/revoke", &[("id", "x")]),
            ("/dashboard/custom-domain", &[("domain", "app.example.com")]),
            ("/dashboard/support", &[("subject", "hello"), ("body", "there")]),
        ];
        for (path, fields) in writes {
            let page = browser.post(path, fields).await;
            assert!(page.status == 303 && page.location().starts_with("/billing/upgrade"), "{path}: {}", page.status);
        }
    }

    async fn unknown_paths_are_404_for_everyone(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for path in ["/nowhere", "/dashboards", "/api/nothing", "/.env", "/pkg/nothing.js", "/billing/../../etc/passwd", "/pricing/%C3%A9", "/pricing/a%20b"] {
            assert_eq!(app.browser().get(path).await.status, 404, "{path}");
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
        assert_eq!(browser.get("/dashboard/nowhere").await.status, 404);
        assert_eq!(app.browser().get("/dashboard/nowhere").await.status, 303);
    }

    async fn pages_that_depend_on_the_visitor_are_never_cached(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for path in ["/dashboard", "/billing", "/pricing", "/dashboard/analytics"] {
            let caching = browser.get(path).await.header("cache-control").unwrap();
            assert!(caching.contains("no-store"), "{path}: {caching}");
        }
    }

    async fn the_gate_closes_when_the_plan_ends(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        app.stripe_deletes(&format!("/v1/subscriptions/{subscription}")).await;
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await);
    }
}

/// Sends the path unchanged, which a client library would normalize. Returns the status and the
/// `Location`.
async fn raw(url: &str, method: &str, path: &str, browser: &Browser) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = url.trim_start_matches("http://");
    let cookie = browser.cookie(url).unwrap_or_default();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let location = answer.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix("location: "));
    (status, location.unwrap_or_default().to_owned())
}

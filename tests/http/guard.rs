//! The gate over HTTP: every gated page, in every spelling.

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;

use crate::support::{Browser, Harness, PAYS, Page, on_both_databases};

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

    async fn pro_includes_its_pages_and_not_those_of_enterprise(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        for path in PRO_PAGES {
            assert!(browser.opens(path).await, "{path}");
        }
        assert!(browser.get(ENTERPRISE_PAGE).await.location().starts_with("/billing/upgrade?feature=support"));
    }

    async fn enterprise_includes_everything(database) {
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
                let response = raw(&app.url, method, path, &anonymous).await;
                assert_eq!(response, (303, login.to_owned()), "{method} {path}");
                assert_eq!(raw(&app.url, method, path, &free).await, (303, upgrade.clone()), "{method} {path}");
            }
            // A path that only resembles a gated page is another path.
            let sibling = "/dashboard/analytics.json";
            let response = raw(&app.url, method, sibling, &anonymous).await;
            let login = if is_read { format!("/login?next={sibling}") } else { "/login".to_owned() };
            assert_eq!(response, (303, login), "{method}");
            assert_eq!(raw(&app.url, method, sibling, &free).await, (404, String::new()), "{method}");
            for browser in [&anonymous, &free] {
                let response = raw(&app.url, method, "/dashboard/analytics%00", browser).await;
                assert_eq!(response, (404, String::new()), "{method}");
            }
            let above = raw(&app.url, method, "/dashboard/analytics/..", &free).await;
            let response = if is_read { (308, "/dashboard".to_owned()) } else { (404, String::new()) };
            assert_eq!(above, response, "{method}");
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

    async fn a_session_that_ends_under_an_open_form_leads_back_to_it_with_its_choice(database) {
        let app = Harness::start(database).await;
        app.signed_up("ada@example.com").await;
        let plan: &[(&str, &str)] = &[("plan", "ENTERPRISE"), ("interval", "year")];
        type Form<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
        let forms: [Form<'_>; 5] = [
            ("/api/billing/subscribe", plan, "/pricing", "/pricing?plan=ENTERPRISE&interval=year"),
            ("/api/billing/subscribe", plan, "", "/pricing?plan=ENTERPRISE&interval=year"),
            ("/api/billing/portal", &[], "", "/billing"),
            ("/dashboard/notices/dismiss", &[], "/billing?x=1", "/billing?x=1"),
            ("/account/close", &[("password", "correct horse")], "/account", "/account"),
        ];
        for (path, fields, page, back) in forms {
            let browser = app.browser();
            let form = browser.request(Method::POST, path).header("sec-fetch-site", "same-origin").form(fields);
            let form = if page.is_empty() { form } else { form.header("referer", format!("{}{page}", app.url)) };
            let login = Page::of(form).await.location();
            let next = login.strip_prefix("/login?next=").unwrap_or_else(|| panic!("{path}: {login}"));
            let next = next.replace("%3F", "?").replace("%3D", "=").replace("%26", "&");
            assert_eq!(next, back, "{path} from {page}");
            let fields = [("email", "ada@example.com"), ("password", "correct horse"), ("next", &next)];
            assert_eq!(browser.post("/login", &fields).await.location(), back);
            assert_eq!(browser.get(back).await.status, 200, "{back}");
        }
        let chosen = app.browser().get("/pricing?plan=ENTERPRISE&interval=year").await.body;
        assert!(chosen.contains("plan-chosen"), "{chosen}");
    }

    async fn pages_under_a_different_name_redirect_to_the_apps_own(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let named = |method, path: &str| browser.request(method, path).header("host", "old.example.com");
        for method in [Method::GET, Method::HEAD] {
            let page = Page::of(named(method, "/pricing?interval=year")).await;
            assert_eq!((page.status, page.location()), (308, format!("{}/pricing?interval=year", app.url)));
        }
        let other_host = Page::of(named(Method::GET, "//evil.example/x")).await;
        assert_eq!(other_host.location(), format!("{}//evil.example/x", app.url));
        let form = named(Method::POST, "/logout").header("sec-fetch-site", "same-origin");
        assert_eq!(Page::of(form.header("origin", "http://old.example.com")).await.status, 403);
        assert!(browser.opens("/dashboard").await, "it was not carried out");
        let call = named(Method::GET, "/api/v1/usage").header("sec-fetch-site", "same-origin");
        assert_eq!(Page::of(call).await.status, 403, "with a session");
        for path in ["/healthz", "/readyz"] {
            assert_eq!(Page::of(named(Method::GET, path)).await.status, 200, "{path}");
        }
        let webhook = Page::of(named(Method::POST, "/api/stripe/webhook")).await;
        assert_eq!(webhook.status, 400, "it is not signed, and its name does not matter");
        for host in ["localhost:3000", "127.0.0.1", "[::1]:3000"] {
            let probe = browser.request(Method::GET, "/pricing").header("host", host);
            assert_eq!(Page::of(probe).await.status, 200, "{host}");
        }
    }

    /// Over HTTP/2 the host is not in a header.
    async fn the_host_is_checked_over_http_2_too(database) {
        let app = Harness::start(database).await;
        let port = app.url.rsplit(':').next().unwrap();
        let own = format!("localhost:{port}");
        let (status, location) = over_http_2(&app.url, Method::GET, "http://old.example.com/pricing", "").await;
        assert_eq!((status, location), (308, format!("{}/pricing", app.url)));
        let (status, _) = over_http_2(&app.url, Method::GET, &format!("http://{own}/pricing"), "").await;
        assert_eq!(status, 200);
        let theme = |host: &str| format!("http://{host}/theme");
        for (host, origin, status) in [
            (own.as_str(), format!("http://{own}"), 303),
            (own.as_str(), "http://evil.example".to_owned(), 403),
            ("old.example.com", "http://old.example.com".to_owned(), 403),
        ] {
            let (answered, _) = over_http_2(&app.url, Method::POST, &theme(host), &origin).await;
            assert_eq!(answered, status, "a form from {origin} to {host}");
        }
    }

    async fn unknown_paths_return_404_for_everyone(database) {
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

/// Sends a request, and if it is a POST the form of a theme. Returns the status and the `Location`.
async fn over_http_2(url: &str, method: Method, uri: &str, origin: &str) -> (u16, String) {
    let stream = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::builder().method(method).uri(uri).header("origin", origin);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = client.send_request(request.body("theme=dark".to_owned()).unwrap()).await.unwrap();
    let location = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
    connection.abort();
    (response.status().as_u16(), location.unwrap_or_default())
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
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    let response = String::from_utf8_lossy(&response);
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    let location =
        response.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix("location: "));
    (status, location.unwrap_or_default().to_owned())
}

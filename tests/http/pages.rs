//! Properties of all pages, the plans on sale, and the health checks.

use crate::support::{Harness, PAYS, on_both_databases};

const PUBLIC: [&str; 4] = ["/", "/pricing", "/signup", "/login"];
const SIGNED_IN: [&str; 7] = [
    "/dashboard",
    "/billing",
    "/billing/upgrade?feature=analytics",
    "/dashboard/analytics",
    "/dashboard/api-keys",
    "/dashboard/custom-domain",
    "/dashboard/support",
];

on_both_databases! {
    async fn only_pages_with_an_island_ship_a_script_and_only_with_a_nonce(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let visitors = [(app.browser(), PUBLIC.to_vec()), (browser, SIGNED_IN.to_vec())];
        for (browser, paths) in visitors {
            for path in paths {
                let mut page = browser.get(path).await;
                if page.status == 303 {
                    page = browser.get(&page.location()).await;
                }
                assert_eq!(page.status, 200, "{path}");
                let policy = page.header("content-security-policy").unwrap();
                assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
                assert!(!policy.contains("unsafe-inline") && !page.body.contains(" style=\""), "{path}: {policy}");
                if page.body.contains("<leptos-island") {
                    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
                    for script in page.body.split("<script").skip(1) {
                        assert!(script.split('>').next().unwrap().contains(&format!("nonce=\"{nonce}\"")), "{path}");
                    }
                } else {
                    assert!(policy.contains("script-src 'none'"), "{path}: {policy}");
                    assert!(!page.body.contains("<script") && !page.body.contains(".wasm"), "{path}");
                }
            }
        }
    }

    async fn the_pricing_page_sells_the_plans_of_the_catalog(database) {
        let app = Harness::start(database).await;
        let page = app.browser().get("/pricing").await.body;
        let cards: Vec<&str> = page.split("<article").skip(1).collect();
        let sold: [(&str, &str, &[&str]); 3] = [
            ("Free", "$0", &["100 API calls a month", "10 AI generations a month"]),
            ("Pro", "$29", &["10,000 API calls a month", "500 AI generations a month", "Custom domain"]),
            ("Enterprise", "$199", &["Unlimited API calls", "Unlimited AI generations", "Priority support"]),
        ];
        assert_eq!(cards.len(), sold.len());
        for (card, (name, price, gains)) in cards.into_iter().zip(sold) {
            assert!(card.contains(&format!(">{name}</h2>")), "{name}: {card}");
            assert!(card.contains(&format!("<span class=\"price-amount\">{price}</span>")), "{name}: {card}");
            for gain in gains {
                assert!(card.contains(&format!("<span>{gain}</span>")), "{name}, {gain}: {card}");
            }
        }
    }

    async fn the_current_plan_is_not_for_sale(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        assert!(browser.get("/pricing").await.body.contains("value=\"PRO\""));
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let page = browser.get("/pricing").await.body;
        let card = page.split("<article").find(|card| card.contains("id=\"plan-pro\"")).expect("Pro has a card");
        assert!(card.contains("class=\"badge badge-accent\"") && !card.contains("<form"), "{card}");
    }

    async fn input_is_never_markup(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "ENTERPRISE", PAYS).await;
        app.settled().await;
        let markup = "<script>alert(1)</script>\"'";
        browser.post("/dashboard/support", &[("subject", markup), ("body", markup)]).await;
        let pages = [
            browser.get("/dashboard/support").await.body,
            app.browser().post("/login", &[("email", markup), ("password", "correct horse")]).await.body,
            app.browser().get(&format!("/login?next=/{markup}")).await.body,
            browser.get(&format!("/billing/upgrade?feature={markup}&next={markup}")).await.body,
        ];
        for page in &pages {
            assert!(!page.contains("<script>alert"), "{page}");
        }
        assert!(pages[0].contains("&lt;script&gt;alert(1)"), "the message is shown: {}", pages[0]);
        assert!(pages[1].contains("alert(1)"), "the input stays in the form: {}", pages[1]);
    }

    async fn a_domain_belongs_to_one_account(database) {
        let app = Harness::start(database).await;
        let (ada, eve) = (app.signed_up("ada@example.com").await, app.signed_up("eve@example.com").await);
        for browser in [&ada, &eve] {
            app.subscribe(browser, "PRO", PAYS).await;
        }
        app.settled().await;
        assert_eq!(ada.post("/dashboard/custom-domain", &[("domain", "App.Example.com")]).await.status, 303);
        assert!(ada.get("/dashboard/custom-domain").await.body.contains("app.example.com"));
        assert_eq!(eve.post("/dashboard/custom-domain", &[("domain", "app.example.com")]).await.status, 422);
        assert_eq!(eve.post("/dashboard/custom-domain", &[("domain", "http://x")]).await.status, 422);
    }

    async fn a_nul_in_an_address_is_ignored(database) {
        let app = Harness::start(database).await;
        let operator = app.operator().await;
        let found = ["/admin/events?about=%00&state=%00&after=1.%00", "/admin/accounts?search=%00", "/admin/changes?account=%00",
            "/admin/drift?kind=%00", "/billing?invoices=1.%00&purchases=1.%00", "/pricing?plan=%00", "/login?next=%00"];
        for path in found {
            assert!(operator.get(path).await.status < 400, "{path}");
        }
        for path in ["/admin/event?id=evt_%00", "/admin/account?id=%00", "/billing/success?session_id=cs_%00"] {
            assert_eq!(operator.get(path).await.status, 404, "{path}");
        }
    }

    async fn the_theme_is_remembered_and_never_redirects_to_another_site(database) {
        let app = Harness::start(database).await;
        let browser = app.browser();
        let page = browser.post("/theme", &[("theme", "dark"), ("next", "//evil.example")]).await;
        assert!(page.status == 303 && !page.location().contains("evil"), "{}", page.location());
        assert!(browser.get("/").await.body.contains("data-theme=\"dark\""));
        assert_eq!(browser.post("/theme", &[("theme", "<x>"), ("next", "/")]).await.status, 422);
    }

    async fn health_checks_report_liveness_and_readiness(database) {
        let app = Harness::start(database).await;
        assert_eq!(app.browser().get("/healthz").await.status, 200);
        assert_eq!(app.browser().get("/readyz").await.status, 200);
        app.tollgate.db().close().await;
        assert_eq!(app.browser().get("/healthz").await.status, 200);
        assert_eq!(app.browser().get("/readyz").await.status, 503);
    }

    async fn hashed_assets_are_compressed_and_cached_forever(database) {
        let app = Harness::start(database).await;
        let request = app.browser().request(reqwest::Method::GET, "/pkg/style-0.css").header("accept-encoding", "gzip, br");
        let page = crate::support::Page::of(request).await;
        assert_eq!((page.status, page.header("content-encoding").as_deref()), (200, Some("br")));
        assert!(page.header("cache-control").unwrap().contains("immutable"));
        assert_eq!(page.header("content-type").as_deref(), Some("text/css; charset=utf-8"));
    }

    async fn every_response_has_a_request_id_and_is_isolated_from_other_sites(database) {
        let app = Harness::start(database).await;
        for path in ["/", "/nowhere", "/healthz", "/api/v1/usage", "/pkg/style-0.css", "/robots.txt"] {
            let page = app.browser().get(path).await;
            assert!(page.header("x-request-id").is_some(), "{path}");
            assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
            for policy in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
                assert_eq!(page.header(policy).as_deref(), Some("same-origin"), "{path}");
            }
        }
    }

    async fn without_the_database_every_page_that_needs_it_says_so(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        // A node that has cached nothing.
        let (url, node) = app.another_node(|_| {}).await;
        node.db().close().await;
        let paths = PUBLIC.iter().chain(&SIGNED_IN).chain(&["/account", "/billing/success?session_id=cs_1", "/admin"]);
        for path in paths {
            let page = browser.at(&url).get(path).await;
            assert_eq!((page.status, page.heading().as_str()), (503, "Temporarily unavailable"), "{path}");
            let page = crate::support::Browser::new(&url).get(path).await;
            assert!([200, 303, 404].contains(&page.status), "{path}: {} for a visitor without a session", page.status);
        }
        let credentials = [("email", "ada@example.com"), ("password", "correct horse")];
        for (path, fields) in [("/login", &credentials[..]), ("/signup", &credentials[..]), ("/logout", &[])] {
            for browser in [browser.at(&url), crate::support::Browser::new(&url)] {
                let page = browser.post(path, fields).await;
                assert!(page.status == 503 || path == "/logout" && page.status == 303, "{path}: {}", page.status);
            }
        }
    }

    async fn an_unavailable_database_gives_an_error_page_without_internals(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.tollgate.db().close().await;
        let page = browser.get("/dashboard").await;
        assert_eq!(page.status, 503);
        assert!(!page.heading().is_empty());
        let call = browser.get("/api/v1/usage").await;
        assert_eq!((call.status, call.header("content-type").as_deref()), (503, Some("application/problem+json")));
        assert!(!page.body.to_lowercase().contains("sqlx") && !page.body.contains("PoolClosed"), "{}", page.body);
    }
}

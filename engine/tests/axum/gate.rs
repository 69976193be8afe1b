//! Admitting visitors to pages, and redirecting the others.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use billing::Policy;
use engine::axum::Route;

use crate::host::{
    ANONYMOUS, App, FREE, OPERATOR, PAID, REPORTS, ROUTES, TestResponse, pages, request, request_with, send,
};

async fn visit(router: &Router, path: &str, user: Option<&str>) -> TestResponse {
    request(router, Method::GET, path, user).await
}

on_both_databases! {
    async fn an_anonymous_visitor_is_sent_to_the_login_and_back_to_the_page(database) {
        let router = App::on(&database).guarded();
        for path in ["/settings", "/reports", "/reports/may", "/admin"] {
            assert_eq!(visit(&router, path, ANONYMOUS).await.redirect(), (303, format!("/login?next={path}").as_str()));
        }
        let response = visit(&router, "/reports?from=a&to=b", ANONYMOUS).await;
        assert_eq!(response.redirect(), (303, "/login?next=/reports%3Ffrom%3Da%26to%3Db"));
        assert_eq!(visit(&router, "/pricing", ANONYMOUS).await.page(), (200, "pricing"));
    }

    async fn a_visitor_without_the_plan_is_sent_to_the_upgrade_page_and_back(database) {
        let router = App::on(&database).guarded();
        for user in [FREE, OPERATOR] {
            let response = visit(&router, "/reports", user).await;
            assert_eq!(response.redirect(), (303, "/billing/upgrade?feature=reports&next=/reports"), "{user:?}");
            let response = visit(&router, "/reports/may?day=1", user).await;
            assert_eq!(response.redirect(), (303, "/billing/upgrade?feature=reports&next=/reports/may%3Fday%3D1"), "{user:?}");
        }
        assert_eq!(visit(&router, "/settings", FREE).await.page(), (200, "settings"));
    }

    async fn a_visitor_is_admitted_until_their_plan_ends(database) {
        let app = App::on(&database);
        app.subscribe().await;
        let router = app.guarded();
        assert_eq!(visit(&router, "/reports", PAID).await.page(), (200, "reports"));
        assert_eq!(request(&router, Method::POST, "/reports/may", PAID).await.page(), (200, "a report"));
        app.clock.set(app.clock.now().plus_days(40));
        assert_eq!(visit(&router, "/reports", PAID).await.status, StatusCode::SEE_OTHER);
    }

    async fn operator_pages_are_not_found_for_other_visitors(database) {
        let router = App::on(&database).guarded();
        assert_eq!(visit(&router, "/admin", FREE).await.status, StatusCode::NOT_FOUND);
        assert_eq!(visit(&router, "/admin", OPERATOR).await.page(), (200, "admin"));
    }

    /// A browser that returned to the address of a form post would find no page there.
    async fn a_visitor_is_never_sent_back_to_the_address_of_a_form_post(database) {
        let router = App::on(&database).guarded();
        let form = "https://app.example.com/settings?tab=1";
        for (referer, host, next) in [
            (form, "", "next=/settings%3Ftab%3D1"),
            ("http://localhost:3000/settings#form", "localhost:3000", "next=/settings"),
            ("http://localhost:3000/settings", "app.example.com", ""),
            ("https://evil.example/settings", "", ""),
            ("https://app.example.com//evil.example/", "", ""),
            ("https://app.example.com/reports", "", ""),
            ("/settings", "", ""),
            ("", "", ""),
        ] {
            let headers = [("referer", referer), ("host", host)];
            let response = request_with(&router, Method::POST, "/reports?x=1", ANONYMOUS, &headers).await;
            let login = if next.is_empty() { "/login".to_owned() } else { format!("/login?{next}") };
            assert_eq!(response.redirect(), (303, login.as_str()), "{referer}");
            let response = request_with(&router, Method::POST, "/reports?x=1", FREE, &headers).await;
            let upgrade = ["/billing/upgrade?feature=reports", next].join(if next.is_empty() { "" } else { "&" });
            assert_eq!(response.redirect(), (303, upgrade.as_str()), "{referer}");
        }
    }

    async fn a_host_that_knows_its_forms_provides_their_pages_and_choices(database) {
        let app = App::on(&database);
        let router = app.gate(app.policies(&ROUTES)).with_form_pages(|parts, form| {
            let is_report = parts.uri.path() == "/reports";
            is_report.then(|| format!("/pricing?{}", String::from_utf8_lossy(form)))
        });
        let router = router.guard(pages());
        let post = async |path: &str, form: &'static str| {
            let request = Request::post(path).header("referer", "https://app.example.com/settings");
            send(&router, request.body(Body::from(form)).unwrap()).await.location().to_owned()
        };
        assert_eq!(post("/reports", "plan=pro").await, "/login?next=/pricing%3Fplan%3Dpro");
        assert_eq!(post("/admin", "plan=pro").await, "/login?next=/settings", "the host does not know this one");
        assert_eq!(visit(&router, "/reports", ANONYMOUS).await.location(), "/login?next=/reports");
    }

    async fn a_path_without_a_policy_is_rejected_for_everyone(database) {
        let app = App::on(&database);
        app.subscribe().await;
        let router = app.guarded();
        for user in [ANONYMOUS, FREE, PAID, OPERATOR] {
            for path in ["/undeclared", "/nowhere"] {
                assert_eq!(visit(&router, path, user).await.page(), (404, ""), "{path}");
            }
        }
    }

    async fn a_path_without_a_policy_is_public_if_the_host_guards_only_some_paths(database) {
        let app = App::on(&database);
        let router = app.gate(app.policies(&ROUTES).otherwise_public()).guard(pages());
        assert_eq!(visit(&router, "/undeclared", ANONYMOUS).await.page(), (200, "undeclared"));
        assert_eq!(visit(&router, "/nowhere", ANONYMOUS).await.status, StatusCode::NOT_FOUND);
        assert_eq!(visit(&router, "/reports", ANONYMOUS).await.redirect(), (303, "/login?next=/reports"));
    }

    /// A nested router sees its paths without the prefix.
    async fn a_gate_inside_a_nested_router_guards_the_whole_path(database) {
        let app = App::on(&database);
        app.subscribe().await;
        let nested_routes = [Route { path: "/app/reports", policy: Policy::Feature(REPORTS) }];
        for policies in [app.policies(&nested_routes), app.policies(&nested_routes).otherwise_public()] {
            let inner = app.gate(policies).guard(pages());
            let router = Router::new().nest("/app", inner);
            let response = visit(&router, "/app/reports?a=b", ANONYMOUS).await;
            assert_eq!(response.redirect(), (303, "/login?next=/app/reports%3Fa%3Db"));
            let response = visit(&router, "/app/reports", FREE).await;
            assert_eq!(response.redirect(), (303, "/billing/upgrade?feature=reports&next=/app/reports"));
            assert_eq!(visit(&router, "/app/reports", PAID).await.page(), (200, "reports"));
            assert_eq!(visit(&router, "/app/reports/.", PAID).await.redirect(), (308, "/app/reports"));
        }
    }

    /// The path of another page, seen without its prefix, must not open this one.
    async fn a_nested_path_does_not_get_the_policy_of_a_public_page_with_the_same_name(database) {
        let app = App::on(&database);
        let routes = [
            Route { path: "/pricing", policy: Policy::Public },
            Route { path: "/team/pricing", policy: Policy::Feature(REPORTS) },
        ];
        let inner = app.gate(app.policies(&routes)).guard(Router::new().route("/pricing", get("prices of the team")));
        let router = Router::new().nest("/team", inner);
        let upgrade = "/billing/upgrade?feature=reports&next=/team/pricing";
        assert_eq!(visit(&router, "/team/pricing", FREE).await.redirect(), (303, upgrade));
    }

    async fn rejected_requests_get_the_hosts_own_page(database) {
        let app = App::on(&database);
        let rejections = Router::new().fallback(|request: Request| async move {
            let status = request.extensions().get::<StatusCode>().copied().unwrap();
            (status, format!("the page for {}", status.as_u16())).into_response()
        });
        let router = app.gate(app.policies(&ROUTES)).reject_with(rejections).guard(pages());
        assert_eq!(visit(&router, "/undeclared", FREE).await.page(), (404, "the page for 404"));
        assert_eq!(visit(&router, "/admin", FREE).await.page(), (404, "the page for 404"));
        database.db.close().await;
        for path in ["/reports", "/pricing", "/undeclared"] {
            assert_eq!(visit(&router, path, PAID).await.page(), (503, "the page for 503"), "{path}");
        }
    }

    async fn the_host_responds_when_it_cannot_identify_a_visitor(database) {
        let router = App::on(&database).guarded();
        let unreadable = Request::get("/reports").header("x-user", &b"\xff"[..]).body(Body::empty()).unwrap();
        let response = send(&router, unreadable).await;
        assert_eq!(response.page(), (502, "Sessions are unavailable"));
        assert_eq!(response.headers[header::CACHE_CONTROL], "no-store");
    }

    async fn a_guarded_response_is_never_cached(database) {
        let app = App::on(&database);
        let own = Router::new().route("/pricing", get(([(header::CACHE_CONTROL, "private, max-age=5")], "pricing")));
        let router = app.guarded();
        for (path, user) in [("/pricing", FREE), ("/reports", FREE), ("/settings", ANONYMOUS), ("/undeclared", FREE)] {
            assert_eq!(visit(&router, path, user).await.headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
        let router = app.gate(app.policies(&ROUTES)).guard(own);
        assert_eq!(visit(&router, "/pricing", FREE).await.headers[header::CACHE_CONTROL], "private, max-age=5");
    }
}

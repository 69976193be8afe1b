//! The operators' pages: for operators, and for nobody else.

use billing::email::Email;
use server::access;
use server::store::accounts::Role;

use crate::reconcile::stranger_subscribes;
use crate::support::{Browser, Harness, PAYS, on_both_databases};

const PAGES: [&str; 6] =
    ["/admin", "/admin/events", "/admin/event?id=evt_1", "/admin/accounts", "/admin/account?id=1", "/admin/drift"];

on_both_databases! {
    async fn for_anybody_but_an_operator_nothing_is_there(database) {
        let app = Harness::start(database).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "ENTERPRISE", PAYS).await;
        app.settled().await;
        for path in PAGES.into_iter().chain(["/admin/x", "/ADMIN", "/admin/", "/%61dmin/events", "/x/../admin"]) {
            assert_eq!(customer.get(path).await.status, 404, "{path}");
            let anonymous = app.browser().get(path).await;
            assert!(anonymous.location().starts_with("/login"), "{path}");
        }
        for (path, fields) in [("/admin/replay", vec![("id", "evt_1")]), ("/admin/compare", vec![])] {
            assert_eq!(customer.post(path, &fields).await.status, 404, "{path}");
        }
        assert!(!customer.get("/dashboard").await.body.contains("/admin"));
    }

    async fn an_operator_sees_events_and_accounts_and_why(database) {
        let app = Harness::start(database).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "PRO", PAYS).await;
        app.settled().await;
        let operator = operator(&app).await;
        assert!(operator.get("/dashboard").await.body.contains("/admin"));
        let overview = operator.get("/admin").await.body;
        assert!(overview.contains("done") && overview.contains("Not compared yet"), "{overview}");

        let events = operator.get("/admin/events?state=done&about=customer.subscription.created").await.body;
        assert_eq!(events.matches("/admin/event?id=evt_").count(), 1, "{events}");
        let id = events.split("/admin/event?id=").nth(1).unwrap().split('"').next().unwrap();
        let event = operator.get(&format!("/admin/event?id={id}")).await;
        assert!(event.status == 200 && event.body.contains("\"type\": \"customer.subscription.created\""), "{}", event.status);
        assert_eq!(operator.get("/admin/event?id=evt_none").await.status, 404);

        let accounts = operator.get("/admin/accounts?search=ADA@").await.body;
        assert!(accounts.contains("ada@example.com") && accounts.contains("trialing: the period is paid for"), "{accounts}");
        assert_eq!(accounts.matches("/admin/account?id=").count(), 1, "{accounts}");
        assert!(!operator.get("/admin/accounts?search=%25").await.body.contains("ada@example.com"), "a % means itself");
        let account = app.account("ada@example.com").await;
        let detail = operator.get(&format!("/admin/account?id={account}")).await.body;
        assert!(detail.contains("tollgate_pro_month") && detail.contains("because of evt_"), "{detail}");
    }

    async fn a_parked_event_is_seen_and_applied_again(database) {
        let app = Harness::start(database).await;
        let operator = operator(&app).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "PRO", PAYS).await;
        app.settled().await;
        let id = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        app.park(&[&id]).await;
        let listed = operator.get("/admin/events?state=parked").await.body;
        assert!(listed.contains(&id) && listed.contains("for a test"), "{listed}");
        let replayed = operator.post("/admin/replay", &[("id", &id)]).await;
        assert_eq!(replayed.status, 303);
        app.applied().await;
        let detail = operator.get(&replayed.location()).await.body;
        assert!(detail.contains("badge-good"), "{detail}");
        assert_eq!(operator.post("/admin/replay", &[("id", "evt_none")]).await.status, 404);
    }

    async fn comparing_shows_what_differs(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let operator = operator(&app).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "PRO", PAYS).await;
        let compared = operator.post("/admin/compare", &[]).await;
        let found = operator.get(&compared.location()).await.body;
        assert!(found.contains("Compared with Stripe.") && found.contains("is trialing at Stripe and unknown here"), "{found}");
        app.applied().await;
        assert!(customer.opens("/dashboard/analytics").await);
        assert!(operator.get("/admin").await.body.contains("Nothing differs."));

        let id = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        let missed = operator.get(&format!("/admin/drift?kind=missed_event&state=mended&about={id}")).await.body;
        assert_eq!(missed.matches(&format!("/admin/event?id={id}\"")).count(), 1, "{missed}");
        assert!(!missed.contains("is trialing at Stripe"), "{missed}");
        for nothing in ["kind=missed_event&state=left", "kind=unknown_price", "about=sub_none"] {
            let body = operator.get(&format!("/admin/drift?{nothing}")).await.body;
            assert!(body.contains("No such differences"), "{nothing}: {body}");
        }
    }

    async fn what_could_not_be_compared_is_said_beside_what_was(database) {
        let app = Harness::start(database).await;
        let operator = operator(&app).await;
        stranger_subscribes(&app).await;
        app.settled().await;
        operator.post("/admin/compare", &[]).await;
        let overview = operator.get("/admin").await.body;
        assert!(overview.contains("/admin/drift?state=left&amp;kind=orphan_customer"), "{overview}");
        app.sandbox.fail_next(u32::MAX, 500);
        let compared = operator.post("/admin/compare", &[]).await;
        let page = operator.get(&compared.location()).await.body;
        assert!(page.contains("It did not come to its end.") && page.contains("Stripe is unavailable"), "{page}");
        assert!(!page.contains("Compared with Stripe."), "{page}");
        assert!(page.contains("no account owns that customer"), "what was known before is known still: {page}");
    }

    async fn differences_are_shown_page_by_page(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let operator = operator(&app).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "PRO", PAYS).await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        for turn in 0..60 {
            let fields = [("metadata[turn]", turn.to_string())];
            let fields = fields.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
            app.stripe_makes(&format!("/v1/subscriptions/{subscription}"), &fields).await;
        }
        operator.post("/admin/compare", &[]).await;
        let updates = app.stripe_lists("/v1/events?type=customer.subscription.updated&limit=100").await;
        let ids: Vec<&str> = updates.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert!(ids.len() >= 60, "{}", ids.len());
        let (mut seen, mut path) = (Vec::new(), "/admin/drift?kind=missed_event".to_owned());
        loop {
            let body = operator.get(&path).await.body;
            seen.extend(ids.iter().filter(|id| body.contains(&format!("id={id}\""))).copied());
            let Some(next) = body.split("href=\"/admin/drift?kind=missed_event&amp;after=").nth(1) else { break };
            path = format!("/admin/drift?kind=missed_event&after={}", next.split('"').next().unwrap());
        }
        assert_eq!(seen.len(), ids.len(), "each once");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ids.len(), "and none twice");
    }

    async fn events_and_accounts_are_shown_page_by_page(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let operator = operator(&app).await;
        for index in 0..120 {
            let body = crate::support::event(&format!("evt_{index:03}"), "balance.available", &serde_json::json!({}));
            let signed = crate::support::signed(&body, &crate::support::WEBHOOK_SECRETS[..1], 0);
            let request = app.browser().request(reqwest::Method::POST, "/api/stripe/webhook");
            crate::support::Page::of(request.header("stripe-signature", signed).body(body)).await;
        }
        let mut seen = Vec::new();
        let mut path = "/admin/events?state=ignored".to_owned();
        loop {
            let body = operator.get(&path).await.body;
            seen.extend((0..120).map(|index| format!("evt_{index:03}")).filter(|id| body.contains(&format!("id={id}\""))));
            let Some(next) = body.split("href=\"/admin/events?state=ignored&amp;after=").nth(1) else { break };
            path = format!("/admin/events?state=ignored&after={}", next.split('"').next().unwrap());
        }
        assert_eq!(seen.len(), 120, "each once");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 120, "and none twice");
    }

    async fn who_is_trusted_no_longer_sees_nothing_more_on_any_node(database) {
        let app = Harness::start(database).await;
        let other = app.second_node().await;
        let browser = operator(&app).await;
        app.until(async || opens_on_both(&browser, &other).await == [true, true]).await;
        let email = Email::parse("operator@example.com").unwrap();
        assert!(access::set_role(&app.tollgate, &email, Role::Customer).await.unwrap());
        assert!(!browser.opens("/admin").await);
        app.until(async || opens_on_both(&browser, &other).await == [false, false]).await;
    }
}

/// On one node and on the other, where nobody is asked to sign in again.
async fn opens_on_both(browser: &Browser, other: &str) -> [bool; 2] {
    [browser.opens("/admin").await, browser.at(other).opens("/admin").await]
}

async fn operator(app: &Harness) -> Browser {
    let browser = app.signed_up("operator@example.com").await;
    let email = Email::parse("operator@example.com").unwrap();
    assert!(access::set_role(&app.tollgate, &email, Role::Operator).await.unwrap());
    browser
}

//! The operators' pages: for operators, and for no one else.

use billing::{AccountId, Subscription};
use engine::Engine;
use engine::clock::Clock;
use engine::store::billing_changes::{self, ChangeFilter, ChangeState, StoredChange};
use engine::store::{Cursor, subscriptions};
use reqwest::Method;
use serde_json::json;
use server::store::users::Role;

use crate::reconcile::unlinked_customer_subscribes;
use crate::support::{Browser, Harness, PAYS, Page, WEBHOOK_SECRETS, event, on_both_databases, signed};

const PAGES: [&str; 7] = [
    "/admin",
    "/admin/events",
    "/admin/event?id=evt_1",
    "/admin/changes",
    "/admin/accounts",
    "/admin/account?id=1",
    "/admin/drift",
];

on_both_databases! {
    async fn the_pages_return_404_for_customers_and_redirect_visitors_to_the_login(database) {
        let app = Harness::start(database).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "ENTERPRISE", PAYS).await;
        app.settled().await;
        for path in PAGES.into_iter().chain(["/admin/x", "/ADMIN", "/admin/", "/%61dmin/events", "/x/../admin"]) {
            assert_eq!(customer.get(path).await.status, 404, "{path}");
            let anonymous = app.browser().get(path).await;
            assert!(anonymous.location().starts_with("/login"), "{path}");
        }
        let change = vec![("account", "1"), ("number", "1")];
        for (path, fields) in [
            ("/admin/replay", vec![("id", "evt_1")]),
            ("/admin/changes/retry", change.clone()),
            ("/admin/changes/skip", change),
            ("/admin/compare", vec![]),
        ] {
            assert_eq!(customer.post(path, &fields).await.status, 404, "{path}");
            assert!(app.browser().post(path, &fields).await.location().starts_with("/login"), "{path}");
        }
        assert!(!customer.get("/dashboard").await.body.contains("/admin"));
    }

    async fn an_operator_sees_events_accounts_and_the_reason_for_each_plan(database) {
        let app = Harness::start(database).await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "PRO", PAYS).await;
        app.settled().await;
        let operator = app.operator().await;
        assert!(operator.get("/dashboard").await.body.contains("/admin"));
        let overview = operator.get("/admin").await.body;
        assert!(overview.contains("href=\"/admin/events?state=done\""), "{overview}");
        assert!(!has_been_compared(&overview), "{overview}");

        let events = operator.get("/admin/events?state=done&about=customer.subscription.created").await.body;
        assert_eq!(events.matches("/admin/event?id=evt_").count(), 1, "{events}");
        let id = events.split("/admin/event?id=").nth(1).unwrap().split('"').next().unwrap();
        let event = operator.get(&format!("/admin/event?id={id}")).await;
        assert!(event.status == 200 && event.body.contains("\"type\": \"customer.subscription.created\""), "{}", event.status);
        assert_eq!(operator.get("/admin/event?id=evt_none").await.status, 404);

        let accounts = operator.get("/admin/accounts?search=ADA@").await.body;
        assert!(accounts.contains("ada@example.com") && accounts.contains("trialing"), "{accounts}");
        assert_eq!(accounts.matches("/admin/account?id=").count(), 1, "{accounts}");
        assert!(!operator.get("/admin/accounts?search=%25").await.body.contains("ada@example.com"), "a % is a plain character");
        let account = app.account("ada@example.com").await;
        let detail = operator.get(&format!("/admin/account?id={account}")).await.body;
        let created = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        assert!(detail.contains("tollgate_pro_month") && detail.contains(&created), "{detail}");
    }

    async fn a_parked_event_is_listed_and_can_be_replayed(database) {
        let app = Harness::start(database).await;
        let operator = app.operator().await;
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

    async fn reconciling_shows_the_differences(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let operator = app.operator().await;
        let customer = app.signed_up("ada@example.com").await;
        app.subscribe(&customer, "PRO", PAYS).await;
        let compared = operator.post("/admin/compare", &[]).await;
        let found = operator.get(&compared.location()).await.body;
        let of_subscription = format!("/admin/events?about={}\"", app.stripe_newest("/v1/subscriptions").await);
        assert!(found.contains(&of_subscription), "{found}");
        app.applied().await;
        assert!(customer.opens("/dashboard/analytics").await);
        let overview = operator.get("/admin").await.body;
        assert!(has_been_compared(&overview) && !overview.contains("/admin/drift?state=open"), "{overview}");

        let id = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        let missed = operator.get(&format!("/admin/drift?kind=missed_event&state=fixed&about={id}")).await.body;
        assert_eq!(missed.matches(&format!("/admin/event?id={id}\"")).count(), 1, "{missed}");
        assert!(!missed.contains(&of_subscription), "{missed}");
        assert!(missed.contains("<tbody>"), "{missed}");
        for nothing in ["kind=missed_event&state=open", "kind=unknown_price", "about=sub_none"] {
            let body = operator.get(&format!("/admin/drift?{nothing}")).await.body;
            assert!(!body.contains("<tbody>"), "{nothing}: {body}");
        }
    }

    async fn an_interrupted_run_is_shown_next_to_earlier_findings(database) {
        let app = Harness::start(database).await;
        let operator = app.operator().await;
        unlinked_customer_subscribes(&app).await;
        let customer = app.stripe_newest("/v1/customers").await;
        app.settled().await;
        operator.post("/admin/compare", &[]).await;
        let overview = operator.get("/admin").await.body;
        assert!(overview.contains("/admin/drift?state=open&amp;kind=orphan_customer"), "{overview}");
        app.sandbox.fail_next(u32::MAX, 500);
        let compared = operator.post("/admin/compare", &[]).await;
        let page = operator.get(&compared.location()).await;
        let banner = page.banner();
        assert!(banner.tone == "warning" && banner.html.contains("status 500"), "{banner:?}");
        let of_customer = format!("/admin/events?about={customer}\"");
        assert!(page.body.contains(&of_customer), "earlier findings are gone: {}", page.body);
    }

    async fn a_failing_change_is_listed_and_delivered_when_it_is_retried(database) {
        let app = Harness::start(database).await;
        let operator = app.operator().await;
        let account = subscriber(&app).await;
        let failing = failing_change(&app, &account).await;
        assert!(operator.get("/admin").await.body.contains("href=\"/admin/changes?state=pending\""));
        let listed = operator.get("/admin/changes?state=pending").await.body;
        assert!(listed.contains("provisioning is down"), "{listed}");
        assert!(listed.contains(&format!("{account}/{}", failing.number)), "{listed}");

        assert_eq!(act(&operator, "retry", &failing).await.status, 303);
        app.until(async || change(&app, &failing).await.state == ChangeState::Delivered).await;
        let listed = operator.get("/admin/changes?state=pending").await.body;
        assert!(!listed.contains("provisioning is down"), "{listed}");
        assert!(!operator.get("/admin").await.body.contains("href=\"/admin/changes?state=pending\""));
        for action in ["retry", "skip"] {
            assert_eq!(act(&operator, action, &failing).await.status, 404, "{action} after it was delivered");
        }
    }

    async fn a_skipped_change_is_not_delivered_and_the_next_one_is(database) {
        let app = Harness::start(database).await;
        let operator = app.operator().await;
        let account = subscriber(&app).await;
        let failing = failing_change(&app, &account).await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        let fields = [("cancel_at_period_end", "true")];
        app.stripe_makes(&format!("/v1/subscriptions/{subscription}"), &fields).await;
        app.settled().await;
        let next = newest_change(&app, &account).await;
        assert_eq!((next.number, next.state), (failing.number + 1, ChangeState::Pending), "it waits for its turn");

        assert_eq!(act(&operator, "skip", &failing).await.status, 303);
        app.until(async || change(&app, &next).await.state == ChangeState::Delivered).await;
        let skipped = change(&app, &failing).await;
        assert_eq!((skipped.state, skipped.attempts), (ChangeState::Skipped, failing.attempts));
        assert_eq!(act(&operator, "retry", &failing).await.status, 404, "a skipped change is not delivered later");
    }

    async fn only_an_operator_can_retry_or_skip_a_change(database) {
        let app = Harness::start(database).await;
        let account = subscriber(&app).await;
        let failing = failing_change(&app, &account).await;
        let customer = app.signed_up("eve@example.com").await;
        for action in ["retry", "skip"] {
            assert_eq!(act(&customer, action, &failing).await.status, 404, "{action}");
            assert!(act(&app.browser(), action, &failing).await.location().starts_with("/login"), "{action}");
        }
        let after = change(&app, &failing).await;
        assert_eq!((after.state, after.attempts), (ChangeState::Pending, failing.attempts));
    }

    async fn differences_are_listed_page_by_page(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let operator = app.operator().await;
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
        assert_eq!(seen.len(), ids.len(), "none is listed twice");
    }

    async fn events_are_listed_page_by_page(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let operator = app.operator().await;
        for index in 0..120 {
            let body = event(&format!("evt_{index:03}"), "balance.available", &json!({}));
            let signed = signed(&body, &WEBHOOK_SECRETS[..1], 0);
            let request = app.browser().request(Method::POST, "/api/stripe/webhook");
            assert_eq!(Page::of(request.header("stripe-signature", signed).body(body)).await.status, 200);
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
        assert_eq!(seen.len(), 120, "none is listed twice");
    }

    async fn a_removed_operator_loses_access_on_every_node(database) {
        let app = Harness::start(database).await;
        let other = app.second_node().await;
        let browser = app.operator().await;
        app.until(async || opens_on_both(&browser, &other).await == [true, true]).await;
        app.set_role("operator@example.com", Role::Customer).await;
        assert!(!browser.opens("/admin").await);
        app.until(async || opens_on_both(&browser, &other).await == [false, false]).await;
    }
}

/// Whether the overview gives the time of a comparison with Stripe.
fn has_been_compared(overview: &str) -> bool {
    overview.split_once("id=\"drift-title\"").expect("a section about it").1.contains("<time ")
}

/// Whether the pages open on one node and on the other, with the same session.
async fn opens_on_both(browser: &Browser, other: &str) -> [bool; 2] {
    [browser.opens("/admin").await, browser.at(other).opens("/admin").await]
}

/// A customer with a plan, whose changes so far are delivered.
async fn subscriber(app: &Harness) -> AccountId {
    let browser = app.signed_up("ada@example.com").await;
    app.subscribe(&browser, "PRO", PAYS).await;
    app.settled().await;
    let account = app.account("ada@example.com").await;
    app.until(async || newest_change(app, &account).await.state == ChangeState::Delivered).await;
    account
}

/// Records a change of the account's subscription that another node's handler has rejected. The nodes of
/// the app would not deliver it before tomorrow.
async fn failing_change(app: &Harness, account: &AccountId) -> StoredChange {
    let tomorrow = app.tollgate.now().plus_days(1);
    let config = app.tollgate.config();
    let rejecting = Engine::builder()
        .catalog(config.catalog.clone())
        .stripe(config.stripe.clone())
        .urls(config.urls())
        .clock(Clock::manual(tomorrow))
        .on_change(|_| async { Err("provisioning is down".into()) })
        .build_on(app.tollgate.db().clone())
        .unwrap();
    let stored = subscriptions::of_account(rejecting.db(), account).await.unwrap().remove(0);
    let seen = subscriptions::by_id(rejecting.db(), &stored.id).await.unwrap();
    let changed = Subscription { cancel_at: Some(tomorrow.plus_days(30)), ..stored };
    let mut tx = rejecting.db().begin().await.unwrap();
    assert!(subscriptions::write(&mut tx, account, &changed, seen.as_ref(), "a test", tomorrow).await.unwrap());
    rejecting.cache().commit(tx, vec![account.clone()]).await.unwrap();
    assert_eq!(rejecting.deliver_changes().await.unwrap(), 1);
    let failing = newest_change(app, account).await;
    assert_eq!(failing.last_error.as_deref(), Some("provisioning is down"));
    failing
}

/// The account's changes, newest first.
async fn changes(app: &Harness, account: &AccountId) -> Vec<StoredChange> {
    let filter = ChangeFilter { state: None, account: Some(account.clone()) };
    let mut changes = billing_changes::list(app.tollgate.db(), &filter, &Cursor::start(), 100).await.unwrap();
    changes.sort_by_key(|change| std::cmp::Reverse(change.number));
    changes
}

async fn newest_change(app: &Harness, account: &AccountId) -> StoredChange {
    changes(app, account).await.remove(0)
}

/// A change as it is now.
async fn change(app: &Harness, of: &StoredChange) -> StoredChange {
    changes(app, &of.account).await.into_iter().find(|change| change.number == of.number).unwrap()
}

/// Posts the form that retries or skips a change.
async fn act(browser: &Browser, action: &str, change: &StoredChange) -> Page {
    let (account, number) = (change.account.as_str(), change.number.to_string());
    browser.post(&format!("/admin/changes/{action}"), &[("account", account), ("number", &number)]).await
}

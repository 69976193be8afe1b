//! Disputes and refunds of a subscription's payment: what the customer and operators see, and the policies of
//! `plans.toml`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use billing::ledger::ReversalKind;
use billing::{Catalog, Reason, Rule, Timestamp};
use engine::inbox::object::Object;
use engine::reconcile::{Drift, Finding, Mode, reconcile};
use engine::sync::{self, SyncContext};
use server::admin::OperatorPermit;
use server::admin::accounts::explain;

use crate::support::{Browser, DatabaseKind, Harness, datetime, on_both_databases};

const DAY: u64 = 86_400;
const GATED: &str = "/dashboard/analytics";

on_both_databases! {
    async fn a_disputed_payment_is_shown_and_flagged_and_access_stays_by_default(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        let operator = app.operator().await;
        assert!(!operator.get("/admin").await.body.contains("disputed"));
        let dispute = dispute(&app).await;
        assert!(browser.opens(GATED).await);
        assert_eq!(badge(&browser).await, "Disputed");
        assert!(browser.get("/billing").await.banners().is_empty(), "the customer has nothing to do");

        let banner = operator.get("/admin").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("/admin/accounts?payments=disputed"), "{banner:?}");
        let listed = operator.get("/admin/accounts?payments=disputed").await.body;
        assert!(listed.contains("ada@example.com") && listed.contains("needs attention"), "{listed}");
        assert_eq!(listed.matches("/admin/account?id=").count(), 1, "only accounts with a dispute: {listed}");
        let account = app.account("ada@example.com").await;
        let detail = operator.get(&format!("/admin/account?id={account}")).await;
        assert!(detail.banner().html.contains("disputed"), "{:?}", detail.banner());
        assert!(detail.body.contains(">Disputed<"), "{}", detail.body);

        win(&app, &dispute).await;
        assert_eq!(badge(&browser).await, "Paid");
        assert!(!operator.get("/admin").await.body.contains("disputed"));
        assert!(!operator.get("/admin/accounts?payments=disputed").await.body.contains("ada@example.com"));
        assert!(operator.get(&format!("/admin/account?id={account}")).await.banners().is_empty());
    }

    async fn a_fully_refunded_payment_is_shown_and_flagged_and_access_stays_by_default(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        refund(&app, &[("amount", "500")]).await;
        assert_eq!(badge(&browser).await, "Partly refunded");
        assert!(invoices(&browser).await.contains("$5 refunded"));
        let operator = app.operator().await;
        let account = app.account("ada@example.com").await;
        let detail = format!("/admin/account?id={account}");
        assert!(operator.get(&detail).await.banners().is_empty(), "a partial refund needs no action");
        refund(&app, &[]).await;
        assert_eq!(badge(&browser).await, "Refunded");
        assert!(browser.opens(GATED).await);
        let banner = operator.get(&detail).await.banner();
        assert!(banner.html.contains("refunded"), "{banner:?}");
        // The next payment is another one.
        pass(&app, 31 * DAY).await;
        assert_eq!(badge(&browser).await, "Paid");
        assert!(operator.get(&detail).await.banners().is_empty());
    }

    async fn a_dispute_suspends_the_plan_until_it_is_won_if_the_policy_says_so(database) {
        let app = strict(database).await;
        let browser = app.paying("ada@example.com").await;
        let before = app.tollgate.now();
        pass(&app, 60).await;
        let dispute = dispute(&app).await;
        assert!(!browser.opens(GATED).await);
        let banner = browser.get("/billing").await.banner();
        assert!(banner.tone == "danger" && banner.html.contains("disputed"), "{banner:?}");
        assert!(!banner.html.contains(&period_end(&app).await), "the dispute decides when the plan comes back: {banner:?}");
        let upgrade = browser.get(&browser.get(GATED).await.location()).await.body;
        assert!(upgrade.contains("disputed"), "the page that refuses says why: {upgrade}");
        let again = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(again.location(), "/billing?notice=already_subscribed", "it isn't sold twice");
        assert_eq!(rule(&app, app.tollgate.now()).await, Rule::PaymentDisputed);
        assert_eq!(rule(&app, before).await, Rule::PeriodPaid, "before the dispute");

        win(&app, &dispute).await;
        assert!(browser.opens(GATED).await);
        assert!(browser.get("/billing").await.banners().is_empty());
    }

    async fn a_lost_dispute_suspends_the_plan_until_the_next_period_is_paid(database) {
        let app = strict(database).await;
        let browser = app.paying("ada@example.com").await;
        let dispute = dispute(&app).await;
        app.sandbox.control(&format!("POST disputes/{dispute}/lose"), &[]).unwrap();
        app.settled().await;
        assert!(!browser.opens(GATED).await);
        assert_eq!(badge(&browser).await, "Disputed");
        let banner = browser.get("/billing").await.banner();
        assert_eq!(banner.tone, "danger");
        assert!(banner.html.contains(&period_end(&app).await), "when the plan comes back: {banner:?}");
        assert!(!app.operator().await.get("/admin").await.body.contains("disputed"), "there is nothing left to respond to");
        pass(&app, 31 * DAY).await;
        assert!(browser.opens(GATED).await);
        assert_eq!(badge(&browser).await, "Paid");
    }

    async fn a_full_refund_ends_access_until_a_newer_invoice_is_paid_if_the_policy_says_so(database) {
        let app = strict(database).await;
        let browser = app.paying("ada@example.com").await;
        refund(&app, &[("amount", "500")]).await;
        assert!(browser.opens(GATED).await, "a part is not all of it");
        refund(&app, &[]).await;
        assert!(!browser.opens(GATED).await);
        let banner = browser.get("/billing").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("refunded"), "{banner:?}");
        assert!(banner.html.contains(&period_end(&app).await), "when the plan comes back: {banner:?}");
        assert_eq!(rule(&app, app.tollgate.now()).await, Rule::PaymentRefunded);
        pass(&app, 31 * DAY).await;
        assert!(browser.opens(GATED).await);
    }

    async fn a_refund_that_fails_at_the_bank_gives_access_back(database) {
        let app = strict(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", "4000000000005126").await;
        pass(&app, 15 * DAY).await;
        refund(&app, &[]).await;
        assert!(!browser.opens(GATED).await);
        pass(&app, 2 * DAY).await;
        assert!(browser.opens(GATED).await);
        assert_eq!(badge(&browser).await, "Paid");
    }

    async fn the_refund_of_an_earlier_period_takes_no_access(database) {
        let app = strict(database).await;
        let browser = app.paying("ada@example.com").await;
        let earlier = newest_payment(&app).await;
        pass(&app, 31 * DAY).await;
        app.stripe_makes("/v1/refunds", &[("payment_intent", &earlier)]).await;
        app.settled().await;
        assert!(browser.opens(GATED).await);
        let invoices = invoices(&browser).await;
        assert!(invoices.contains(">Refunded<") && invoices.contains(">Paid<"), "{invoices}");
    }

    async fn a_dispute_that_arrives_before_the_invoice_counts_too(database) {
        let app = strict(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", "4242424242424242").await;
        app.sandbox.advance(Duration::from_secs(15 * DAY));
        let payment = newest_payment(&app).await;
        app.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]).unwrap();
        let events = app.stripe_lists("/v1/events?type=charge.dispute.created").await;
        app.sandbox.control("POST deliveries/drop", &[]).unwrap();
        app.sandbox.hold_deliveries(false);
        assert!(app.sandbox.replay(events[0]["id"].as_str().unwrap(), 1));
        app.settled().await;
        assert!(!browser.opens(GATED).await);
        assert_eq!(badge(&browser).await, "Disputed", "its invoice was fetched");
    }

    async fn reconciling_reports_a_dispute_until_it_is_decided_and_calls_it_no_difference_to_repair(database) {
        let app = Harness::start(database).await;
        app.paying("ada@example.com").await;
        let operator = app.operator().await;
        assert_eq!(found(&app, Mode::Repair).await, []);
        let dispute = dispute(&app).await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        for mode in [Mode::DryRun, Mode::Repair] {
            assert_eq!(found(&app, mode).await, [ReversalKind::Disputed], "{mode:?}");
        }
        let listed = operator.get("/admin/drift?state=open&kind=reversed_payment").await.body;
        assert!(listed.contains(&subscription) && listed.contains("evidence"), "with advice: {listed}");
        assert!(operator.get("/admin").await.body.contains("kind=reversed_payment"));
        win(&app, &dispute).await;
        assert_eq!(found(&app, Mode::Repair).await, []);
        assert!(!operator.get("/admin").await.body.contains("kind=reversed_payment"));
        let listed = operator.get("/admin/drift?state=resolved&kind=reversed_payment").await.body;
        assert!(listed.contains(&subscription) && !listed.contains("evidence"), "without advice: {listed}");
    }

    async fn a_lost_dispute_and_a_full_refund_are_shown_to_operators_until_the_next_payment(database) {
        let app = Harness::start(database).await;
        app.paying("ada@example.com").await;
        let operator = app.operator().await;
        let filtered = "/admin/accounts?payments=lost_or_refunded";
        assert!(!operator.get(filtered).await.body.contains("ada@example.com"));
        for kind in [ReversalKind::DisputeLost, ReversalKind::Refunded] {
            assert!(operator.get("/admin").await.banners().is_empty(), "{kind:?}");
            match kind {
                ReversalKind::Refunded => refund(&app, &[]).await,
                _ => {
                    let dispute = dispute(&app).await;
                    app.sandbox.control(&format!("POST disputes/{dispute}/lose"), &[]).unwrap();
                    app.settled().await;
                }
            }
            assert!(operator.get("/admin").await.banner().html.contains(filtered), "{kind:?}");
            let listed = operator.get(filtered).await.body;
            assert!(listed.contains("ada@example.com"), "{kind:?}: {listed}");
            assert_eq!(listed.matches("/admin/account?id=").count(), 1, "{kind:?}: {listed}");
            assert_eq!(found(&app, Mode::Repair).await, [kind]);
            pass(&app, 31 * DAY).await;
            assert!(!operator.get(filtered).await.body.contains("ada@example.com"), "{kind:?}");
            assert_eq!(found(&app, Mode::Repair).await, []);
        }
    }

    async fn a_restricted_key_with_the_listed_permissions_finds_the_subscription_of_a_dispute(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        app.sandbox.hold_deliveries(true);
        let payment = newest_payment(&app).await;
        app.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]).unwrap();
        // Of docs/STRIPE.md, those to read.
        let readable = ["charge", "customer", "dispute", "invoice", "payment_intent", "payment_method", "subscription"];
        let readable = readable.map(|resource| format!("{resource}_read"));
        app.sandbox.restrict_key("rk_test_reads", &readable.each_ref().map(String::as_str));
        let node = app.idle_node(|config| config.stripe.secret_key = "rk_test_reads".into(), app.tollgate.clock());
        let payment = BTreeSet::from([Object::of_id(&payment).unwrap()]);
        sync::objects(&node, &payment, SyncContext::with_reason("test")).await.unwrap();
        assert_eq!(badge(&browser).await, "Disputed");
        assert_eq!(app.operator().await.get("/admin").await.banner().tone, "warning");
    }
}

/// An app that takes access away for disputes and full refunds.
async fn strict(database: DatabaseKind) -> Harness {
    let plans = include_str!("../../plans.toml")
        .replace("on_dispute = \"flag\"", "on_dispute = \"suspend\"")
        .replace("on_full_refund = \"keep\"", "on_full_refund = \"end_access\"");
    let catalog = Arc::new(Catalog::parse(&plans, &|_| None).unwrap());
    Harness::start_configured(database, |_| {}, |config| config.catalog = catalog).await
}

/// What a comparison with Stripe finds: only payments that were taken back.
async fn found(app: &Harness, mode: Mode) -> Vec<ReversalKind> {
    let findings = reconcile(&app.tollgate, mode, 30).await.unwrap();
    let kind = |finding: Finding| match finding {
        Finding { drift: Drift::ReversedPayment { kind, .. }, is_fixed: false } => kind,
        other => panic!("{other:?}"),
    };
    findings.into_iter().map(kind).collect()
}

async fn newest_payment(app: &Harness) -> String {
    app.stripe_newest("/v1/payment_intents").await
}

/// Disputes the newest payment, and returns the dispute.
async fn dispute(app: &Harness) -> String {
    let payment = newest_payment(app).await;
    let dispute = app.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]).unwrap();
    app.settled().await;
    dispute["id"].as_str().unwrap().to_owned()
}

async fn win(app: &Harness, dispute: &str) {
    app.sandbox.control(&format!("POST disputes/{dispute}/win"), &[]).unwrap();
    app.settled().await;
}

/// Refunds the newest payment, or a part of it.
async fn refund(app: &Harness, part: &[(&str, &str)]) {
    let payment = newest_payment(app).await;
    let fields: Vec<_> = part.iter().copied().chain([("payment_intent", payment.as_str())]).collect();
    app.stripe_makes("/v1/refunds", &fields).await;
    app.settled().await;
}

/// The rule behind Ada's plan at a time.
async fn rule(app: &Harness, at: Timestamp) -> Rule {
    let account = app.account("ada@example.com").await;
    let explained = explain(&app.tollgate, &OperatorPermit::for_cli(), &account, at).await.unwrap();
    let Reason::Subscription { rule, .. } = explained.entitlement.reason else { panic!("there is no subscription") };
    rule
}

/// The time of the next payment, as a page gives it.
async fn period_end(app: &Harness) -> String {
    let subscription = app.stripe_lists("/v1/subscriptions").await.remove(0);
    datetime(Timestamp(subscription["items"]["data"][0]["current_period_end"].as_i64().unwrap()))
}

/// The list of invoices on the billing page.
async fn invoices(browser: &Browser) -> String {
    let page = browser.get("/billing").await;
    let list = page.body.split("id=\"invoices-title\"").nth(1).and_then(|rest| rest.split("</section>").next());
    list.unwrap_or_else(|| panic!("no invoices; status {}:\n{}", page.status, page.body)).to_owned()
}

/// The state of the newest invoice on the billing page.
async fn badge(browser: &Browser) -> String {
    let invoices = invoices(browser).await;
    let badge = invoices.split("<span class=\"badge").nth(1).and_then(|badge| badge.split(['>', '<']).nth(1));
    badge.unwrap_or_else(|| panic!("no badge: {invoices}")).to_owned()
}

/// Advances the clock of Stripe and of the app, and waits until everything that follows is applied.
async fn pass(app: &Harness, seconds: u64) {
    app.sandbox.advance(Duration::from_secs(seconds));
    app.settled().await;
}

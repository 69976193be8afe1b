//! Reconciliation with Stripe recovers missed events. Also: registering the webhook endpoint.

use std::time::Duration;

use engine::reconcile::{Drift, DriftKind, Finding, Mode, reconcile, reconcile_if_due};
use engine::store::Cursor;
use engine::store::drift::{self, DriftFilter};
use engine::tasks::reconciler::Schedule;
use engine::webhook_endpoint::{Registered, register};

use crate::support::{Harness, PAYS, WEBHOOK_SECRETS, on_both_databases};

/// The age, in days, up to which events are compared.
const DAYS: i64 = 30;

on_both_databases! {
    async fn missed_webhooks_are_recovered_and_a_second_run_finds_nothing(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        assert!(!browser.opens("/dashboard/analytics").await);

        let found = reconcile(&app.tollgate, Mode::DryRun, DAYS).await.unwrap();
        assert!(found.iter().any(|finding| matches!(&finding.drift, Drift::WrongSubscription { stored: None, .. })));
        assert!(found.iter().any(|finding| matches!(&finding.drift, Drift::MissedEvent { .. })));
        assert!(found.iter().all(|finding| !finding.is_fixed));
        assert!(!browser.opens("/dashboard/analytics").await, "a dry run changes nothing");

        let fixed = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        assert!(fixed.iter().all(|finding| finding.is_fixed), "{fixed:?}");
        app.applied().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert_eq!(reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap(), []);
    }

    async fn an_unlinked_customer_is_reported_and_left_alone(database) {
        let app = Harness::start(database).await;
        let subscription = unlinked_customer_subscribes(&app).await;
        app.settled().await;
        for mode in [Mode::DryRun, Mode::Repair] {
            let findings = reconcile(&app.tollgate, mode, DAYS).await.unwrap();
            assert_eq!(kinds(&findings), ["orphan_customer", "unmatched"], "{mode:?}: {findings:?}");
            assert!(findings.iter().all(|finding| !finding.is_fixed), "{findings:?}");
        }
        // When the subscription has ended, only its events are left.
        app.stripe_deletes(&format!("/v1/subscriptions/{subscription}")).await;
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        assert_eq!(kinds(&findings), ["unmatched"], "{findings:?}");
    }

    async fn a_scheduled_run_asks_about_an_unlinked_customer_once_a_day(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let subscription = unlinked_customer_subscribes(&app).await;
        app.settled().await;
        let customer = app.stripe_newest("/v1/customers").await;
        let asked = || {
            app.stripe_calls("GET", &format!("/v1/customers/{customer}"))
                + app.stripe_calls("GET", &format!("/v1/subscriptions/{subscription}"))
        };
        // The number of requests about the customer during a scheduled run, which reports the customer each time.
        let run = async || {
            let before = asked();
            assert!(reconcile_if_due(&app.tollgate).await.unwrap());
            assert_eq!(open_drift(&app).await, ["orphan_customer", "unmatched"]);
            asked() - before
        };
        assert!(run().await > 0);
        for _ in 0..3 {
            app.sandbox.advance(Duration::from_secs(3600));
            assert_eq!(run().await, 0);
        }
        let before = asked();
        reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        assert!(asked() > before, "an operator's run asks");
        app.sandbox.advance(Duration::from_secs(86_400));
        assert!(run().await > 0, "a day later");

        // An event of the customer links it, and from then on it is compared as any other.
        let account = app.account("ada@example.com").await.to_string();
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("metadata[account_id]", &account)]).await;
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
        app.sandbox.hold_deliveries(true);
        app.stripe_deletes(&format!("/v1/subscriptions/{subscription}")).await;
        app.sandbox.advance(Duration::from_secs(3600));
        assert!(reconcile_if_due(&app.tollgate).await.unwrap());
        assert!(!browser.opens("/dashboard/analytics").await, "the subscription has ended");
        let filter = DriftFilter { kind: Some("wrong_subscription".to_owned()), ..DriftFilter::default() };
        let listed = drift::list(app.tollgate.db(), &filter, &Cursor::start(), 10).await.unwrap();
        assert_eq!(listed.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), [subscription.as_str()]);
        assert_eq!(open_drift(&app).await, [""; 0]);
    }

    async fn waiting_events_are_applied_when_their_customer_gets_an_account_id(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        unlinked_customer_subscribes(&app).await;
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await);
        // The account is set in Stripe, and that webhook is missed.
        app.sandbox.hold_deliveries(true);
        let customer = app.stripe_newest("/v1/customers").await;
        let account = app.account("ada@example.com").await.to_string();
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("metadata[account_id]", &account)]).await;

        let found = reconcile(&app.tollgate, Mode::DryRun, DAYS).await.unwrap();
        assert_eq!(kinds(&found), ["missed_event", "unmatched", "wrong_subscription"], "it would be linked: {found:?}");
        let fixed = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        assert!(fixed.iter().all(|finding| finding.is_fixed), "{fixed:?}");
        app.applied().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert_eq!(reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap(), []);
    }

    /// The link may be all that is missing.
    async fn events_of_a_customer_with_an_account_id_are_linked(database) {
        let app = Harness::start(database).await;
        app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await.to_string();
        app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await;
        let customer = app.stripe_newest("/v1/customers").await;
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("name", "Ada Ltd")]).await;
        app.settled().await;
        assert_eq!(kinds(&reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap()), ["unmatched"]);
        app.sandbox.hold_deliveries(true);
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("metadata[account_id]", &account)]).await;
        let fixed = reconcile(&app.tollgate, Mode::Repair, 0).await.unwrap();
        assert!(fixed.iter().any(|finding| matches!(finding.drift, Drift::Unmatched { .. }) && finding.is_fixed), "{fixed:?}");
        app.applied().await;
        assert_eq!(reconcile(&app.tollgate, Mode::Repair, 0).await.unwrap(), []);
    }

    async fn a_customer_who_pays_twice_is_reported_and_nothing_is_canceled(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let first = app.stripe_lists("/v1/subscriptions").await[0].clone();
        let second = subscribes_again(&app, "tollgate_enterprise_month").await;
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        let Drift::DuplicateSubscription { subscriptions, .. } = &finding.drift else { panic!("{finding:?}") };
        let mut both: Vec<&str> = subscriptions.iter().map(|id| id.as_str()).collect();
        both.sort_unstable();
        let mut expected = [first["id"].as_str().unwrap(), &second];
        expected.sort_unstable();
        assert_eq!((both, finding.is_fixed), (expected.to_vec(), false));
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 2, "both continue");
    }

    async fn every_unknown_price_is_reported(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        let mut created = Vec::new();
        for name in ["Support", "Training"] {
            let fields = [
                ("currency", "usd"),
                ("unit_amount", "500"),
                ("recurring[interval]", "month"),
                ("product_data[name]", name),
            ];
            let price = app.stripe_makes("/v1/prices", &fields).await;
            let fields = [("subscription", subscription.as_str()), ("price", &price)];
            app.stripe_makes("/v1/subscription_items", &fields).await;
            created.push(price);
        }
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        let mut named: Vec<&str> = findings
            .iter()
            .map(|finding| match &finding.drift {
                Drift::UnknownPrice { price, .. } if !finding.is_fixed => price.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        named.sort_unstable();
        created.sort_unstable();
        assert_eq!(named, created);
        assert!(browser.opens("/dashboard/analytics").await, "the known price still gives access");
    }

    async fn lists_of_several_pages_are_read_completely(database) {
        const MANY: usize = 103;
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        for _ in 1..MANY {
            subscribes_again(&app, "tollgate_pro_month").await;
        }
        let fixed = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        let count = |kind: &str| fixed.iter().filter(|finding| finding.drift.kind().as_str() == kind && finding.is_fixed).count();
        assert_eq!(count("wrong_subscription"), MANY);
        assert!(count("missed_event") > 2 * MANY, "each was created and paid: {}", count("missed_event"));
        let Some(Drift::DuplicateSubscription { subscriptions, .. }) =
            fixed.iter().map(|finding| &finding.drift).find(|drift| drift.kind() == DriftKind::DuplicateSubscription)
        else {
            panic!("they belong to one customer")
        };
        assert_eq!(subscriptions.len(), MANY);
        app.applied().await;
        assert_eq!(kinds(&reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap()), ["duplicate_subscription"]);
    }

    async fn an_object_that_cannot_be_read_is_reported_and_the_others_are_compared(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let (ada, eve) = (app.signed_up("ada@example.com").await, app.signed_up("eve@example.com").await);
        app.subscribe(&ada, "PRO", PAYS).await;
        app.subscribe(&eve, "PRO", "5555555555554444").await;
        let subscriptions = app.stripe_lists("/v1/subscriptions").await;
        let of_eve = subscriptions[0]["id"].as_str().unwrap().to_owned();
        app.sandbox.strip_object(Some(&of_eve));
        for mode in [Mode::DryRun, Mode::Repair] {
            let findings = reconcile(&app.tollgate, mode, DAYS).await.unwrap();
            let unread: Vec<&Drift> = findings.iter().map(|finding| &finding.drift).filter(|drift| drift.kind() == DriftKind::NotCompared).collect();
            assert!(unread.iter().any(|drift| drift.subject() == of_eve), "{mode:?}: {findings:?}");
            let wrong: Vec<&str> = findings.iter().map(|finding| &finding.drift).filter(|drift| drift.kind() == DriftKind::WrongSubscription).map(Drift::subject).collect();
            assert_eq!(wrong, [subscriptions[1]["id"].as_str().unwrap()], "{mode:?}");
        }
        assert!(ada.opens("/dashboard/analytics").await);
        assert!(!eve.opens("/dashboard/analytics").await);

        app.sandbox.strip_object(None);
        assert!(kinds(&reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap()).contains(&"wrong_subscription"));
        assert!(eve.opens("/dashboard/analytics").await);
    }

    async fn a_closed_account_is_not_charged_even_if_its_subscription_cannot_be_stored(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        let customer = app.stripe_newest("/v1/customers").await;
        assert_eq!(browser.post("/account/close", &[("password", "correct horse")]).await.status, 303);
        let subscription = subscribes(&app, &customer).await;
        // The subscription can be read, but not its customer.
        app.sandbox.limit_faults_to(&format!("/v1/customers/{customer}"));
        app.sandbox.fail_next(u32::MAX, 400);
        let findings = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap();
        assert!(kinds(&findings).contains(&"deleted_but_billed"), "{findings:?}");
        let there = app.stripe_lists("/v1/subscriptions?status=all").await;
        assert_eq!((there[0]["id"].as_str(), there[0]["status"].as_str()), (Some(subscription.as_str()), Some("canceled")));
    }

    async fn a_rejected_key_is_reported_once(database) {
        let app = Harness::start(database).await;
        for _ in 0..3 {
            unlinked_customer_subscribes(&app).await;
        }
        app.settled().await;
        app.sandbox.fail_next(u32::MAX, 401);
        let calls = app.sandbox.requests().len();
        let interrupted = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap_err();
        assert_eq!((interrupted.findings.len(), app.sandbox.requests().len() - calls), (0, 1), "{interrupted:?}");
    }

    async fn findings_are_kept_when_stripe_fails_during_the_run(database) {
        let app = Harness::start(database).await;
        unlinked_customer_subscribes(&app).await;
        app.settled().await;
        app.sandbox.limit_faults_to("/v1/events");
        app.sandbox.fail_next(u32::MAX, 503);
        let interrupted = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap_err();
        assert_eq!(kinds(&interrupted.findings), ["orphan_customer"], "{interrupted:?}");
        let run = drift::latest_run(app.tollgate.db()).await.unwrap().unwrap();
        assert!(run.error.unwrap().contains("unavailable"));
        let listed = drift::list(app.tollgate.db(), &DriftFilter::default(), &Cursor::start(), 10).await.unwrap();
        assert_eq!(listed.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["orphan_customer"]);
    }

    async fn objects_that_the_key_may_not_read_do_not_keep_the_rest_from_being_compared(database) {
        let app = Harness::start(database).await;
        unlinked_customer_subscribes(&app).await;
        app.settled().await;
        app.sandbox.limit_faults_to("/v1/subscriptions");
        app.sandbox.fail_next(u32::MAX, 403);
        let interrupted = reconcile(&app.tollgate, Mode::Repair, DAYS).await.unwrap_err();
        assert_eq!(kinds(&interrupted.findings), ["unmatched"], "{interrupted:?}");
        assert!(interrupted.to_string().contains("403"), "{interrupted}");
    }

    async fn only_one_of_several_nodes_compares_and_again_a_quarter_of_an_hour_later(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let nodes = [app.tollgate.clone(), app.another_node(|_| {}).await.1, app.another_node(|_| {}).await.1];
        for _ in 0..2 {
            let runs: Vec<_> = nodes
                .iter()
                .map(|node| {
                    let node = node.clone();
                    tokio::spawn(async move { reconcile_if_due(&node).await.unwrap() })
                })
                .collect();
            let mut did = 0;
            for run in runs {
                did += usize::from(run.await.unwrap());
            }
            assert_eq!(did, 1);
            app.sandbox.advance(Duration::from_secs(16 * 60));
        }
        app.until(async || browser.opens("/dashboard/analytics").await).await;
    }

    async fn a_node_compares_soon_after_its_start_and_then_on_schedule(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let schedule = Schedule { first: Duration::from_millis(1), every: Duration::from_millis(20) };
        app.another_node(|config| config.reconcile = Some(schedule)).await;
        app.until(async || browser.opens("/dashboard/analytics").await).await;
        let latest = async || drift::latest_run(app.tollgate.db()).await.unwrap().map(|run| run.id);
        app.until(async || latest().await.is_some()).await;
        let first = latest().await;
        app.sandbox.advance(Duration::from_secs(16 * 60));
        app.until(async || latest().await != first).await;
    }

    async fn registering_creates_an_endpoint_once_and_adds_missing_events(database) {
        let app = Harness::start(database).await;
        // The harness's endpoint has the account's API version, which cannot be changed.
        let Registered::OtherVersion { id, .. } = register(&app.tollgate).await.unwrap() else { panic!("it has another version") };
        app.stripe_deletes(&format!("/v1/webhook_endpoints/{id}")).await;
        let Registered::Created { secret } = register(&app.tollgate).await.unwrap() else { panic!("it was deleted") };
        assert!(secret.starts_with("whsec_") && secret != WEBHOOK_SECRETS[0]);
        assert_eq!(register(&app.tollgate).await.unwrap(), Registered::Unchanged);

        let url = format!("{}/api/stripe/webhook", app.url);
        let here = app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap();
        let less = app.tollgate.gateway().update_webhook_endpoint(&here.id, &["invoice.paid"]).await.unwrap();
        assert_eq!(less.events, ["invoice.paid"]);
        let Registered::Updated { added } = register(&app.tollgate).await.unwrap() else { panic!("events are missing") };
        assert!(added.contains(&"customer.subscription.updated") && !added.contains(&"invoice.paid"));
        assert_eq!(register(&app.tollgate).await.unwrap(), Registered::Unchanged);
    }
}

/// The classes of the findings, in order.
fn kinds(findings: &[Finding]) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = findings.iter().map(|finding| finding.drift.kind().as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// The classes of the open differences, in order.
async fn open_drift(app: &Harness) -> Vec<String> {
    let open = drift::count_open(app.tollgate.db()).await.unwrap();
    open.into_iter().map(|count| count.kind).collect()
}

/// A customer that no account owns subscribes to Pro in Stripe. Returns the subscription.
pub async fn unlinked_customer_subscribes(app: &Harness) -> String {
    let customer = app.stripe_makes("/v1/customers", &[("email", "unlinked@example.com")]).await;
    subscribes(app, &customer).await
}

/// A customer subscribes to Pro in Stripe, without our Checkout. Returns the subscription.
async fn subscribes(app: &Harness, customer: &str) -> String {
    let card = app.stripe_makes("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]).await;
    app.stripe_makes(&format!("/v1/payment_methods/{card}/attach"), &[("customer", customer)]).await;
    let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
    let fields = [("customer", customer), ("items[0][price]", price.as_str()), ("default_payment_method", &card)];
    app.stripe_makes("/v1/subscriptions", &fields).await
}

/// The first customer subscribes once more in Stripe, without our Checkout.
async fn subscribes_again(app: &Harness, lookup_key: &str) -> String {
    let first = app.stripe_lists("/v1/subscriptions").await.pop().unwrap();
    let price = app.tollgate.gateway().price_by_lookup_key(lookup_key).await.unwrap();
    let fields = [
        ("customer", first["customer"].as_str().unwrap()),
        ("items[0][price]", price.as_str()),
        ("default_payment_method", first["default_payment_method"].as_str().unwrap()),
    ];
    app.stripe_makes("/v1/subscriptions", &fields).await
}

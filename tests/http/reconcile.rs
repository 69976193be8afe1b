//! What is lost is found again: comparing with Stripe, and making Stripe send events.

use std::time::Duration;

use reqwest::Method;
use server::reconcile::{Drift, DriftKind, Finding, Mode, Schedule, reconcile, regularly, unless_another_did};
use server::store::After;
use server::store::drift::{self, Filter};
use server::webhook::register::{Registered, register};
use tokio_util::sync::CancellationToken;

use crate::support::{Browser, Harness, PAYS, Page, WEBHOOK_SECRETS, on_both_databases};

/// How far back events are compared.
const DAYS: i64 = 30;

on_both_databases! {
    async fn what_no_webhook_told_is_found_and_mended_and_a_second_run_finds_nothing(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        assert!(!browser.opens("/dashboard/analytics").await);

        let looked = reconcile(&app.tollgate, Mode::DryRun, DAYS).await.unwrap();
        assert!(looked.iter().any(|finding| matches!(&finding.drift, Drift::WrongSubscription { here: None, .. })));
        assert!(looked.iter().any(|finding| matches!(&finding.drift, Drift::MissedEvent { .. })));
        assert!(looked.iter().all(|finding| !finding.is_mended));
        assert!(!browser.opens("/dashboard/analytics").await, "a dry run changes nothing");

        let mended = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        assert!(mended.iter().all(|finding| finding.is_mended), "{mended:?}");
        app.applied().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert_eq!(reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap(), []);
    }

    async fn a_customer_of_nobody_is_named_and_left_alone(database) {
        let app = Harness::start(database).await;
        let subscription = stranger_subscribes(&app).await;
        app.settled().await;
        for mode in [Mode::DryRun, Mode::Mend] {
            let findings = reconcile(&app.tollgate, mode, DAYS).await.unwrap();
            assert_eq!(kinds(&findings), ["orphan_customer", "unmatched"], "{mode:?}: {findings:?}");
            assert!(findings.iter().all(|finding| !finding.is_mended), "{findings:?}");
        }
        // Once it has ended there is nothing left to look at but the events.
        app.stripe_deletes(&format!("/v1/subscriptions/{subscription}")).await;
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        assert_eq!(kinds(&findings), ["unmatched"], "{findings:?}");
    }

    async fn what_waited_for_an_account_is_applied_when_its_customer_names_one(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        stranger_subscribes(&app).await;
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await);
        // Somebody says at Stripe whose it is, and no webhook tells.
        app.sandbox.hold_deliveries(true);
        let customer = app.stripe_newest("/v1/customers").await;
        let account = app.account("ada@example.com").await.to_string();
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("metadata[account_id]", &account)]).await;

        let looked = reconcile(&app.tollgate, Mode::DryRun, DAYS).await.unwrap();
        assert_eq!(kinds(&looked), ["missed_event", "unmatched", "wrong_status"], "it would be linked: {looked:?}");
        let mended = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        assert!(mended.iter().all(|finding| finding.is_mended), "{mended:?}");
        app.applied().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert_eq!(reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap(), []);
    }

    /// Linking may be all that is missing: the subscription is known and its events are not.
    async fn events_of_nobody_are_linked_by_what_their_customer_says(database) {
        let app = Harness::start(database).await;
        app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await.to_string();
        app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await;
        let customer = app.stripe_newest("/v1/customers").await;
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("name", "Ada Ltd")]).await;
        app.settled().await;
        assert_eq!(kinds(&reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap()), ["unmatched"]);
        app.sandbox.hold_deliveries(true);
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("metadata[account_id]", &account)]).await;
        let mended = reconcile(&app.tollgate, Mode::Mend, 0).await.unwrap();
        assert!(mended.iter().any(|finding| matches!(finding.drift, Drift::Unmatched { .. }) && finding.is_mended), "{mended:?}");
        app.applied().await;
        assert_eq!(reconcile(&app.tollgate, Mode::Mend, 0).await.unwrap(), []);
    }

    async fn who_pays_twice_is_named_and_nothing_is_ended(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let first = app.stripe_lists("/v1/subscriptions").await[0].clone();
        let second = subscribes_again(&app, "tollgate_enterprise_month").await;
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        let Drift::DuplicateSubscription { subscriptions, .. } = &finding.drift else { panic!("{finding:?}") };
        let mut both: Vec<&str> = subscriptions.iter().map(|id| id.as_str()).collect();
        both.sort_unstable();
        let mut expected = [first["id"].as_str().unwrap(), &second];
        expected.sort_unstable();
        assert_eq!((both, finding.is_mended), (expected.to_vec(), false));
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 2, "both go on");
    }

    async fn a_price_that_is_not_sold_is_named_each(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        let mut made = Vec::new();
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
            made.push(price);
        }
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        let mut named: Vec<&str> = findings
            .iter()
            .map(|finding| match &finding.drift {
                Drift::UnknownPrice { price, .. } if !finding.is_mended => price.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        named.sort_unstable();
        made.sort_unstable();
        assert_eq!(named, made);
        assert!(browser.opens("/dashboard/analytics").await, "what is known opens what it opens");
    }

    async fn lists_are_read_to_their_end(database) {
        const MANY: usize = 103;
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        for _ in 1..MANY {
            subscribes_again(&app, "tollgate_pro_month").await;
        }
        let mended = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        let count = |kind: &str| mended.iter().filter(|finding| finding.drift.kind().as_str() == kind && finding.is_mended).count();
        assert_eq!(count("wrong_status"), MANY);
        assert!(count("missed_event") > 2 * MANY, "each was created and paid: {}", count("missed_event"));
        let Some(Drift::DuplicateSubscription { subscriptions, .. }) =
            mended.iter().map(|finding| &finding.drift).find(|drift| drift.kind() == DriftKind::DuplicateSubscription)
        else {
            panic!("they are one customer's")
        };
        assert_eq!(subscriptions.len(), MANY);
        app.applied().await;
        assert_eq!(kinds(&reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap()), ["duplicate_subscription"]);
    }

    async fn one_that_cannot_be_understood_is_named_and_the_others_are_compared(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let (ada, eve) = (app.signed_up("ada@example.com").await, app.signed_up("eve@example.com").await);
        app.subscribe(&ada, "PRO", PAYS).await;
        app.subscribe(&eve, "PRO", "5555555555554444").await;
        let subscriptions = app.stripe_lists("/v1/subscriptions").await;
        let of_eve = subscriptions[0]["id"].as_str().unwrap().to_owned();
        app.sandbox.mangle(Some(&of_eve));
        for mode in [Mode::DryRun, Mode::Mend] {
            let findings = reconcile(&app.tollgate, mode, DAYS).await.unwrap();
            let unread: Vec<&Drift> = findings.iter().map(|finding| &finding.drift).filter(|drift| drift.kind() == DriftKind::NotCompared).collect();
            assert!(unread.iter().any(|drift| drift.subject() == of_eve), "{mode:?}: {findings:?}");
            let wrong: Vec<&str> = findings.iter().map(|finding| &finding.drift).filter(|drift| drift.kind() == DriftKind::WrongStatus).map(Drift::subject).collect();
            assert_eq!(wrong, [subscriptions[1]["id"].as_str().unwrap()], "{mode:?}");
        }
        assert!(ada.opens("/dashboard/analytics").await);
        assert!(!eve.opens("/dashboard/analytics").await);

        app.sandbox.mangle(None);
        assert!(kinds(&reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap()).contains(&"wrong_status"));
        assert!(eve.opens("/dashboard/analytics").await);
    }

    async fn a_closed_account_is_charged_no_more_even_if_what_it_has_cannot_be_written_down(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        let customer = app.stripe_newest("/v1/customers").await;
        assert_eq!(browser.post("/account/close", &[("password", "correct horse")]).await.status, 303);
        let subscription = subscribes(&app, &customer).await;
        // The subscription can be read, but not whose it is.
        app.sandbox.only_calls_of(&format!("/v1/customers/{customer}"));
        app.sandbox.fail_next(u32::MAX, 400);
        let findings = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        assert!(kinds(&findings).contains(&"deleted_but_billed"), "{findings:?}");
        let there = app.stripe_lists("/v1/subscriptions?status=all").await;
        assert_eq!((there[0]["id"].as_str(), there[0]["status"].as_str()), (Some(subscription.as_str()), Some("canceled")));
    }

    async fn a_key_that_is_not_taken_is_said_once(database) {
        let app = Harness::start(database).await;
        for _ in 0..3 {
            stranger_subscribes(&app).await;
        }
        app.settled().await;
        app.sandbox.fail_next(u32::MAX, 401);
        let calls = app.sandbox.requests().len();
        let broken_off = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap_err();
        assert_eq!((broken_off.findings.len(), app.sandbox.requests().len() - calls), (0, 1), "{broken_off:?}");
    }

    async fn what_was_found_before_stripe_went_away_is_kept(database) {
        let app = Harness::start(database).await;
        stranger_subscribes(&app).await;
        app.settled().await;
        app.sandbox.only_calls_of("/v1/events");
        app.sandbox.fail_next(u32::MAX, 503);
        let broken_off = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap_err();
        assert_eq!(kinds(&broken_off.findings), ["orphan_customer"], "{broken_off:?}");
        let run = drift::latest(app.tollgate.db()).await.unwrap().unwrap();
        assert!(run.error.unwrap().contains("unavailable"));
        let listed = drift::list(app.tollgate.db(), &Filter::default(), &After::start(), 10).await.unwrap();
        assert_eq!(listed.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["orphan_customer"]);
    }

    async fn what_a_key_may_not_read_does_not_keep_the_rest_from_being_compared(database) {
        let app = Harness::start(database).await;
        stranger_subscribes(&app).await;
        app.settled().await;
        app.sandbox.only_calls_of("/v1/subscriptions");
        app.sandbox.fail_next(u32::MAX, 403);
        let broken_off = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap_err();
        assert_eq!(kinds(&broken_off.findings), ["unmatched"], "{broken_off:?}");
        assert!(broken_off.to_string().contains("403"), "{broken_off}");
    }

    async fn of_several_nodes_one_compares_and_a_quarter_of_an_hour_later_again(database) {
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
                    tokio::spawn(async move { unless_another_did(&node).await.unwrap() })
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

    async fn by_its_schedule_a_server_compares_soon_after_its_start(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let stop = CancellationToken::new();
        let schedule = Schedule { first: Duration::from_millis(1), every: Duration::from_millis(20) };
        let running = tokio::spawn(regularly(app.tollgate.clone(), schedule, stop.clone()));
        app.until(async || browser.opens("/dashboard/analytics").await).await;
        let latest = async || drift::latest(app.tollgate.db()).await.unwrap().map(|run| run.id);
        app.until(async || latest().await.is_some()).await;
        let first = latest().await;
        app.sandbox.advance(Duration::from_secs(16 * 60));
        app.until(async || latest().await != first).await;
        stop.cancel();
        running.await.unwrap();
    }

    async fn registering_makes_an_endpoint_once_and_completes_one_that_lacks_events(database) {
        let app = Harness::start(database).await;
        // The harness's own endpoint has the account's version: that cannot be changed, only said.
        let Registered::OtherVersion { id, .. } = register(&app.tollgate).await.unwrap() else { panic!("other version") };
        let gone = Browser::new(&app.sandbox.url()).request(Method::DELETE, &format!("/v1/webhook_endpoints/{id}"));
        assert_eq!(Page::of(gone.bearer_auth("sk_test_sandbox")).await.status, 200);
        let Registered::Created { secret } = register(&app.tollgate).await.unwrap() else { panic!("it was gone") };
        assert!(secret.starts_with("whsec_") && secret != WEBHOOK_SECRETS[0]);
        assert_eq!(register(&app.tollgate).await.unwrap(), Registered::Present);

        let url = format!("{}/api/stripe/webhook", app.url);
        let here = app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap();
        let less = app.tollgate.gateway().update_webhook_endpoint(&here.id, &["invoice.paid"]).await.unwrap();
        assert_eq!(less.events, ["invoice.paid"]);
        let Registered::Updated { added } = register(&app.tollgate).await.unwrap() else { panic!("it lacked events") };
        assert!(added.contains(&"customer.subscription.updated") && !added.contains(&"invoice.paid"));
        assert_eq!(register(&app.tollgate).await.unwrap(), Registered::Present);
    }
}

/// What was found, in order of its class.
fn kinds(findings: &[Finding]) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = findings.iter().map(|finding| finding.drift.kind().as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Somebody whom we do not know subscribes to Pro, at Stripe. The subscription.
pub async fn stranger_subscribes(app: &Harness) -> String {
    let customer = app.stripe_makes("/v1/customers", &[("email", "stranger@example.com")]).await;
    subscribes(app, &customer).await
}

/// A customer subscribes to Pro, past our Checkout. The subscription.
async fn subscribes(app: &Harness, customer: &str) -> String {
    let card = app.stripe_makes("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]).await;
    app.stripe_makes(&format!("/v1/payment_methods/{card}/attach"), &[("customer", customer)]).await;
    let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
    let fields = [("customer", customer), ("items[0][price]", price.as_str()), ("default_payment_method", &card)];
    app.stripe_makes("/v1/subscriptions", &fields).await
}

/// The first customer subscribes once more, past our Checkout.
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

//! The commands, as an operator runs them next to a running server: their output, exit codes and effects.

use std::process::Command;
use std::time::Duration;

use billing::email::Email;
use engine::settings::DatabaseUrl;
use engine::store::billing_changes::{self, ChangeFilter, ChangeState};
use engine::store::inbox::{self, EventFilter, EventState, EventSummary};
use engine::store::{Cursor, Db, MIGRATIONS, MigrationSet};
use server::admin::demo_accounts::reject_outside_the_sandbox;
use server::store::users;
use server::{auth, demo};

use crate::support::{
    Browser, Database, DatabaseKind, Harness, PAYS, Program, WEBHOOK_SECRETS, deliver, event, on_both_databases,
};

const PLANS: &str = include_str!("../../plans.toml");

/// A command's output and exit code.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// The output of a command that succeeded and printed no error.
    #[track_caller]
    fn succeeded(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The error of a command that failed: one sentence.
    #[track_caller]
    fn failed(self) -> String {
        assert_eq!((self.code, self.err.lines().count()), (1, 1), "{self:?}");
        self.err
    }
}

/// Runs the program with the server's database and Stripe, and on Stripe's clock.
async fn run(app: &Harness, arguments: &[&str]) -> Ran {
    run_with(app, arguments, &[("DATABASE_URL", &app.database.url)]).await
}

async fn run_with(app: &Harness, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let stripe = app.sandbox.url();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(arguments)
        .env_clear()
        .current_dir(app.database.files.path())
        .env("APP_URL", &app.url)
        .env("STRIPE_API_BASE", &stripe)
        .env("SANDBOX_ADDR", stripe.trim_start_matches("http://"))
        .envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

on_both_databases! {
    async fn events_are_listed_filtered_and_shown(database) {
        let app = Harness::start(database).await;
        assert_eq!(run(&app, &["events", "list", "--about", "customer.created"]).await.succeeded(), "No events.\n");
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = only_subscription(&app).await;

        let all = run(&app, &["events", "list"]).await.succeeded();
        assert!(all.lines().count() > 3 && all.lines().all(|line| line.contains("  evt_") && line.contains("  attempts: ")), "{all}");
        let narrow = ["events", "list", "--state", "done", "--about", "customer.subscription.created"];
        let created = run(&app, &narrow).await.succeeded();
        assert_eq!(created.lines().count(), 1, "{created}");
        let id = word(&created, "evt_");
        let about = run(&app, &["events", "list", "--about", &subscription]).await.succeeded();
        assert!(about.contains(&id) && about.lines().all(|line| line.contains(&subscription)), "{about}");
        assert_eq!(run(&app, &["events", "list", "--state", "parked"]).await.succeeded(), "No events.\n");
        let two = run(&app, &["events", "list", "--limit", "2"]).await.succeeded();
        assert_eq!(two.matches("  evt_").count(), 2, "{two}");
        assert!(two.lines().last().unwrap().contains("--limit"), "it says that there are more: {two}");

        let shown = run(&app, &["events", "show", &id]).await.succeeded();
        let (line, payload) = shown.split_at(shown.find('{').unwrap());
        assert_eq!(line, created, "as in the list");
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
        assert_eq!((&payload["id"], &payload["type"]), (&id.into(), &"customer.subscription.created".into()));
    }

    async fn an_unknown_event_and_an_unknown_state_are_errors_with_a_hint(database) {
        let app = Harness::start(database).await;
        for what in ["show", "replay"] {
            let error = run(&app, &["events", what, "evt_none"]).await.failed();
            assert!(error.contains("evt_none") && error.contains("tollgate reconcile"), "{error}");
        }
        let lost = run(&app, &["events", "list", "--state", "lost"]).await;
        assert_eq!((lost.code, lost.out.as_str()), (2, ""));
        for state in ["pending", "done", "ignored", "unmatched", "parked"] {
            assert!(lost.err.contains(state), "{state}: {}", lost.err);
        }
    }

    async fn a_parked_event_shows_its_reason_and_is_applied_by_a_replay(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        app.sandbox.hold_deliveries(true);
        app.stripe_deletes(&format!("/v1/subscriptions/{}", only_subscription(&app).await)).await;
        app.sandbox.fail_next(u32::MAX, 500);
        app.sandbox.hold_deliveries(false);
        app.sandbox.deliveries_settled().await;
        park_failing_events(&app).await;
        app.sandbox.fail_next(0, 500);

        let list = ["events", "list", "--state", "parked", "--about", "customer.subscription.deleted"];
        let parked = run(&app, &list).await.succeeded();
        assert!(parked.lines().count() == 1 && parked.ends_with("  for a test\n"), "with the reason: {parked}");
        let id = word(&parked, "evt_");
        let shown = run(&app, &["events", "show", &id]).await.succeeded();
        assert!(shown.starts_with(&parked), "{shown}");
        assert!(shown.contains(&format!("`tollgate events replay {id}`")), "with the next step: {shown}");
        assert!(browser.opens("/dashboard/analytics").await, "it is parked, so it is not applied");

        let replayed = run(&app, &["events", "replay", &id]).await.succeeded();
        assert!(replayed.contains(&id) && replayed.contains("queued"), "{replayed}");
        app.applied().await;
        assert_eq!(app.event_state(&id).await, Some(EventState::Done));
        app.until(async || !browser.opens("/dashboard/analytics").await).await;
        app.park(&[&id]).await;
        let replayed = run(&app, &["events", "replay", "--state", "parked"]).await.succeeded();
        assert!(replayed.starts_with("1 event "), "{replayed}");
        app.applied().await;
        assert_eq!(app.event_state(&id).await, Some(EventState::Done));
        // An event that is done can be replayed too, which changes nothing.
        run(&app, &["events", "replay", &id]).await.succeeded();
        app.applied().await;
        assert_eq!(app.event_state(&id).await, Some(EventState::Done));
    }

    async fn an_ignored_event_is_not_replayed(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let ignored = event("evt_ignored", "balance.available", &serde_json::json!({ "object": "balance" }));
        assert_eq!(deliver(app.url.clone(), ignored).await, 200);
        let error = run(&app, &["events", "replay", "evt_ignored"]).await.failed();
        assert!(error.contains("evt_ignored"), "{error}");
        assert_eq!(app.event_state("evt_ignored").await, Some(EventState::Ignored));
        let shown = run(&app, &["events", "show", "evt_ignored"]).await.succeeded();
        let (text, _) = shown.split_at(shown.find('{').unwrap());
        assert_eq!(text.lines().count(), 2, "the event, and what ignored means: {text}");
    }

    async fn the_entitlement_of_a_user_at_any_time_is_explained(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let start = app.tollgate.now();
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = only_subscription(&app).await;
        app.sandbox.advance(Duration::from_secs(3 * 86_400));
        app.stripe_deletes(&format!("/v1/subscriptions/{subscription}")).await;
        app.settled().await;

        let explain = async |at: &[&str]| run(&app, &[&["explain", "Ada@Example.com"], at].concat()).await.succeeded();
        let before = explain(&["--at", &start.plus_days(-1).0.to_string()]).await;
        assert!(before.contains("tier      FREE") && !before.contains(&subscription), "{before}");
        let during = start.plus_days(1).utc();
        let during = explain(&["--at", &format!("{}T12:00:00+00:00", during.date())]).await;
        assert!(during.contains("tier      PRO"), "{during}");
        assert!(during.contains(&format!("reason    {subscription} is trialing")), "{during}");
        assert!(during.contains("cause: evt_"), "with the cause: {during}");
        assert!(during.contains("customer  cus_") && during.contains("limit     10,000 "), "{during}");
        let now = explain(&[]).await;
        assert!(now.contains("tier      FREE") && now.contains(&format!("{subscription}  canceled")), "{now}");
        assert!(now.contains(&app.tollgate.now().to_string()[..10]), "it uses the server's clock: {now}");
    }

    async fn billing_changes_are_listed_retried_and_skipped(database) {
        let app = Harness::start(database).await;
        let account = subscriber(&app).await;
        app.until(async || count_changes(&app, ChangeState::Delivered).await == 1).await;
        let delivered = run(&app, &["changes", "list"]).await.succeeded();
        let first = format!("  {account}/1  ");
        assert!(delivered.lines().count() == 1 && delivered.contains(&first), "{delivered}");
        assert!(delivered.contains("  delivered  ") && delivered.contains(" none → trialing "), "{delivered}");

        // Two more changes, which no server delivers.
        app.stop().await;
        let subscription = format!("/v1/subscriptions/{}", only_subscription(&app).await);
        app.stripe_makes(&subscription, &[("cancel_at_period_end", "true")]).await;
        run(&app, &["reconcile"]).await.succeeded();
        app.stripe_deletes(&subscription).await;
        run(&app, &["reconcile"]).await.succeeded();
        let pending = ["changes", "list", "--state", "pending", "--account", account.as_str()];
        let listed = run(&app, &pending).await.succeeded();
        assert!(listed.lines().count() == 2 && listed.lines().all(|line| line.ends_with("  attempts: 0")), "{listed}");
        let one = run(&app, &["changes", "list", "--limit", "1"]).await.succeeded();
        assert!(one.contains(" trialing → canceled ") && one.lines().last().unwrap().contains("--limit"), "{one}");

        let second = format!("{account}/{}", fail_delivery(&app).await);
        let failed = run(&app, &pending).await.succeeded();
        let is_second = |line: &&str| line.contains(&second);
        assert!(failed.lines().find(is_second).unwrap().ends_with("  attempts: 1  the CRM is down"), "{failed}");
        let doctor = run(&app, &["doctor"]).await.succeeded();
        assert!(doctor.lines().any(|line| line.starts_with("warn  billing changes ")), "{doctor}");
        assert_eq!(app.tollgate.deliver_changes().await.unwrap(), 0, "the account's next change waits for it");
        let retried = run(&app, &["changes", "retry", &second]).await.succeeded();
        assert!(retried.starts_with(&second), "{retried}");
        assert_eq!(format!("{account}/{}", fail_delivery(&app).await), second, "it was due");

        let skipped = run(&app, &["changes", "skip", &second]).await.succeeded();
        assert!(skipped.starts_with(&second), "{skipped}");
        assert_eq!(app.tollgate.deliver_changes().await.unwrap(), 1, "the next change is delivered");
        assert_eq!(run(&app, &pending).await.succeeded(), "No billing changes.\n");
        let states = [ChangeState::Delivered, ChangeState::Skipped, ChangeState::Pending];
        let mut counts = Vec::new();
        for state in states {
            counts.push(count_changes(&app, state).await);
        }
        assert_eq!(counts, [2, 1, 0]);
    }

    async fn only_a_pending_billing_change_is_retried_or_skipped(database) {
        let app = Harness::start(database).await;
        let account = subscriber(&app).await;
        app.until(async || count_changes(&app, ChangeState::Delivered).await == 1).await;
        for what in ["retry", "skip"] {
            for number in [1, 9] {
                let id = format!("{account}/{number}");
                let error = run(&app, &["changes", what, &id]).await.failed();
                assert!(error.contains(&id), "{error}");
            }
            let ran = run(&app, &["changes", what, account.as_str()]).await;
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
            assert!(ran.err.contains("ACCOUNT/NUMBER"), "{}", ran.err);
        }
        let lost = run(&app, &["changes", "list", "--state", "lost"]).await;
        assert_eq!((lost.code, lost.out.as_str()), (2, ""));
        for state in ["pending", "delivered", "skipped"] {
            assert!(lost.err.contains(state), "{state}: {}", lost.err);
        }
        assert_eq!(count_changes(&app, ChangeState::Delivered).await, 1);
    }

    async fn an_unknown_user_and_a_malformed_time_are_errors_with_a_hint(database) {
        let app = Harness::start(database).await;
        let error = run(&app, &["explain", "eve@example.com"]).await.failed();
        assert!(error.contains("eve@example.com"), "{error}");
        for (wrong, hint) in [
            (&["explain", "ada@example.com", "--at", "yesterday"][..], "2026-11-23T14:05:00Z"),
            (&["explain", "ada"], "name@example.com"),
            (&["operator", "add", "ada"], "name@example.com"),
        ] {
            let ran = run(&app, wrong).await;
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
            assert!(ran.err.contains(hint), "{}", ran.err);
        }
    }

    async fn reconciling_reports_missed_events_and_repairs_them_once(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let subscription = only_subscription(&app).await;
        let received = inbox::count_by_state(app.tollgate.db()).await.unwrap();

        let dry = run(&app, &["reconcile", "--dry-run"]).await.succeeded();
        assert!(dry.contains(&subscription) && dry.contains("trialing"), "{dry}");
        assert!(dry.contains("open   missed_event ") && !dry.contains("fixed "), "{dry}");
        assert!(dry.lines().last().is_some_and(|hint| hint.contains("`tollgate reconcile`")), "{dry}");
        assert!(!browser.opens("/dashboard/analytics").await);
        assert_eq!(inbox::count_by_state(app.tollgate.db()).await.unwrap(), received);

        let repaired = run(&app, &["reconcile"]).await.succeeded();
        assert!(repaired.contains("fixed  wrong_subscription ") && !repaired.contains("open "), "{repaired}");
        app.until(async || browser.opens("/dashboard/analytics").await).await;
        let in_sync = run(&app, &["reconcile"]).await.succeeded();
        assert!(!in_sync.contains("open ") && !in_sync.contains("fixed "), "{in_sync}");
    }

    async fn differences_that_need_a_decision_are_reported_with_the_next_step_and_left_alone(database) {
        let app = Harness::start(database).await;
        let pro = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let ada = app.stripe_newest("/v1/customers").await;
        let second = subscribed(&app, &ada, pro.as_str()).await;
        let unlinked = app.stripe_makes("/v1/customers", &[("email", "bob@example.com")]).await;
        subscribed(&app, &unlinked, pro.as_str()).await;
        let custom = [("currency", "usd"), ("unit_amount", "700"), ("recurring[interval]", "month"), ("product_data[name]", "By hand")];
        let custom = app.stripe_makes("/v1/prices", &custom).await;
        let eve = app.signed_up("eve@example.com").await;
        app.open_checkout(&eve, "PRO").await;
        let eve_customer = app.stripe_newest("/v1/customers?email=eve@example.com").await;
        let by_hand = subscribed(&app, &eve_customer, &custom).await;
        let gone = app.signed_up("gone@example.com").await;
        app.open_checkout(&gone, "PRO").await;
        let deleted_account_customer = app.stripe_newest("/v1/customers?email=gone@example.com").await;
        assert_eq!(gone.post("/account/close", &[("password", "correct horse")]).await.status, 303);
        let billed = subscribed(&app, &deleted_account_customer, pro.as_str()).await;
        app.settled().await;
        let kinds = [
            ("duplicate_subscription", &ada), ("orphan_customer", &unlinked), ("unmatched", &unlinked),
            ("unknown_price", &by_hand), ("deleted_but_billed", &billed),
        ];

        let dry = run(&app, &["reconcile", "--dry-run"]).await.succeeded();
        for (kind, subject) in kinds {
            let begins = format!("open   {kind} ");
            let is_named = dry.lines().any(|line| line.starts_with(&begins) && line.contains(subject.as_str()));
            assert!(is_named, "{kind} of {subject}: {dry}");
        }
        assert_eq!(status(&app, &billed).await, "active");

        let left = run(&app, &["reconcile"]).await;
        assert_eq!(left.code, 0, "{}", left.err);
        let left = left.out;
        assert!(left.contains("fixed  deleted_but_billed "), "{left}");
        assert_eq!(status(&app, &billed).await, "canceled");
        app.settled().await;
        let left = run(&app, &["reconcile"]).await.out;
        for (kind, subject) in kinds.into_iter().filter(|(kind, _)| *kind != "deleted_but_billed") {
            let mut lines = left.lines().skip_while(|line| !line.starts_with(&format!("open   {kind} ")));
            assert!(lines.next().is_some_and(|line| line.contains(subject.as_str())), "{kind} of {subject}: {left}");
            assert!(lines.next().is_some_and(|line| line.starts_with("       ")), "{kind}, with the next step: {left}");
        }
        assert!(left.ends_with("0 fixed, 4 open.\n"), "{left}");
        assert_eq!(status(&app, &second).await, "active");
    }

    async fn a_dispute_is_reported_with_advice_and_is_no_failure(database) {
        let app = Harness::start(database).await;
        app.paying("ada@example.com").await;
        let payment = app.stripe_newest("/v1/payment_intents").await;
        app.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]).unwrap();
        app.settled().await;
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        let is_listed = |text: &str| {
            let mut lines = text.lines();
            lines.next().is_some_and(|line| line.starts_with("open   reversed_payment ") && line.contains(&subscription))
                && lines.next().is_some_and(|advice| advice.starts_with("       "))
        };
        let dry = run(&app, &["reconcile", "--dry-run"]).await.succeeded();
        assert!(is_listed(&dry), "{dry}");
        let left = run(&app, &["reconcile"]).await.succeeded();
        assert!(is_listed(&left) && left.ends_with("0 fixed, 1 open.\n"), "{left}");
    }

    async fn the_endpoint_is_registered_once_and_its_secret_is_shown_once(database) {
        let app = Harness::start(database).await;
        let existing = app.stripe_newest("/v1/webhook_endpoints").await;
        let other = run(&app, &["webhook", "register"]).await.failed();
        assert!(other.contains(&existing) && other.contains("version"), "{other}");
        app.stripe_deletes(&format!("/v1/webhook_endpoints/{existing}")).await;

        let created = run(&app, &["webhook", "register"]).await.succeeded();
        let address = format!("{}/api/stripe/webhook", app.url);
        assert!(created.contains(&address) && created.contains("\nSTRIPE_WEBHOOK_SECRET=whsec_"), "{created}");
        let again = run(&app, &["webhook", "register"]).await.succeeded();
        assert!(again.contains(&address) && !again.contains("whsec_"), "{again}");
        let endpoints = app.stripe_lists("/v1/webhook_endpoints").await;
        assert_eq!((endpoints.len(), endpoints[0]["url"].as_str()), (1, Some(address.as_str())));
        let path = format!("/v1/webhook_endpoints/{}", endpoints[0]["id"].as_str().unwrap());
        app.stripe_makes(&path, &[("disabled", "true")]).await;
        let enabled = run(&app, &["webhook", "register"]).await.succeeded();
        assert!(enabled.contains(&address) && !enabled.contains("whsec_"), "{enabled}");
        assert_eq!(app.stripe_lists("/v1/webhook_endpoints").await[0]["status"], "enabled");
    }

    async fn operators_are_added_listed_and_removed_while_the_server_runs(database) {
        let app = Harness::start(database).await;
        let none = run(&app, &["operator", "list"]).await.succeeded();
        assert!(none.contains("tollgate operator add"), "{none}");
        let unknown = run(&app, &["operator", "add", "ada@example.com"]).await.failed();
        assert!(unknown.contains("ada@example.com"), "{unknown}");

        let browser = app.signed_up("ada@example.com").await;
        assert!(!browser.opens("/admin").await);
        let unasked = run(&app, &["operator", "add", "ada@example.com"]).await;
        assert_eq!(unasked.code, 1, "there is no terminal to ask in: {}", unasked.out);
        assert!(unasked.err.contains("--yes"), "{}", unasked.err);
        assert!(!browser.opens("/admin").await);
        let added = run(&app, &["operator", "add", "ADA@example.com", "--yes"]).await.succeeded();
        let user = users::by_login(app.tollgate.db(), "ada@example.com").await.unwrap().unwrap();
        for (shown, text) in [("id", user.id.to_string()), ("time", user.created_at.to_string())] {
            assert!(added.contains(&text) && unasked.out.contains(&text), "the {shown}: {added}");
        }
        assert!(added.contains("verified    no"), "{added}");
        assert!(added.lines().last().is_some_and(|line| line.starts_with("ADA@example.com ")), "{added}");
        app.until(async || browser.opens("/admin").await).await;
        assert_eq!(run(&app, &["operator", "list"]).await.succeeded(), "ada@example.com\n");
        let removed = run(&app, &["operator", "remove", "ada@example.com"]).await.succeeded();
        assert!(removed.starts_with("ada@example.com "), "{removed}");
        app.until(async || !browser.opens("/admin").await).await;
        assert_eq!(run(&app, &["operator", "list"]).await.succeeded(), none);
    }

    async fn a_customer_is_shown_with_the_account_before_they_are_linked(database) {
        let app = Harness::start(database).await;
        let pro = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let described = [("email", "ada@example.com"), ("name", "Ada\nLovelace")];
        let customer = app.stripe_makes("/v1/customers", &described).await;
        let subscription = subscribed(&app, &customer, pro.as_str()).await;
        let browser = app.signed_up("byron@example.com").await;
        let account = app.account("byron@example.com").await;
        let link = ["customer", "link", &customer, account.as_str()];
        let unasked = run(&app, &link).await;
        assert_eq!(unasked.code, 1, "there is no terminal to ask in: {}", unasked.out);
        assert!(unasked.err.contains("--yes"), "{}", unasked.err);
        assert!(!browser.opens("/dashboard/analytics").await);

        let linked = run(&app, &[&link[..], &["--yes"]].concat()).await.succeeded();
        let of_subscription = format!("{subscription}  active");
        for text in [
            "ada@example.com", r"Ada\nLovelace", &of_subscription, account.as_str(), "byron@example.com", "verified      no",
        ] {
            assert!(linked.contains(text) && unasked.out.contains(text), "{text}: {linked}");
        }
        let last = linked.lines().last().unwrap();
        assert!(last.contains(&customer) && last.contains(account.as_str()), "{linked}");
        app.until(async || browser.opens("/dashboard/analytics").await).await;
        app.signed_up("eve@example.com").await;
        let eves = app.account("eve@example.com").await;
        let owned = run(&app, &["customer", "link", &customer, eves.as_str(), "--yes"]).await.failed();
        assert!(owned.contains(account.as_str()), "{owned}");
    }

    async fn an_app_with_real_keys_does_not_start_until_the_demo_accounts_are_removed(database) {
        let app = Harness::start(database).await;
        let none = run(&app, &["demo", "remove"]).await.succeeded();
        assert!(!none.contains('@'), "no account is removed: {none}");
        let demo = user_at(&app, demo::CUSTOMER, demo::PASSWORD).await;
        let operator = user_at(&app, demo::OPERATOR, demo::PASSWORD).await;
        let ada = app.signed_up("ada@example.com").await;
        app.subscribe(&demo, "PRO", PAYS).await;
        app.settled().await;
        let stripe = app.sandbox.url();
        let keys = [
            ("DATABASE_URL", app.database.url.as_str()),
            ("STRIPE_API_BASE", stripe.as_str()),
            ("STRIPE_SECRET_KEY", "sk_test_sandbox"),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRETS[0]),
        ];
        let mut rejected = Program::spawn(&app.database, &keys);
        assert_eq!(rejected.ended().await, Some(1));
        for text in [demo::CUSTOMER, demo::OPERATOR, "tollgate demo remove"] {
            assert!(rejected.log().contains(text), "{text}: {}", rejected.log());
        }
        let removed = run_with(&app, &["demo", "remove"], &keys).await.succeeded();
        let names: Vec<&str> = removed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, [demo::CUSTOMER, demo::OPERATOR]);
        reject_outside_the_sandbox(&app.tollgate).await.unwrap();
        app.until(async || !demo.opens("/dashboard").await && !operator.opens("/dashboard").await).await;
        assert!(ada.opens("/dashboard").await, "others stay");
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 0, "a demo account's billing has ended");
    }

    async fn a_stranger_with_a_demo_address_does_not_stop_an_app_with_real_keys_from_starting(database) {
        let app = Harness::start(database).await;
        let stranger = user_at(&app, demo::CUSTOMER, "correct horse").await;
        let fields = [("email", "Operator@tollgate.test"), ("password", demo::PASSWORD)];
        assert_eq!(app.browser().post("/signup", &fields).await.status, 422);
        reject_outside_the_sandbox(&app.tollgate).await.unwrap();
        let none = run(&app, &["demo", "remove"]).await.succeeded();
        assert!(!none.contains('@'), "no account is removed: {none}");
        assert!(stranger.opens("/dashboard").await);
    }

    async fn the_doctor_reports_warnings_and_failures_with_a_remedy(database) {
        let app = Harness::start(database).await;
        let warned = run(&app, &["doctor"]).await.succeeded();
        assert!(warned.lines().any(|line| line.starts_with("warn  webhook endpoint ")), "{warned}");
        assert!(!warned.contains("FAIL  "), "{warned}");
        let existing = app.stripe_newest("/v1/webhook_endpoints").await;
        app.stripe_deletes(&format!("/v1/webhook_endpoints/{existing}")).await;
        run(&app, &["webhook", "register"]).await.succeeded();
        let sound = run(&app, &["doctor"]).await.succeeded();
        let (checks, _) = sound.trim_end().rsplit_once('\n').unwrap();
        assert!(checks.lines().all(|line| line.starts_with("ok    ")), "{checks}");

        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let bad = run(&app, &["doctor"]).await;
        assert_eq!(bad.code, 1, "{}", bad.out);
        let line = bad.out.lines().find(|line| line.starts_with("FAIL  ")).unwrap();
        assert!(line.contains("price tollgate_pro_month") && line.contains("`tollgate catalog apply`"), "{line}");
        assert!(bad.err.starts_with("1 of ") && bad.err.ends_with("checks failed\n"), "{}", bad.err);
        run(&app, &["catalog", "apply"]).await.succeeded();
        let again = run(&app, &["doctor"]).await.succeeded();
        let sound = sound.replace(price.as_str(), &only_pro_price(&app).await);
        // The clocks may differ by a second more or less.
        let without_clock = |text: &str| text.lines().filter(|line| !line.contains("clock")).collect::<Vec<_>>().join("\n");
        assert_eq!(without_clock(&again), without_clock(&sound));
    }

    async fn the_error_about_a_missing_migration_contains_the_command_that_applies_it(database) {
        let app = Harness::start(database).await;
        let behind = database.fresh_database().await;
        migrate_except_the_last(&behind).await;
        let on_it = [("DATABASE_URL", behind.url.as_str())];
        let doctor = run_with(&app, &["doctor"], &on_it).await;
        assert_eq!(doctor.code, 1, "{}", doctor.out);
        let fails: Vec<&str> = doctor.out.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert!(matches!(fails[..], [line] if line.contains("database") && line.contains("`tollgate migrate`")), "{}", doctor.out);
        for reads in [&["events", "list"][..], &["explain", "ada@example.com"], &["operator", "list"]] {
            let error = run_with(&app, reads, &on_it).await.failed();
            assert!(error.contains("`tollgate migrate`"), "{error}");
        }

        run_with(&app, &["migrate"], &on_it).await.succeeded();
        run_with(&app, &["doctor"], &on_it).await.succeeded();
        assert_eq!(run_with(&app, &["events", "list"], &on_it).await.succeeded(), "No events.\n");
    }
}

/// The catalog commands do not use the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_changes_are_planned_and_applied_once() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let plans = app.database.files.path().join("repriced.toml");
    std::fs::write(&plans, PLANS.replace("amount = 2900\n", "amount = 3900\n")).unwrap();
    let old = only_pro_price(&app).await;
    let variables = [("DATABASE_URL", app.database.url.as_str()), ("TOLLGATE_PLANS", plans.to_str().unwrap())];
    let catalog = async |what: &str| run_with(&app, &["catalog", what], &variables).await.succeeded();

    let planned = catalog("plan").await;
    let change = planned.lines().next().and_then(|line| line.strip_prefix("would ")).expect("a change");
    assert!(change.starts_with("replace price tollgate_pro_month ($29 ") && change.contains("$39 "), "{planned}");
    assert!(change.contains(&format!("add {old} to `retired_prices`")), "{planned}");
    assert!(planned.lines().last().is_some_and(|hint| hint.contains("`tollgate catalog apply`")), "{planned}");
    assert_eq!(only_pro_price(&app).await, old);
    let applied = catalog("apply").await;
    assert!(applied.starts_with(&format!("done: {change}")), "{applied}");
    assert_ne!(only_pro_price(&app).await, old);
    for again in ["apply", "plan"] {
        let unchanged = catalog(again).await;
        assert!(unchanged.lines().count() == 1 && !unchanged.contains("price"), "{unchanged}");
    }
}

/// The browser of a new user with an address that is not for signing up.
async fn user_at(app: &Harness, email: &str, password: &str) -> Browser {
    let address = Email::parse(email).unwrap();
    auth::create_user(&app.tollgate, &address, password.to_owned()).await.unwrap().expect("the address is free");
    let browser = app.browser();
    assert_eq!(browser.post("/login", &[("email", email), ("password", password)]).await.status, 303);
    browser
}

/// Waits until every pending event has failed, and parks them.
async fn park_failing_events(app: &Harness) {
    let filter = EventFilter { state: Some(EventState::Pending), about: None };
    let pending = async || inbox::list(app.tollgate.db(), &filter, &Cursor::start(), 100).await.unwrap();
    let has_failed = |event: &EventSummary| event.last_error.is_some();
    app.until(async || pending().await.iter().all(has_failed)).await;
    let failed = pending().await;
    assert!(!failed.is_empty());
    let ids: Vec<&str> = failed.iter().map(|event| event.id.as_str()).collect();
    app.park(&ids).await;
}

async fn only_pro_price(app: &Harness) -> String {
    let prices = app.stripe_lists("/v1/prices?active=true&lookup_keys[]=tollgate_pro_month").await;
    assert_eq!(prices.len(), 1);
    prices[0]["id"].as_str().unwrap().to_owned()
}

async fn only_subscription(app: &Harness) -> String {
    let all = app.stripe_lists("/v1/subscriptions").await;
    assert_eq!(all.len(), 1);
    all[0]["id"].as_str().unwrap().to_owned()
}

/// Subscribes a customer in Stripe, without the app, with a card that pays.
async fn subscribed(app: &Harness, customer: &str, price: &str) -> String {
    let card = app.stripe_makes("/v1/payment_methods/pm_card_visa/attach", &[("customer", customer)]).await;
    let fields = [("customer", customer), ("items[0][price]", price), ("default_payment_method", &card)];
    app.stripe_makes("/v1/subscriptions", &fields).await
}

/// Subscribes a new user to Pro, and returns their account.
async fn subscriber(app: &Harness) -> billing::AccountId {
    let browser = app.signed_up("ada@example.com").await;
    app.subscribe(&browser, "PRO", PAYS).await;
    app.settled().await;
    app.account("ada@example.com").await
}

async fn status(app: &Harness, subscription: &str) -> String {
    let all = app.stripe_lists("/v1/subscriptions?status=all&limit=100").await;
    let found = all.iter().find(|each| each["id"] == subscription).expect("Stripe has it");
    found["status"].as_str().unwrap().to_owned()
}

/// The first word with this prefix.
fn word(text: &str, begins: &str) -> String {
    text.split_whitespace()
        .find(|word| word.starts_with(begins))
        .unwrap_or_else(|| panic!("{begins}: {text}"))
        .to_owned()
}

/// Applies every migration but the last ones: one of the engine's, and the app's.
async fn migrate_except_the_last(database: &Database) {
    let (_, earlier) = MIGRATIONS.0.split_last().unwrap();
    let db = Db::connect(&DatabaseUrl::parse(&database.url).unwrap()).await.unwrap();
    db.migrate(MigrationSet(earlier)).await.unwrap();
    db.close().await;
}

/// Lets the delivery of the one change that is due fail, and reschedules it for tomorrow.
async fn fail_delivery(app: &Harness) -> i64 {
    let (db, now) = (app.tollgate.db(), app.tollgate.now());
    let due = billing_changes::claim(db, "a test", now, now.plus_seconds(60), 10).await.unwrap();
    assert_eq!(due.len(), 1, "{due:?}");
    let mut tx = db.begin().await.unwrap();
    let (error, tomorrow) = ("the CRM is down", now.plus_days(1));
    billing_changes::reschedule(&mut tx, &due[0], "a test", tomorrow, error).await.unwrap();
    tx.commit().await.unwrap();
    due[0].number
}

/// The number of billing changes in a state.
async fn count_changes(app: &Harness, state: ChangeState) -> usize {
    let filter = ChangeFilter { state: Some(state), account: None };
    billing_changes::list(app.tollgate.db(), &filter, &Cursor::start(), 100).await.unwrap().len()
}

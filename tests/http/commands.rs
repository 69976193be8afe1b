//! The commands, as an operator runs them beside a running server: what they print, how they end,
//! and what has changed then.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use server::config::SANDBOX_SECRET_KEY;
use server::store::After;
use server::store::inbox::{self, EventState, Filter, Listed};
use sqlx::migrate::Migrator;
use sqlx::{PgPool, SqlitePool};

use crate::support::{Browser, Database, DatabaseKind, Harness, PAYS, Page, deliver, event, on_both_databases};

const PLANS: &str = include_str!("../../plans.toml");

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// What was said by a command that went well, and had nothing to complain about.
    #[track_caller]
    fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What was said by one that failed: one sentence, and nothing of a result.
    #[track_caller]
    fn failed(self) -> String {
        assert_eq!((self.code, self.err.lines().count()), (1, 1), "{self:?}");
        self.err
    }
}

/// Runs the program on the database of the server and in front of the same Stripe, whose clock it goes by.
async fn run(app: &Harness, arguments: &[&str]) -> Said {
    run_with(app, arguments, &[("DATABASE_URL", &app.database.url)]).await
}

async fn run_with(app: &Harness, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
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
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

on_both_databases! {
    async fn events_are_listed_filtered_and_shown(database) {
        let app = Harness::start(database).await;
        assert_eq!(run(&app, &["events", "list", "--about", "customer.created"]).await.well(), "No events.\n");
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = only_subscription(&app).await;

        let all = run(&app, &["events", "list"]).await.well();
        assert!(all.lines().count() > 3 && all.lines().all(|line| line.contains("  evt_") && line.contains("  tried ")), "{all}");
        let narrow = ["events", "list", "--state", "done", "--about", "customer.subscription.created"];
        let made = run(&app, &narrow).await.well();
        assert_eq!(made.lines().count(), 1, "{made}");
        let id = word(&made, "evt_");
        let about = run(&app, &["events", "list", "--about", &subscription]).await.well();
        assert!(about.contains(&id) && about.lines().all(|line| line.contains(&subscription)), "{about}");
        assert_eq!(run(&app, &["events", "list", "--state", "parked"]).await.well(), "No events.\n");
        let two = run(&app, &["events", "list", "--limit", "2"]).await.well();
        assert_eq!(two.matches("  evt_").count(), 2, "{two}");
        assert!(two.lines().last().unwrap().contains("--limit"), "that there are more is said: {two}");

        let shown = run(&app, &["events", "show", &id]).await.well();
        let (standing, payload) = shown.split_at(shown.find('{').unwrap());
        assert_eq!(standing, made, "it stands as in the list");
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
        assert_eq!((&payload["id"], &payload["type"]), (&id.into(), &"customer.subscription.created".into()));
    }

    async fn an_event_that_is_not_there_or_a_state_that_is_none_is_said(database) {
        let app = Harness::start(database).await;
        for what in ["show", "replay"] {
            let said = run(&app, &["events", what, "evt_none"]).await.failed();
            assert!(said.contains("there is no event evt_none") && said.contains("tollgate reconcile"), "{said}");
        }
        let lost = run(&app, &["events", "list", "--state", "lost"]).await;
        assert_eq!((lost.code, lost.out.as_str()), (2, ""));
        assert!(lost.err.contains("use pending, done, ignored, unmatched or parked"), "{}", lost.err);
    }

    async fn a_parked_event_says_why_and_is_applied_once_it_is_replayed(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        app.sandbox.hold_deliveries(true);
        stripe(&app, Method::DELETE, &format!("/v1/subscriptions/{}", only_subscription(&app).await)).await;
        app.sandbox.fail_next(u32::MAX, 500);
        app.sandbox.hold_deliveries(false);
        app.sandbox.deliveries_settled().await;
        park_what_waits(&app).await;
        app.sandbox.fail_next(0, 500);

        let list = ["events", "list", "--state", "parked", "--about", "customer.subscription.deleted"];
        let parked = run(&app, &list).await.well();
        assert!(parked.lines().count() == 1 && parked.ends_with("  for a test\n"), "the reason is said: {parked}");
        let id = word(&parked, "evt_");
        let shown = run(&app, &["events", "show", &id]).await.well();
        assert!(shown.starts_with(&parked), "{shown}");
        assert!(shown.contains(&format!("`tollgate events replay {id}`")), "the next step is named: {shown}");
        assert!(browser.opens("/dashboard/analytics").await, "it is parked, and so not applied");

        let replayed = run(&app, &["events", "replay", &id]).await.well();
        assert!(replayed.contains(&id) && replayed.contains("due"), "{replayed}");
        app.applied().await;
        assert_eq!(app.event_state(&id).await, Some(EventState::Done));
        app.until(async || !browser.opens("/dashboard/analytics").await).await;
        // What is done may be replayed, too; it changes nothing.
        run(&app, &["events", "replay", &id]).await.well();
        app.applied().await;
        assert_eq!(app.event_state(&id).await, Some(EventState::Done));
    }

    async fn an_ignored_event_is_not_replayed(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let ignored = event("evt_ignored", "balance.available", &serde_json::json!({ "object": "balance" }));
        assert_eq!(deliver(app.url.clone(), ignored).await, 200);
        let said = run(&app, &["events", "replay", "evt_ignored"]).await.failed();
        assert!(said.contains("evt_ignored is ignored: its type changes nothing here"), "{said}");
        assert_eq!(app.event_state("evt_ignored").await, Some(EventState::Ignored));
        let shown = run(&app, &["events", "show", "evt_ignored"]).await.well();
        assert!(shown.contains("Its type changes nothing here, or"), "{shown}");
    }

    async fn what_somebody_had_at_one_time_and_not_at_another_is_explained(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let start = app.tollgate.now();
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let subscription = only_subscription(&app).await;
        app.sandbox.advance(Duration::from_secs(3 * 86_400));
        stripe(&app, Method::DELETE, &format!("/v1/subscriptions/{subscription}")).await;
        app.settled().await;

        let explain = async |at: &[&str]| run(&app, &[&["explain", "Ada@Example.com"], at].concat()).await.well();
        let before = explain(&["--at", &start.plus_days(-1).0.to_string()]).await;
        assert!(before.contains("tier      FREE") && before.contains("There is no subscription."), "{before}");
        assert!(before.contains("No subscription was known by then."), "{before}");
        let during = start.plus_days(1).utc();
        let during = explain(&["--at", &format!("{}T12:00:00+00:00", during.date())]).await;
        assert!(during.contains("tier      PRO"), "{during}");
        assert!(during.contains(&format!("because   {subscription} is trialing: the period is paid for.")), "{during}");
        assert!(during.contains("because of evt_"), "what made us look is named: {during}");
        assert!(during.contains("customer  cus_") && during.contains("limit     10,000 "), "{during}");
        let now = explain(&[]).await;
        assert!(now.contains("tier      FREE") && now.contains(&format!("{subscription}  canceled")), "{now}");
        assert!(now.contains(&app.tollgate.now().to_string()[..10]), "it goes by the server's time: {now}");
    }

    async fn whom_nobody_knows_and_a_time_that_is_none_are_said(database) {
        let app = Harness::start(database).await;
        let said = run(&app, &["explain", "eve@example.com"]).await.failed();
        assert_eq!(said, "nobody has signed up as eve@example.com\n");
        for (wrong, hint) in [
            (&["explain", "ada@example.com", "--at", "yesterday"][..], "use 2026-11-23T14:05:00Z or seconds since 1970"),
            (&["explain", "ada"], "like name@example.com"),
            (&["operator", "add", "ada"], "like name@example.com"),
        ] {
            let said = run(&app, wrong).await;
            assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
            assert!(said.err.contains(hint), "{}", said.err);
        }
    }

    async fn comparing_names_what_was_missed_mends_it_and_then_finds_nothing(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let subscription = only_subscription(&app).await;
        let received = inbox::count(app.tollgate.db()).await.unwrap();

        let looked = run(&app, &["reconcile", "--dry-run"]).await.well();
        assert!(looked.contains(&format!("{subscription} is trialing at Stripe and unknown here")), "{looked}");
        assert!(looked.contains("differs  missed_event") && !looked.contains("mended "), "{looked}");
        assert!(looked.ends_with("Nothing was changed. `tollgate reconcile` mends what is safe.\n"), "{looked}");
        assert!(!browser.opens("/dashboard/analytics").await);
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), received);

        let mended = run(&app, &["reconcile"]).await.well();
        assert!(mended.contains("mended   wrong_status") && !mended.contains("differs"), "{mended}");
        app.until(async || browser.opens("/dashboard/analytics").await).await;
        assert_eq!(run(&app, &["reconcile"]).await.well(), "Nothing differs from Stripe.\n");
    }

    async fn what_only_a_person_can_decide_is_named_with_what_to_do_and_left_alone(database) {
        let app = Harness::start(database).await;
        let pro = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let ada = app.stripe_newest("/v1/customers").await;
        let second = subscribed(&app, &ada, pro.as_str()).await;
        let stranger = app.stripe_makes("/v1/customers", &[("email", "stranger@example.com")]).await;
        subscribed(&app, &stranger, pro.as_str()).await;
        let custom = [("currency", "usd"), ("unit_amount", "700"), ("recurring[interval]", "month"), ("product_data[name]", "By hand")];
        let custom = app.stripe_makes("/v1/prices", &custom).await;
        let eve = app.signed_up("eve@example.com").await;
        app.open_checkout(&eve, "PRO").await;
        let eves = app.stripe_newest("/v1/customers?email=eve@example.com").await;
        let by_hand = subscribed(&app, &eves, &custom).await;
        let gone = app.signed_up("gone@example.com").await;
        app.open_checkout(&gone, "PRO").await;
        let gones = app.stripe_newest("/v1/customers?email=gone@example.com").await;
        assert_eq!(gone.post("/account/close", &[("password", "correct horse")]).await.status, 303);
        let billed = subscribed(&app, &gones, pro.as_str()).await;
        app.settled().await;
        let kinds = [
            ("duplicate_subscription", &ada), ("orphan_customer", &stranger), ("unmatched", &stranger),
            ("unknown_price", &by_hand), ("deleted_but_billed", &billed),
        ];

        let looked = run(&app, &["reconcile", "--dry-run"]).await.well();
        for (kind, subject) in kinds {
            let is_named = looked.lines().any(|line| line.starts_with(&format!("differs  {kind} ")) && line.contains(subject.as_str()));
            assert!(is_named, "{kind} of {subject}: {looked}");
        }
        assert_eq!(stripe(&app, Method::GET, &format!("/v1/subscriptions/{billed}")).await["status"], "active");

        let left = run(&app, &["reconcile"]).await;
        assert_eq!(left.code, 0, "{}", left.err);
        let left = left.out;
        assert!(left.contains("mended   deleted_but_billed"), "{left}");
        assert_eq!(stripe(&app, Method::GET, &format!("/v1/subscriptions/{billed}")).await["status"], "canceled");
        app.settled().await;
        let left = run(&app, &["reconcile"]).await.out;
        for (kind, subject) in kinds.into_iter().filter(|(kind, _)| *kind != "deleted_but_billed") {
            let mut lines = left.lines().skip_while(|line| !line.starts_with(&format!("differs  {kind} ")));
            assert!(lines.next().is_some_and(|line| line.contains(subject.as_str())), "{kind} of {subject}: {left}");
            assert!(lines.next().is_some_and(|line| line.starts_with("         ")), "{kind}, and what to do: {left}");
        }
        assert!(left.ends_with("0 mended, 4 left to you.\n"), "{left}");
        assert_eq!(stripe(&app, Method::GET, &format!("/v1/subscriptions/{second}")).await["status"], "active");
    }

    async fn the_endpoint_is_registered_once_and_its_secret_is_shown_once(database) {
        let app = Harness::start(database).await;
        let there = app.stripe_newest("/v1/webhook_endpoints").await;
        let other = run(&app, &["webhook", "register"]).await.failed();
        assert!(other.contains(&there) && other.contains("delete it at Stripe and register again"), "{other}");
        stripe(&app, Method::DELETE, &format!("/v1/webhook_endpoints/{there}")).await;

        let made = run(&app, &["webhook", "register"]).await.well();
        let address = format!("{}/api/stripe/webhook", app.url);
        assert!(made.contains(&address) && made.contains("\nSTRIPE_WEBHOOK_SECRET=whsec_"), "{made}");
        let again = run(&app, &["webhook", "register"]).await.well();
        assert!(again.contains("every event that is handled") && !again.contains("whsec_"), "{again}");
        let endpoints = app.stripe_lists("/v1/webhook_endpoints").await;
        assert_eq!((endpoints.len(), &endpoints[0]["url"]), (1, &address.into()));
        let path = format!("/v1/webhook_endpoints/{}", endpoints[0]["id"].as_str().unwrap());
        app.stripe_makes(&path, &[("disabled", "true")]).await;
        let enabled = run(&app, &["webhook", "register"]).await.well();
        assert!(enabled.contains("again: the endpoint was disabled"), "{enabled}");
        assert_eq!(app.stripe_lists("/v1/webhook_endpoints").await[0]["status"], "enabled");
    }

    async fn an_operator_is_made_listed_and_unmade_while_the_server_runs(database) {
        let app = Harness::start(database).await;
        let nobody = run(&app, &["operator", "list"]).await.well();
        assert!(nobody.contains("tollgate operator add"), "{nobody}");
        let unknown = run(&app, &["operator", "add", "ada@example.com"]).await.failed();
        assert_eq!(unknown, "nobody has signed up as ada@example.com\n");

        let browser = app.signed_up("ada@example.com").await;
        assert!(!browser.opens("/admin").await);
        let added = run(&app, &["operator", "add", "ADA@example.com"]).await.well();
        assert_eq!(added, "ADA@example.com is an operator now.\n");
        app.until(async || browser.opens("/admin").await).await;
        assert_eq!(run(&app, &["operator", "list"]).await.well(), "ada@example.com\n");
        let removed = run(&app, &["operator", "remove", "ada@example.com"]).await.well();
        assert_eq!(removed, "ada@example.com is no operator any more.\n");
        app.until(async || !browser.opens("/admin").await).await;
        assert_eq!(run(&app, &["operator", "list"]).await.well(), nobody);
    }

    async fn the_doctor_says_what_is_sound_what_is_odd_and_what_fails(database) {
        let app = Harness::start(database).await;
        let odd = run(&app, &["doctor"]).await.well();
        assert!(odd.lines().any(|line| line.starts_with("look  webhook endpoint ")), "{odd}");
        assert!(odd.contains("\nIt works. 1 of "), "{odd}");
        let there = app.stripe_newest("/v1/webhook_endpoints").await;
        stripe(&app, Method::DELETE, &format!("/v1/webhook_endpoints/{there}")).await;
        run(&app, &["webhook", "register"]).await.well();
        let sound = run(&app, &["doctor"]).await.well();
        let (last, checks) = sound.trim_end().rsplit_once('\n').map(|(checks, last)| (last, checks)).unwrap();
        assert_eq!(last, "Everything is in place.");
        assert!(checks.lines().all(|line| line.starts_with("ok    ")), "{checks}");

        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let bad = run(&app, &["doctor"]).await;
        assert_eq!(bad.code, 1, "{}", bad.out);
        let line = bad.out.lines().find(|line| line.starts_with("FAIL  ")).unwrap();
        assert!(line.contains("price tollgate_pro_month") && line.contains("`tollgate catalog apply`"), "{line}");
        assert!(bad.err.starts_with("1 of ") && bad.err.ends_with("checks failed\n"), "{}", bad.err);
        run(&app, &["catalog", "apply"]).await.well();
        assert_eq!(run(&app, &["doctor"]).await.well(), sound.replace(price.as_str(), &only_pro_price(&app).await));
    }

    async fn a_database_that_lacks_a_migration_is_brought_up_to_date_by_the_command_that_is_named(database) {
        let app = Harness::start(database).await;
        let behind = database.fresh_database().await;
        migrate_but_the_last(engine, &behind).await;
        let on_it = [("DATABASE_URL", behind.url.as_str())];
        let doctor = run_with(&app, &["doctor"], &on_it).await;
        assert_eq!(doctor.code, 1, "{}", doctor.out);
        let fails: Vec<&str> = doctor.out.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert!(matches!(fails[..], [line] if line.contains("database") && line.contains("`tollgate migrate`")), "{}", doctor.out);
        for reads in [&["events", "list"][..], &["explain", "ada@example.com"], &["operator", "list"]] {
            let said = run_with(&app, reads, &on_it).await.failed();
            assert!(said.contains("is not up to date: run `tollgate migrate`"), "{said}");
        }

        run_with(&app, &["migrate"], &on_it).await.well();
        run_with(&app, &["doctor"], &on_it).await.well();
        assert_eq!(run_with(&app, &["events", "list"], &on_it).await.well(), "No events.\n");
    }
}

/// The catalogue is the same on either engine: one will do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_is_planned_applied_and_then_as_it_should_be() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let plans = app.database.files.path().join("dearer.toml");
    std::fs::write(&plans, PLANS.replace("amount = 2900\n", "amount = 3900\n")).unwrap();
    let old = only_pro_price(&app).await;
    let variables = [("DATABASE_URL", app.database.url.as_str()), ("TOLLGATE_PLANS", plans.to_str().unwrap())];
    let catalog = async |what: &str| run_with(&app, &["catalog", what], &variables).await.well();

    let planned = catalog("plan").await;
    let change = format!("replace price tollgate_pro_month ($29 every 1 month becomes $39 every 1 month); put {old}");
    assert!(planned.starts_with(&format!("would {change}")), "{planned}");
    assert!(planned.ends_with("\nNothing was changed. `tollgate catalog apply` does it.\n"), "{planned}");
    assert_eq!(only_pro_price(&app).await, old);
    let applied = catalog("apply").await;
    assert!(applied.starts_with(&format!("done: {change}")), "{applied}");
    assert_ne!(only_pro_price(&app).await, old);
    for again in ["apply", "plan"] {
        assert_eq!(catalog(again).await, "Stripe sells what plans.toml says.\n");
    }
}

/// Parks whatever is pending once it has failed, as a worker does that has tried too often.
async fn park_what_waits(app: &Harness) {
    let pending = Filter { state: Some(EventState::Pending), about: None };
    let waiting = async || inbox::list(app.tollgate.db(), &pending, &After::start(), 100).await.unwrap();
    let has_failed = |event: &Listed| event.last_error.is_some();
    app.until(async || waiting().await.iter().all(has_failed)).await;
    let waiting = waiting().await;
    assert!(!waiting.is_empty());
    let ids: Vec<&str> = waiting.iter().map(|event| event.event_id.as_str()).collect();
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

/// Subscribes a customer at Stripe, behind the app's back, with a card that pays.
async fn subscribed(app: &Harness, customer: &str, price: &str) -> String {
    let card = app.stripe_makes("/v1/payment_methods/pm_card_visa/attach", &[("customer", customer)]).await;
    let fields = [("customer", customer), ("items[0][price]", price), ("default_payment_method", &card)];
    app.stripe_makes("/v1/subscriptions", &fields).await
}

/// Asks Stripe, behind the app's back.
async fn stripe(app: &Harness, method: Method, path: &str) -> serde_json::Value {
    let request = Browser::new(&app.sandbox.url()).request(method, path).bearer_auth(SANDBOX_SECRET_KEY);
    let page = Page::of(request).await;
    assert_eq!(page.status, 200, "{path}: {}", page.body);
    page.json()
}

/// The first word that begins like that.
fn word(text: &str, begins: &str) -> String {
    text.split_whitespace()
        .find(|word| word.starts_with(begins))
        .unwrap_or_else(|| panic!("{begins}: {text}"))
        .to_owned()
}

/// Brings the database to where the last release but one left it.
async fn migrate_but_the_last(engine: DatabaseKind, database: &Database) {
    let engine_name = match engine {
        DatabaseKind::Sqlite => "sqlite",
        DatabaseKind::Postgres => "postgres",
    };
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine_name);
    let some = database.files.path().join("migrations");
    std::fs::create_dir(&some).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(all).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.pop();
    for file in files {
        std::fs::copy(&file, some.join(file.file_name().unwrap())).unwrap();
    }
    let migrations = Migrator::new(some).await.unwrap();
    match engine {
        DatabaseKind::Sqlite => {
            let pool = SqlitePool::connect(&format!("{}?mode=rwc", database.url)).await.unwrap();
            migrations.run(&pool).await.unwrap();
            pool.close().await;
        }
        DatabaseKind::Postgres => {
            let pool = PgPool::connect(&database.url).await.unwrap();
            migrations.run(&pool).await.unwrap();
            pool.close().await;
        }
    }
}

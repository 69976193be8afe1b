//! Whether everything is in place. What the command prints of it is in `commands.rs`, and so is a
//! database that lacks a migration.

use std::time::Duration;

use server::Tollgate;
use server::assets::Assets;
use server::catalog_apply::apply;
use server::clock::Clock;
use server::config::{Config, Env};
use server::doctor::{Check, Verdict, configuration, examine};
use server::product::API_CALLS;
use server::usage::{Recorded, outbox};
use server::webhook::register::register;

use crate::support::{Browser, DatabaseKind, Harness, PAYS, Page, deliver, event, metered_catalog, on_both_databases};

on_both_databases! {
    async fn a_sound_house_is_said_to_be_sound(database) {
        let app = Harness::start(database).await;
        let checks = examine(&app.tollgate).await;
        let bad: Vec<_> = checks.iter().filter(|check| check.verdict == Verdict::Bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
        for what in ["configuration", "database", "inbox", "Stripe", "clock", "webhook endpoint", "price tollgate_pro_month", "price tollgate_ai_500"] {
            assert!(checks.iter().any(|check| check.what == what), "{what} is looked at");
        }
        let clock = checks.iter().find(|check| check.what == "clock").unwrap();
        assert_eq!(clock.verdict, Verdict::Good, "{}", clock.sentence);
    }

    async fn what_is_missing_is_named_with_its_remedy(database) {
        let app = Harness::start(database).await;
        let endpoint = app.stripe_newest("/v1/webhook_endpoints").await;
        let gone = Browser::new(&app.sandbox.url()).request(reqwest::Method::DELETE, &format!("/v1/webhook_endpoints/{endpoint}"));
        assert_eq!(Page::of(gone.bearer_auth("sk_test_sandbox")).await.status, 200);
        let price = app.tollgate.gateway().find_price("tollgate_pro_year").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let checks = examine(&app.tollgate).await;
        let said = |what: &str| checks.iter().find(|check| check.what == what).unwrap();
        assert_eq!(said("webhook endpoint").verdict, Verdict::Odd, "in development `stripe listen` will do");
        assert_eq!(said("price tollgate_pro_year").verdict, Verdict::Bad);
        assert!(said("price tollgate_pro_year").sentence.contains("tollgate catalog apply"));

        register(&app.tollgate).await.unwrap();
        let checks = examine(&app.tollgate).await;
        let endpoint = checks.iter().find(|check| check.what == "webhook endpoint").unwrap();
        assert_eq!(endpoint.verdict, Verdict::Good, "{}", endpoint.sentence);
        let url = server::webhook::register::address(&app.tollgate);
        let there = app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap();
        app.tollgate.gateway().update_webhook_endpoint(&there.id, &["invoice.paid"]).await.unwrap();
        let checks = examine(&app.tollgate).await;
        let endpoint = checks.iter().find(|check| check.what == "webhook endpoint").unwrap();
        assert!(endpoint.verdict == Verdict::Bad && endpoint.sentence.contains("customer.subscription.deleted"));
    }

    async fn a_stripe_that_does_not_answer_is_said(database) {
        let app = Harness::start(database).await;
        app.sandbox.fail_next(1_000, 503);
        let checks = examine(&app.tollgate).await;
        let stripe = checks.iter().find(|check| check.what == "Stripe").unwrap();
        assert_eq!(stripe.verdict, Verdict::Bad, "{}", stripe.sentence);
    }

    async fn a_clock_that_is_off_is_said_before_signatures_are_refused(database) {
        let app = Harness::start(database).await;
        app.sandbox.advance(Duration::from_secs(86_400));
        let followed = said(&app.tollgate, "clock").await;
        assert_eq!(followed.verdict, Verdict::Good, "the sandbox's clock was moved, not the machine's: {}", followed.sentence);
        for (off, verdict, words) in [
            (-400, Verdict::Bad, "behind Stripe's: signatures are refused"),
            (400, Verdict::Bad, "ahead of Stripe's: signatures are refused"),
            (-90, Verdict::Odd, "behind Stripe's: let the machine keep time"),
            (90, Verdict::Odd, "ahead of Stripe's: let the machine keep time"),
            (-10, Verdict::Good, "behind Stripe's."),
        ] {
            let clock = Clock::manual(Clock::system().now().plus_seconds(off));
            let found = said(&beside(&app, clock, |_| {}), "clock").await;
            assert!(found.verdict == verdict && found.sentence.contains(words), "{off} s: {found:?}");
        }
    }

    async fn an_endpoint_in_another_version_is_named_with_the_way_to_ours(database) {
        let app = Harness::start(database).await;
        let found = said(&app.tollgate, "webhook endpoint").await;
        assert!(found.verdict == Verdict::Odd && found.sentence.contains("in the account's version"), "{found:?}");
        let url = server::webhook::register::address(&app.tollgate);
        let then = Some("2024-06-20".to_owned());
        app.sandbox.add_endpoint(sandbox::Endpoint { url: url.clone(), secret: "whsec_other".to_owned(), api_version: then });
        let found = said(&app.tollgate, "webhook endpoint").await;
        let id = app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap().id;
        assert!(found.verdict == Verdict::Odd && found.sentence.contains("in version 2024-06-20 instead of"), "{found:?}");
        assert!(found.sentence.contains(&format!("delete {id} at Stripe and run `tollgate webhook register`")), "{found:?}");
    }

    async fn what_is_parked_or_waits_too_long_is_said(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let about_nothing = event("evt_1", "customer.subscription.updated", &serde_json::json!({ "id": "sub_1", "customer": "cus_1" }));
        app.sandbox.fail_next(u32::MAX, 500);
        assert_eq!(deliver(app.url.clone(), about_nothing).await, 200);
        app.stop().await;
        app.sandbox.fail_next(0, 500);
        let now = app.tollgate.now();
        assert_eq!(said(&app.tollgate, "inbox").await.verdict, Verdict::Good, "it has not waited long");
        let later = said(&beside(&app, Clock::manual(now.plus_seconds(16 * 60)), |_| {}), "inbox").await;
        assert!(later.verdict == Verdict::Odd && later.sentence.contains("is a server running?"), "{later:?}");

        app.park(&["evt_1"]).await;
        let parked = said(&app.tollgate, "inbox").await;
        assert!(parked.verdict == Verdict::Odd && parked.sentence.contains("events: 1."), "{parked:?}");
        assert!(parked.sentence.contains("`tollgate events list --state parked`"), "{parked:?}");
    }

    async fn a_meter_that_is_missing_or_not_billed_is_said(database) {
        let app = metered(database, "amount = 7\ncurrency = \"usd\"").await;
        for what in ["meter api_calls", "price api_calls_month", "price api_calls_year", "billed use"] {
            let found = said(&app.tollgate, what).await;
            assert_eq!(found.verdict, Verdict::Good, "{what}: {}", found.sentence);
        }
        // Off sale, and then on sale for what another meter counts.
        let price = app.tollgate.gateway().find_price("api_calls_month").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let found = said(&app.tollgate, "price api_calls_month").await;
        assert!(found.verdict == Verdict::Bad && found.sentence.contains("`tollgate catalog apply`"), "{found:?}");
        apply(&app.tollgate).await.unwrap();
        assert_eq!(said(&app.tollgate, "price api_calls_month").await.verdict, Verdict::Good);

        let other = meter(&app, "something_else").await;
        priced_by(&app, "api_calls_month", &other).await;
        let found = said(&app.tollgate, "price api_calls_month").await;
        assert!(found.verdict == Verdict::Bad && found.sentence.contains("does not bill that meter"), "{found:?}");
        apply(&app.tollgate).await.unwrap();
        assert_eq!(said(&app.tollgate, "price api_calls_month").await.verdict, Verdict::Good, "it does what it was said to");

        let ours = app.tollgate.gateway().meter("api_calls").await.unwrap().unwrap();
        app.stripe_makes(&format!("/v1/billing/meters/{ours}/deactivate"), &[]).await;
        let found = said(&app.tollgate, "meter api_calls").await;
        assert!(found.verdict == Verdict::Bad && found.sentence.contains("Stripe does not have it"), "{found:?}");
    }

    async fn a_meter_without_a_price_of_ours_has_to_be_made_at_stripe(database) {
        let app = metered(database, "").await;
        let found = said(&app.tollgate, "meter api_calls").await;
        assert!(found.verdict == Verdict::Bad && found.sentence.contains("make it there, or say in plans.toml"), "{found:?}");
        let other = meter(&app, "something_else").await;
        meter(&app, "api_calls").await;
        priced_by(&app, "api_calls_month", &other).await;
        assert_eq!(said(&app.tollgate, "meter api_calls").await.verdict, Verdict::Good);
        let found = said(&app.tollgate, "price api_calls_month").await;
        assert!(found.verdict == Verdict::Bad && found.sentence.contains("give its lookup key to a price that does"), "{found:?}");
    }

    async fn use_that_is_parked_on_its_way_to_stripe_is_said(database) {
        let app = metered(database, "amount = 7\ncurrency = \"usd\"").await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        app.sandbox.advance(Duration::from_secs(15 * 86_400));
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let used = app.tollgate.record_usage(&account, API_CALLS, 10_005, "all at once").await.unwrap();
        assert!(matches!(used, Recorded::Counted(_)));
        let too_late = beside(&app, Clock::manual(app.tollgate.now().plus_days(36)), |_| {});
        assert_eq!(outbox::send_due(&too_late).await.unwrap(), 0);
        let found = said(&app.tollgate, "billed use").await;
        assert!(found.verdict == Verdict::Odd && found.sentence.contains("not billed: 1."), "{found:?}");
    }

    async fn a_price_that_is_charged_otherwise_than_it_is_shown_is_said(database) {
        let app = Harness::start(database).await;
        let yearly = [
            ("currency", "usd"), ("unit_amount", "2900"), ("recurring[interval]", "year"), ("product_data[name]", "Pro"),
            ("lookup_key", "tollgate_pro_month"), ("transfer_lookup_key", "true"),
        ];
        app.stripe_makes("/v1/prices", &yearly).await;
        let found = said(&app.tollgate, "price tollgate_pro_month").await;
        assert_eq!(found.verdict, Verdict::Odd);
        assert!(found.sentence.contains("says $29 every 1 month, Stripe charges $29 every 1 year"), "{}", found.sentence);
        priced_by(&app, "tollgate_pro_month", &meter(&app, "something").await).await;
        let found = said(&app.tollgate, "price tollgate_pro_month").await;
        assert!(found.verdict == Verdict::Bad && found.sentence.contains("bills the use that mtr_"), "{found:?}");
    }
}

#[test]
fn a_key_of_the_wrong_kind_is_said() {
    let configured = |env, key: &str, api_base: Option<&str>| {
        let mut config = crate::support::config("https://app.example.com", "sqlite:tollgate.db", "http://127.0.0.1:1");
        config.env = env;
        config.stripe.secret_key = key.into();
        config.stripe.api_base = api_base.map(|url| url.parse().unwrap());
        configuration(&config)
    };
    for (env, key, words) in [
        (Env::Production, "sk_test_1", "A test key in production"),
        (Env::Production, "rk_test_1", "A test key in production"),
        (Env::Development, "sk_live_1", "A live Stripe key in development"),
        (Env::Development, "rk_live_1", "A live Stripe key in development"),
    ] {
        let found = configured(env, key, None);
        assert!(found.verdict == Verdict::Odd && found.sentence.contains(words), "{key}: {found:?}");
    }
    for (env, key) in [(Env::Production, "sk_live_1"), (Env::Production, "rk_live_1"), (Env::Development, "sk_test_1")]
    {
        assert_eq!(configured(env, key, None).verdict, Verdict::Good, "{key}");
    }
    let elsewhere = configured(Env::Production, "sk_live_1", Some("http://127.0.0.1:12111"));
    assert!(
        elsewhere.verdict == Verdict::Odd && elsewhere.sentence.contains("STRIPE_API_BASE leads to"),
        "{elsewhere:?}"
    );
    assert_eq!(configured(Env::Development, "sk_test_1", Some("http://127.0.0.1:12111")).verdict, Verdict::Good);
}

async fn said(tollgate: &Tollgate, what: &str) -> Check {
    let checks = examine(tollgate).await;
    checks.into_iter().find(|check| check.what == what).unwrap_or_else(|| panic!("{what} is looked at"))
}

/// Another node on the same database, with a clock and a configuration of its own.
fn beside(app: &Harness, clock: Clock, configure: impl FnOnce(&mut Config)) -> Tollgate {
    let mut config = app.tollgate.config().clone();
    configure(&mut config);
    Tollgate::new(config, app.tollgate.db().clone(), clock, Assets::default()).unwrap()
}

/// With API calls that are billed beyond the limit, at a unit's price or at one that is made at Stripe.
async fn metered(database: DatabaseKind, price: &str) -> Harness {
    let catalog = metered_catalog(price);
    Harness::start_configured(database, |_| {}, |config| config.catalog = catalog).await
}

/// Makes a meter at Stripe.
async fn meter(app: &Harness, event_name: &str) -> String {
    let fields = [("display_name", event_name), ("event_name", event_name), ("default_aggregation[formula]", "sum")];
    app.stripe_makes("/v1/billing/meters", &fields).await
}

/// Makes a price at Stripe that bills what a meter counts, and gives it a lookup key.
async fn priced_by(app: &Harness, lookup_key: &str, meter: &str) {
    let fields = [
        ("currency", "usd"),
        ("unit_amount", "7"),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
        ("recurring[meter]", meter),
        ("product_data[name]", "By hand"),
        ("lookup_key", lookup_key),
        ("transfer_lookup_key", "true"),
    ];
    app.stripe_makes("/v1/prices", &fields).await;
}

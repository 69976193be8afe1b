//! The doctor's checks. Its output and missing migrations are tested in `commands.rs`.

use std::time::Duration;

use engine::catalog::apply_all;
use engine::clock::Clock;
use engine::doctor::{Check, Health};
use engine::inbox::intake::new_event;
use engine::metering::{self, Recorded, UsageEvent, outbox};
use engine::stripe::objects;
use engine::webhook_endpoint::register;
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::doctor::{check, configuration};
use server::config::Env;
use server::product::API_CALLS;

use crate::support::{CENTS_PER_CALL, DatabaseKind, Harness, config, event, on_both_databases};

on_both_databases! {
    async fn an_installation_in_order_passes_every_check(database) {
        let app = Harness::start(database).await;
        let checks = checks(&app.tollgate).await;
        let failed: Vec<_> = checks.iter().filter(|check| check.health == Health::Failed).collect();
        assert!(failed.is_empty(), "{failed:?}");
        for subject in [
            "configuration",
            "database",
            "events",
            "billing changes",
            "Stripe",
            "clock",
            "webhook endpoint",
            "price tollgate_pro_month",
            "price tollgate_ai_500",
        ] {
            assert!(checks.iter().any(|check| check.subject == subject), "{subject} is not checked");
        }
        assert_eq!(checked(&app.tollgate, "clock").await.health, Health::Ok);
    }

    async fn the_version_of_the_database_is_reported(database) {
        let app = Harness::start(database).await;
        let version = app.tollgate.db().version().await.unwrap();
        assert!(!version.is_unsound(), "{version}");
        let found = checked(&app.tollgate, "database").await;
        let expected = match database {
            DatabaseKind::Sqlite => "SQLite 3.",
            DatabaseKind::Postgres => "PostgreSQL 1",
        };
        assert!(found.message.starts_with(expected), "{found:?}");
        let says_how = found.message.contains("TLS");
        assert_eq!(says_how, matches!(database, DatabaseKind::Postgres), "{found:?}");
    }

    async fn missing_parts_are_reported_with_their_remedy(database) {
        let app = Harness::start(database).await;
        let endpoint = app.stripe_newest("/v1/webhook_endpoints").await;
        app.stripe_deletes(&format!("/v1/webhook_endpoints/{endpoint}")).await;
        let price = app.tollgate.gateway().find_price("tollgate_pro_year").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let found_endpoint = checked(&app.tollgate, "webhook endpoint").await;
        assert_eq!(found_endpoint.health, Health::Warning, "in development `stripe listen` is enough");
        let found_price = checked(&app.tollgate, "price tollgate_pro_year").await;
        assert_eq!(found_price.health, Health::Failed);
        assert!(found_price.message.contains("`tollgate catalog apply`"), "{found_price:?}");

        register(&app.tollgate).await.unwrap();
        assert_eq!(checked(&app.tollgate, "webhook endpoint").await.health, Health::Ok);
        let url = app.tollgate.urls().webhook.as_str();
        let registered = app.tollgate.gateway().webhook_endpoint(url).await.unwrap().unwrap();
        app.tollgate.gateway().update_webhook_endpoint(&registered.id, &["invoice.paid"]).await.unwrap();
        let incomplete = checked(&app.tollgate, "webhook endpoint").await;
        assert_eq!(incomplete.health, Health::Failed);
        assert!(incomplete.message.contains("customer.subscription.deleted"), "{incomplete:?}");
    }

    async fn an_unreachable_stripe_is_reported(database) {
        let app = Harness::start(database).await;
        app.sandbox.fail_next(1_000, 503);
        assert_eq!(checked(&app.tollgate, "Stripe").await.health, Health::Failed);
    }

    async fn a_wrong_clock_is_reported_before_signatures_are_rejected(database) {
        let app = Harness::start(database).await;
        app.sandbox.advance(Duration::from_secs(86_400));
        let followed = checked(&app.tollgate, "clock").await;
        assert_eq!(followed.health, Health::Ok, "the sandbox's clock was advanced, not the machine's: {}", followed.message);
        for (off, health, text) in [
            (-400, Health::Failed, "behind"),
            (400, Health::Failed, "ahead"),
            (-120, Health::Warning, "behind"),
            (120, Health::Warning, "ahead"),
            (20, Health::Ok, "ahead"),
        ] {
            let clock = Clock::manual(Clock::system().now().plus_seconds(off));
            let found = checked(&app.idle_node(|_| {}, &clock), "clock").await;
            assert!(found.health == health && found.message.contains(text), "{off} s: {found:?}");
        }
    }

    async fn an_endpoint_in_another_api_version_is_reported_with_the_remedy(database) {
        let app = Harness::start(database).await;
        let url = app.tollgate.urls().webhook.to_string();
        let id = async || app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap().id;
        let found = checked(&app.tollgate, "webhook endpoint").await;
        assert!(found.health == Health::Warning && found.message.contains(&id().await), "the account's version: {found:?}");
        let then = Some("2024-06-20".to_owned());
        app.sandbox.add_endpoint(sandbox::Endpoint { url: url.clone(), secret: "whsec_other".to_owned(), api_version: then });
        let found = checked(&app.tollgate, "webhook endpoint").await;
        assert!(found.health == Health::Warning && found.message.contains("2024-06-20"), "{found:?}");
        assert!(found.message.contains(&id().await) && found.message.contains("`tollgate webhook register`"), "{found:?}");
    }

    async fn events_that_are_parked_or_wait_too_long_are_reported(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let pending = event("evt_1", "customer.subscription.updated", &serde_json::json!({ "id": "sub_1", "customer": "cus_1" }));
        app.stop().await;
        let value = serde_json::from_str(&pending).unwrap();
        let new = new_event(objects::event(&value).unwrap(), pending, app.tollgate.now());
        assert!(app.tollgate.intake().store(new).await.unwrap());
        let now = app.tollgate.now();
        assert_eq!(checked(&app.tollgate, "events").await.health, Health::Ok, "it has not waited long");
        let later = checked(&app.idle_node(|_| {}, &Clock::manual(now.plus_seconds(16 * 60))), "events").await;
        assert!(later.health == Health::Warning && later.message.contains("16 minutes"), "{later:?}");

        app.park(&["evt_1"]).await;
        let parked = checked(&app.tollgate, "events").await;
        assert!(parked.health == Health::Warning && parked.message.starts_with("1 parked"), "{parked:?}");
        assert!(parked.message.contains("`tollgate events list --state parked`"), "{parked:?}");
    }

    async fn a_meter_that_is_missing_or_not_billed_is_reported(database) {
        let app = Harness::start_metered(database, CENTS_PER_CALL).await;
        for subject in ["meter api_calls", "price api_calls_month", "price api_calls_year", "billed usage"] {
            let found = checked(&app.tollgate, subject).await;
            assert_eq!(found.health, Health::Ok, "{subject}: {}", found.message);
        }
        // Archived, and then replaced by a price of another meter.
        let price = app.tollgate.gateway().find_price("api_calls_month").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let found = checked(&app.tollgate, "price api_calls_month").await;
        assert!(found.health == Health::Failed && found.message.contains("`tollgate catalog apply`"), "{found:?}");
        apply_all(app.tollgate.gateway(), app.tollgate.catalog()).await.unwrap();
        assert_eq!(checked(&app.tollgate, "price api_calls_month").await.health, Health::Ok);

        let other = meter(&app, "something_else").await;
        let of_other = priced_by(&app, "api_calls_month", &other).await;
        let found = checked(&app.tollgate, "price api_calls_month").await;
        assert!(found.health == Health::Failed && found.message.contains(&of_other), "{found:?}");
        apply_all(app.tollgate.gateway(), app.tollgate.catalog()).await.unwrap();
        assert_eq!(checked(&app.tollgate, "price api_calls_month").await.health, Health::Ok, "applying the catalog is the remedy");

        let ours = app.tollgate.gateway().meter("api_calls").await.unwrap().unwrap();
        app.stripe_makes(&format!("/v1/billing/meters/{ours}/deactivate"), &[]).await;
        let found = checked(&app.tollgate, "meter api_calls").await;
        assert!(found.health == Health::Failed && found.message.contains("`tollgate catalog apply`"), "{found:?}");
    }

    async fn a_meter_whose_price_is_managed_in_stripe_has_to_be_created_there(database) {
        let app = Harness::start_metered(database, "").await;
        let found = checked(&app.tollgate, "meter api_calls").await;
        assert_eq!(found.health, Health::Failed);
        assert!(found.message.contains("`unit`") && !found.message.contains("catalog apply"), "{found:?}");
        let other = meter(&app, "something_else").await;
        meter(&app, "api_calls").await;
        let of_other = priced_by(&app, "api_calls_month", &other).await;
        assert_eq!(checked(&app.tollgate, "meter api_calls").await.health, Health::Ok);
        let found = checked(&app.tollgate, "price api_calls_month").await;
        assert!(found.health == Health::Failed && found.message.contains(&of_other), "{found:?}");
        assert!(!found.message.contains("catalog apply"), "the price is not in plans.toml: {found:?}");
    }

    async fn overage_that_is_parked_is_reported(database) {
        let app = Harness::start_metered(database, CENTS_PER_CALL).await;
        app.paying("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        app.stop().await;
        let event = UsageEvent::new(API_CALLS, 10_005, "all of it");
        assert!(matches!(metering::record(&app.tollgate, &account, event).await.unwrap(), Recorded::Counted(_)));
        let too_late = app.idle_node(|_| {}, &Clock::manual(app.tollgate.now().plus_days(36)));
        assert_eq!(outbox::send_due(&too_late).await.unwrap(), 0);
        let found = checked(&app.tollgate, "billed usage").await;
        assert!(found.health == Health::Warning && found.message.starts_with("1 parked"), "{found:?}");
    }

    async fn a_price_that_stripe_charges_differently_is_reported(database) {
        let app = Harness::start(database).await;
        let yearly = [
            ("currency", "usd"), ("unit_amount", "2900"), ("recurring[interval]", "year"), ("product_data[name]", "Pro"),
            ("lookup_key", "tollgate_pro_month"), ("transfer_lookup_key", "true"),
        ];
        app.stripe_makes("/v1/prices", &yearly).await;
        let found = checked(&app.tollgate, "price tollgate_pro_month").await;
        assert_eq!(found.health, Health::Warning);
        assert!(found.message.contains("month") && found.message.contains("year"), "{}", found.message);
        priced_by(&app, "tollgate_pro_month", &meter(&app, "something").await).await;
        let found = checked(&app.tollgate, "price tollgate_pro_month").await;
        assert!(found.health == Health::Failed && found.message.contains("mtr_"), "{found:?}");
    }
}

#[test]
fn a_key_of_the_wrong_kind_is_reported() {
    let configured = |env, key: &str, api_base: Option<&str>| {
        let mut config = config("https://app.example.com", "sqlite:tollgate.db", "http://127.0.0.1:1");
        config.env = env;
        config.stripe.secret_key = key.into();
        config.stripe.api_base = api_base.map(|url| url.parse().unwrap());
        configuration(&config)
    };
    for (env, key) in [
        (Env::Production, "sk_test_1"),
        (Env::Production, "rk_test_1"),
        (Env::Development, "sk_live_1"),
        (Env::Development, "rk_live_1"),
    ] {
        assert_eq!(configured(env, key, None).health, Health::Warning, "{key}");
    }
    for (env, key) in [(Env::Production, "sk_live_1"), (Env::Production, "rk_live_1"), (Env::Development, "sk_test_1")]
    {
        assert_eq!(configured(env, key, None).health, Health::Ok, "{key}");
    }
    let elsewhere = configured(Env::Production, "sk_live_1", Some("http://127.0.0.1:12111"));
    assert!(elsewhere.health == Health::Warning && elsewhere.message.contains("STRIPE_API_BASE"), "{elsewhere:?}");
    assert_eq!(configured(Env::Development, "sk_test_1", Some("http://127.0.0.1:12111")).health, Health::Ok);
}

async fn checks(tollgate: &Tollgate) -> Vec<Check> {
    check(tollgate, &OperatorPermit::for_cli()).await
}

async fn checked(tollgate: &Tollgate, subject: &str) -> Check {
    let found = checks(tollgate).await.into_iter().find(|check| check.subject == subject);
    found.unwrap_or_else(|| panic!("{subject} is not checked"))
}

/// Creates a meter in Stripe.
async fn meter(app: &Harness, event_name: &str) -> String {
    let fields = [("display_name", event_name), ("event_name", event_name), ("default_aggregation[formula]", "sum")];
    app.stripe_makes("/v1/billing/meters", &fields).await
}

/// Creates a price in Stripe that bills a meter, gives it a lookup key, and returns its id.
async fn priced_by(app: &Harness, lookup_key: &str, meter: &str) -> String {
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
    app.stripe_makes("/v1/prices", &fields).await
}

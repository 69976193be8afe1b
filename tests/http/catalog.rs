//! Making Stripe sell what `plans.toml` says.

use server::assets::Assets;
use server::catalog_apply::{Change, apply, plan};
use server::clock::Clock;
use server::config::Config;
use server::{Db, Tollgate};

use crate::support::{DatabaseKind, Harness};

const PLANS: &str = include_str!("../../plans.toml");

/// The catalogue is the same on either engine: one will do.
#[tokio::test]
async fn a_second_run_changes_nothing_and_neither_does_looking() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    assert_eq!(plan(&app.tollgate).await.unwrap(), []);
    let calls = app.stripe_calls("POST", "/v1/prices");
    assert_eq!(apply(&app.tollgate).await.unwrap(), []);
    assert_eq!(app.stripe_calls("POST", "/v1/prices"), calls);
    assert_eq!(app.stripe_lists("/v1/products").await.len(), 4, "a product for each plan that is sold and each pack");
    assert_eq!(app.stripe_lists("/v1/prices").await.len(), 6);
}

#[tokio::test]
async fn a_price_that_changed_is_made_anew_and_takes_the_lookup_key() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let old = app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap().unwrap().id;
    let dearer =
        with_plans(&app, &PLANS.replace("amount = 2900\n", "amount = 3900\n").replace("\"Pro\"", "\"Professional\""))
            .await;
    let looked = plan(&dearer).await.unwrap();
    assert!(matches!(&looked[..], [Change::UpdateProduct { .. }, Change::ReplacePrice { .. }]), "{looked:?}");
    let said = looked[1].to_string();
    assert!(
        said.contains("$29") && said.contains("$39") && said.contains(old.as_str()) && said.contains("retired_prices"),
        "{said}"
    );
    assert_eq!(
        app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap().unwrap().id,
        old,
        "looking changes nothing"
    );

    assert_eq!(apply(&dearer).await.unwrap(), looked);
    assert_eq!(plan(&dearer).await.unwrap(), []);
    let new = dearer.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
    assert_ne!(new, old);
    assert!(dearer.gateway().price(&old).await.unwrap().is_none(), "the old one is off sale");
}

/// It keeps its lookup key, and Stripe remembers what was asked for when it was made.
#[tokio::test]
async fn a_price_that_somebody_took_off_sale_is_made_again_each_time() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    for _ in 0..3 {
        let old = app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{old}"), &[("active", "false")]).await;
        let applied = apply(&app.tollgate).await.unwrap();
        assert!(matches!(&applied[..], [Change::CreatePrice { .. }]), "{applied:?}");
        let new = app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap();
        assert_ne!(new.expect("it is on sale again").id, old);
        assert_eq!(plan(&app.tollgate).await.unwrap(), []);
    }
}

/// A node with other plans, in front of the same Stripe.
async fn with_plans(app: &Harness, plans: &str) -> Tollgate {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.toml");
    std::fs::write(&file, plans).unwrap();
    let database = format!("sqlite:{}/tollgate.db", folder.path().display());
    let stripe = app.sandbox.url();
    let config = Config::from_lookup(&|name| {
        Some(match name {
            "DATABASE_URL" => database.clone(),
            "STRIPE_API_BASE" => stripe.clone(),
            "STRIPE_SECRET_KEY" => "sk_test_sandbox".to_owned(),
            "STRIPE_WEBHOOK_SECRET" => "whsec_other".to_owned(),
            "TOLLGATE_PLANS" => file.display().to_string(),
            _ => return None,
        })
    });
    let config = config.unwrap();
    let db = Db::connect(&config.database_url).await.unwrap();
    Tollgate::new(config, db, Clock::system(), Assets::default()).unwrap()
}

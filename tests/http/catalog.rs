//! Applying `plans.toml` to Stripe.

use std::sync::Arc;

use billing::Catalog;
use engine::catalog::{Change, apply_all, plan};
use server::Tollgate;

use crate::support::{DatabaseKind, Harness};

const PLANS: &str = include_str!("../../plans.toml");

/// The catalog does not depend on the database, so one is enough.
#[tokio::test]
async fn a_second_run_changes_nothing_and_neither_does_a_plan() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    assert_eq!(changes(&app.tollgate).await, []);
    let calls = app.stripe_calls("POST", "/v1/prices");
    assert_eq!(applied(&app.tollgate).await, []);
    assert_eq!(app.stripe_calls("POST", "/v1/prices"), calls);
    assert_eq!(app.stripe_lists("/v1/products").await.len(), 4, "a product for each paid plan and each pack");
    assert_eq!(app.stripe_lists("/v1/prices").await.len(), 6);
}

#[tokio::test]
async fn a_changed_price_is_replaced_and_takes_over_the_lookup_key() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let old = app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap().unwrap().id;
    let plans = PLANS.replace("amount = 2900\n", "amount = 3900\n").replace("\"Pro\"", "\"Professional\"");
    let repriced = with_plans(&app, &plans);
    let planned = changes(&repriced).await;
    assert!(matches!(&planned[..], [Change::UpdateProduct { .. }, Change::ReplacePrice { .. }]), "{planned:?}");
    let text = planned[1].to_string();
    assert!(
        text.contains("$29") && text.contains("$39") && text.contains(old.as_str()) && text.contains("retired_prices"),
        "{text}"
    );
    assert_eq!(
        app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap().unwrap().id,
        old,
        "a plan changes nothing"
    );

    assert_eq!(applied(&repriced).await, planned);
    assert_eq!(changes(&repriced).await, []);
    let new = repriced.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
    assert_ne!(new, old);
    assert!(repriced.gateway().price(&old).await.unwrap().is_none(), "the old one is archived");
}

#[tokio::test]
async fn a_price_that_another_process_has_replaced_is_sold_at_the_next_click() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    let ada = app.signed_up("ada@example.com").await;
    app.open_checkout(&ada, "PRO").await;
    applied(&with_plans(&app, &PLANS.replace("amount = 2900\n", "amount = 3900\n"))).await;
    for browser in [&app.signed_up("eve@example.com").await, &ada] {
        app.open_checkout(browser, "PRO").await;
        let session = app.stripe_newest("/v1/checkout/sessions").await;
        let items = app.stripe_lists(&format!("/v1/checkout/sessions/{session}/line_items")).await;
        assert_eq!(items[0]["price"]["unit_amount"], 3900, "{items:#?}");
    }
}

/// An archived price keeps its lookup key, and Stripe remembers the request that created it.
#[tokio::test]
async fn an_archived_price_is_created_again_every_time() {
    let app = Harness::start(DatabaseKind::Sqlite).await;
    for _ in 0..3 {
        let old = app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{old}"), &[("active", "false")]).await;
        let changes_made = applied(&app.tollgate).await;
        assert!(matches!(&changes_made[..], [Change::CreatePrice(_)]), "{changes_made:?}");
        let new = app.tollgate.gateway().find_price("tollgate_pro_month").await.unwrap();
        assert_ne!(new.expect("it exists again").id, old);
        assert_eq!(changes(&app.tollgate).await, []);
    }
}

/// A node with other plans, on the same database and Stripe.
fn with_plans(app: &Harness, plans: &str) -> Tollgate {
    let catalog = Arc::new(Catalog::parse(plans, &|_| None).unwrap());
    app.idle_node(|config| config.catalog = catalog, app.tollgate.clock())
}

async fn changes(tollgate: &Tollgate) -> Vec<Change> {
    plan(tollgate.gateway(), tollgate.catalog()).await.unwrap()
}

async fn applied(tollgate: &Tollgate) -> Vec<Change> {
    apply_all(tollgate.gateway(), tollgate.catalog()).await.unwrap()
}

//! The customer portal: its API and its page.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{World, data, id, text};

const DAY: u64 = 86_400;

/// A subscription of a customer with that card, and the path of a portal session for it.
async fn open(world: &World, card: &str, trial: &[(&str, &str)], later: Duration) -> (Value, String) {
    let price = world.monthly_price().await;
    let customer = world.customer_with(card).await;
    let mut form = vec![("customer", customer.as_str()), ("items[0][price]", price.as_str())];
    form.extend(trial);
    let plan = world.post("/v1/subscriptions", &form).await.ok();
    world.sandbox.advance(later);
    let features = [
        ("features[payment_method_update][enabled]", "true"),
        ("features[invoice_history][enabled]", "true"),
        ("features[subscription_cancel][enabled]", "true"),
        ("metadata[tollgate]", "1"),
    ];
    let configuration = id(&world.post("/v1/billing_portal/configurations", &features).await.ok());
    let listed = world.get("/v1/billing_portal/configurations?active=true").await.ok();
    assert_eq!(data(&listed)[0]["metadata"]["tollgate"], "1");
    let form = [
        ("customer", customer.as_str()),
        ("configuration", &configuration),
        ("return_url", "http://app.test/billing?synced=portal"),
    ];
    let session = world.post("/v1/billing_portal/sessions", &form).await.ok();
    (plan, text(&session, "url").replace(&world.sandbox.url().to_string(), ""))
}

async fn fresh(world: &World, plan: &Value) -> Value {
    world.get(&format!("/v1/subscriptions/{}", id(plan))).await.ok()
}

#[tokio::test]
async fn cancelling_asks_first_and_can_be_undone() {
    let world = World::new().await;
    let (plan, path) = open(&world, "pm_card_visa", &[], Duration::ZERO).await;
    let shown = world.page("GET", &path, &[]).await;
    assert!(shown.body.contains("Return to app.test") && shown.body.contains("Cancel plan"), "{}", shown.body);
    let cancel = format!("{path}/cancel/{}", id(&plan));
    assert!(world.page("GET", &cancel, &[]).await.body.contains("stays as it is until"));
    assert_eq!(fresh(&world, &plan).await["cancel_at_period_end"], false, "asking changes nothing");
    assert_eq!(world.page("POST", &cancel, &[]).await.status, 303);
    assert_eq!(fresh(&world, &plan).await["cancel_at_period_end"], true);
    assert!(world.page("GET", &path, &[]).await.body.contains("Don't cancel"));
    world.page("POST", &format!("{path}/resume/{}", id(&plan)), &[]).await;
    assert_eq!(fresh(&world, &plan).await["cancel_at_period_end"], false);
}

#[tokio::test]
async fn a_new_card_pays_what_is_past_due() {
    let world = World::new().await;
    let trial = [("trial_period_days", "1")];
    let (plan, path) = open(&world, "pm_card_chargeCustomerFail", &trial, Duration::from_secs(DAY + 60)).await;
    assert_eq!(fresh(&world, &plan).await["status"], "past_due");
    assert!(world.page("GET", &path, &[]).await.body.contains("Pay $19.00 now"));
    let pay = format!("{path}/pay/{}", text(&fresh(&world, &plan).await, "latest_invoice"));
    assert_eq!(world.page("POST", &pay, &[]).await.status, 402, "the old card is still refused");
    let typed = [("number", "4242424242424242"), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada")];
    assert_eq!(world.page("POST", &path, &typed).await.status, 303);
    let mark = world.event_types().await.len();
    assert_eq!(world.page("POST", &pay, &[]).await.status, 303);
    assert_eq!(fresh(&world, &plan).await["status"], "active");
    let told = world.events_since(mark).await;
    assert_eq!(told.first().map(String::as_str), Some("charge.succeeded"));
    assert_eq!(told.last().map(String::as_str), Some("customer.subscription.updated"));
}

#[tokio::test]
async fn a_refused_card_changes_nothing_and_a_link_lasts_an_hour() {
    let world = World::new().await;
    let (_, path) = open(&world, "pm_card_visa", &[], Duration::ZERO).await;
    let typed = [("number", "4000000000000002"), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada")];
    let refused = world.page("POST", &path, &typed).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("visa ending in 4242") && !refused.body.contains("4000000000000002\""));
    world.sandbox.advance(Duration::from_secs(3_600));
    assert_eq!(world.page("GET", &path, &[]).await.status, 410);
}

#[tokio::test]
async fn what_the_portal_cannot_do_is_refused() {
    let world = World::new().await;
    let customer = world.customer_with("pm_card_visa").await;
    let form = [("customer", customer.as_str()), ("flow_data[type]", "payment_method_update")];
    world.post("/v1/billing_portal/sessions", &form).await.refused(400, "sandbox_unsupported");
    world.post("/v1/billing_portal/sessions", &[("customer", &customer)]).await.refused(400, "");
}

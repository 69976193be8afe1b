//! Billing Meters: reporting usage, rejecting invalid usage, billing.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{World, data, id, text};

const DAY: u64 = 86_400;

async fn meter(world: &World) -> String {
    let form = [("display_name", "API calls"), ("event_name", "api_calls"), ("default_aggregation[formula]", "sum")];
    id(&world.post("/v1/billing/meters", &form).await.ok())
}

fn event<'a>(customer: &'a str, value: &'a str, identifier: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("event_name", "api_calls"),
        ("payload[stripe_customer_id]", customer),
        ("payload[value]", value),
        ("identifier", identifier),
    ]
}

#[tokio::test]
async fn usage_counts_once_and_is_billed_at_the_end_of_the_period() {
    let world = World::new().await;
    let meter = meter(&world).await;
    let form = [
        ("currency", "usd"),
        ("unit_amount_decimal", "0.25"),
        ("product_data[name]", "API calls"),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
        ("recurring[meter]", &meter),
    ];
    let price = world.post("/v1/prices", &form).await.ok();
    assert_eq!((&price["unit_amount"], &price["unit_amount_decimal"]), (&json!(null), &json!("0.25")));
    let customer = world.customer_with("pm_card_visa").await;
    let form = [("customer", customer.as_str()), ("items[0][price]", &id(&price))];
    let made = world.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(made["status"], "active");
    assert!(made["items"]["data"][0].get("quantity").is_none());

    let reported = world.post("/v1/billing/meter_events", &event(&customer, "1000", "a")).await.ok();
    assert_eq!((&reported["identifier"], reported.get("id")), (&json!("a"), None));
    let again = world.post("/v1/billing/meter_events", &event(&customer, "1000", "a")).await;
    let error = again.rejected(400, "duplicate_meter_event");
    assert_eq!(error["message"], "An event already exists with identifier a.");
    world.post("/v1/billing/meter_events", &event(&customer, "200", "b")).await.ok();
    world.post("/v1/billing/meter_events", &event(&customer, "7", "wrong")).await.ok();
    let form = [("type", "cancel"), ("event_name", "api_calls"), ("cancel[identifier]", "wrong")];
    world.post("/v1/billing/meter_event_adjustments", &form).await.ok();

    world.sandbox.advance(Duration::from_secs(32 * DAY));
    let path = format!("/v1/subscriptions/{}?expand[]=latest_invoice", id(&made));
    let invoice = world.get(&path).await.ok()["latest_invoice"].clone();
    assert_eq!((&invoice["amount_paid"], &invoice["lines"]["data"][0]["quantity"]), (&json!(300), &json!(1_200)));
    world.sandbox.advance(Duration::from_secs(32 * DAY));
    assert_eq!(world.get(&path).await.ok()["latest_invoice"]["amount_due"], 0, "nothing is billed twice");
}

#[tokio::test]
async fn invalid_usage_is_rejected() {
    let world = World::new().await;
    let meter = meter(&world).await;
    let customer = world.customer_with("pm_card_visa").await;
    let report = async |change: &[(&str, &str)]| {
        let mut form = event(&customer, "1", "x").to_vec();
        for (name, value) in change {
            form.retain(|(known, _)| known != name);
            form.push((*name, *value));
        }
        world.post("/v1/billing/meter_events", &form).await
    };
    let now = world.sandbox.now();
    let (old, early) = ((now - 36 * 86_400).to_string(), (now + 400).to_string());
    for (change, code) in [
        (("event_name", "nothing"), "no_meter"),
        (("payload[stripe_customer_id]", "cus_none"), "meter_event_customer_not_found"),
        (("payload[value]", "1.5"), "meter_event_invalid_value"),
        (("timestamp", old.as_str()), "timestamp_too_far_in_past"),
        (("timestamp", early.as_str()), "timestamp_in_future"),
    ] {
        report(&[change]).await.rejected(400, code);
    }
    world.post(&format!("/v1/billing/meters/{meter}/deactivate"), &[]).await.ok();
    report(&[]).await.rejected(400, "archived_meter");
    world.post(&format!("/v1/billing/meters/{meter}/reactivate"), &[]).await.ok();
    report(&[]).await.ok();
    world.sandbox.advance(Duration::from_secs(DAY + 1));
    report(&[]).await.ok();
}

#[tokio::test]
async fn usage_reports_for_one_customer_and_meter_must_not_overlap() {
    let world = World::new().await;
    meter(&world).await;
    let (ada, bob) = (world.customer_with("pm_card_visa").await, world.customer_with("pm_card_visa").await);
    let report = async |customer: &str, identifier: &str| {
        world.post("/v1/billing/meter_events", &event(customer, "1", identifier)).await
    };
    let held = world.sandbox.hold_calls("POST", "/v1/billing/meter_events");
    let meanwhile = async {
        held.arrived().await;
        let second = report(&ada, "2").await;
        let other = async {
            held.calls_arrived(2).await;
            held.open();
        };
        (second, tokio::join!(report(&bob, "3"), other).0)
    };
    let (first, (second, other)) = tokio::join!(report(&ada, "1"), meanwhile);
    assert_eq!([first.status, second.status, other.status], [200, 429, 200]);
    report(&ada, "4").await.ok();
}

#[tokio::test]
async fn usage_is_summed_by_day() {
    let world = World::new().await;
    let meter = meter(&world).await;
    let customer = world.customer_with("pm_card_visa").await;
    world.post("/v1/billing/meter_events", &event(&customer, "3", "a")).await.ok();
    world.sandbox.advance(Duration::from_secs(DAY));
    world.post("/v1/billing/meter_events", &event(&customer, "4", "b")).await.ok();
    let start = world.sandbox.now() / 86_400 * 86_400 - 86_400;
    let query = |more: &str| format!("customer={customer}&start_time={start}&end_time={}{more}", start + 2 * 86_400);
    let path = format!("/v1/billing/meters/{meter}/event_summaries");
    let whole = world.get(&format!("{path}?{}", query(""))).await.ok();
    assert_eq!(data(&whole)[0]["aggregated_value"], 7);
    let days = world.get(&format!("{path}?{}", query("&value_grouping_window=day"))).await.ok();
    let values: Vec<_> = data(&days).iter().map(|day| day["aggregated_value"].as_i64()).collect();
    assert_eq!(values, [Some(4), Some(3)], "newest first");
    let misaligned = format!("{path}?customer={customer}&start_time=61&end_time=120");
    assert_eq!(text(&world.get(&misaligned).await.rejected(400, ""), "param"), "start_time");
}

//! The billing cycle: dunning, sent invoices, pauses, schedules and pending updates.

mod support;

use std::time::Duration;

use sandbox::AfterLastRetry;
use serde_json::{Value, json};
use support::{World, data, id, text};

const DAY: u64 = 86_400;

async fn subscribe(world: &World, card: &str, more: &[(&str, &str)]) -> Value {
    let price = world.monthly_price().await;
    let customer = world.customer_with(card).await;
    let mut form = vec![("customer", customer.as_str()), ("items[0][price]", price.as_str())];
    form.extend(more);
    world.post("/v1/subscriptions", &form).await.ok()
}

async fn fresh(world: &World, subscription: &Value) -> Value {
    world.get(&format!("/v1/subscriptions/{}?expand[]=latest_invoice", id(subscription))).await.ok()
}

async fn update(world: &World, subscription: &Value, form: &[(&str, &str)]) -> Value {
    world.post(&format!("/v1/subscriptions/{}", id(subscription)), form).await.ok()
}

/// Attaches another card and makes it the default of a subscription.
async fn change_card(world: &World, subscription: &Value, card: &str) {
    let form = [("customer", &*text(subscription, "customer"))];
    let method = id(&world.post(&format!("/v1/payment_methods/{card}/attach"), &form).await.ok());
    update(world, subscription, &[("default_payment_method", &method)]).await;
}

#[tokio::test]
async fn the_settings_determine_the_status_after_the_last_retry() {
    let world = World::new().await;
    for (then, status) in [
        (AfterLastRetry::Cancel, "canceled"),
        (AfterLastRetry::Unpaid, "unpaid"),
        (AfterLastRetry::PastDue, "past_due"),
        (AfterLastRetry::Pause, "paused"),
    ] {
        world.sandbox.after_last_retry(then);
        let made = subscribe(&world, "pm_card_chargeCustomerFail", &[("trial_period_days", "1")]).await;
        world.sandbox.advance(Duration::from_secs(20 * DAY));
        let now = fresh(&world, &made).await;
        assert_eq!(now["status"], status);
        let paused =
            json!({ "paused": { "subscription": { "type": "final_payment_failure" }, "type": "subscription" } });
        assert_eq!(now["status_details"], if status == "paused" { paused } else { json!(null) });
        assert_eq!(now["latest_invoice"]["attempt_count"], 4);
        assert_eq!(now["latest_invoice"]["next_payment_attempt"], json!(null));
    }
}

#[tokio::test]
async fn an_unpaid_subscription_collects_drafts_until_one_is_paid() {
    let world = World::new().await;
    world.sandbox.after_last_retry(AfterLastRetry::Unpaid);
    let made = subscribe(&world, "pm_card_chargeCustomerFail", &[("trial_period_days", "1")]).await;
    world.sandbox.advance(Duration::from_secs(40 * DAY));
    let unpaid = fresh(&world, &made).await;
    assert_eq!((&unpaid["status"], &unpaid["latest_invoice"]["status"]), (&json!("unpaid"), &json!("draft")));
    change_card(&world, &made, "pm_card_visa").await;
    let draft = id(&unpaid["latest_invoice"]);
    world.post(&format!("/v1/invoices/{draft}/pay"), &[]).await.ok();
    assert_eq!(fresh(&world, &made).await["status"], "active");
}

#[tokio::test]
async fn a_failed_renewal_sends_all_events_in_order() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    world.sandbox.decline_next_charges(&text(&made, "customer"), 1);
    let mark = world.event_types().await.len();
    world.sandbox.control("POST clock/next", &[("change", "renewal")]).expect("advances");
    assert_eq!(fresh(&world, &made).await["status"], "past_due");
    assert_eq!(
        world.events_since(mark).await,
        [
            "customer.subscription.updated",
            "invoice.created",
            "invoice.finalized",
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed",
            "invoice.updated",
            "invoice.payment_failed",
            "customer.updated",
            "customer.subscription.updated",
        ]
    );
    world.sandbox.control("POST clock/next", &[("change", "retry")]).expect("advances");
    let now = fresh(&world, &made).await;
    assert_eq!((&now["status"], &now["latest_invoice"]["attempt_count"]), (&json!("active"), &json!(2)));
    let customer = world.get(&format!("/v1/customers/{}", text(&made, "customer"))).await.ok();
    assert_eq!(customer["delinquent"], false);
}

#[tokio::test]
async fn renewal_invoices_stay_drafts_for_the_configured_time() {
    let world = World::new().await;
    world.sandbox.control("POST settings", &[("draft_seconds", "3600")]).expect("sets");
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    assert_eq!(
        fresh(&world, &made).await["latest_invoice"]["status"],
        "paid",
        "the first invoice is finalized immediately"
    );
    world.sandbox.control("POST clock/next", &[("change", "renewal")]).expect("advances");
    let now = fresh(&world, &made).await;
    assert_eq!((&now["status"], &now["latest_invoice"]["status"]), (&json!("active"), &json!("draft")));
    assert!(now["latest_invoice"]["automatically_finalizes_at"].is_i64());
    world.sandbox.advance(Duration::from_secs(3_601));
    assert_eq!(fresh(&world, &made).await["latest_invoice"]["status"], "paid");
}

#[tokio::test]
async fn a_sent_invoice_is_past_due_after_its_due_date() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = id(&world.post("/v1/customers", &[("email", "ada@example.com")]).await.ok());
    let mut form =
        vec![("customer", customer.as_str()), ("items[0][price]", &price), ("collection_method", "send_invoice")];
    world.post("/v1/subscriptions", &form).await.rejected(400, "parameter_missing");
    form.push(("days_until_due", "7"));
    let mark = world.event_types().await.len();
    let made = world.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(made["status"], "active");
    assert_eq!(world.events_since(mark).await.last().map(String::as_str), Some("invoice.sent"));
    world.sandbox.advance(Duration::from_secs(8 * DAY));
    let now = fresh(&world, &made).await;
    assert_eq!((&now["status"], &now["latest_invoice"]["status"]), (&json!("past_due"), &json!("open")));
    let path = format!("/v1/invoices/{}/pay", id(&now["latest_invoice"]));
    world.post(&path, &[("paid_out_of_band", "true")]).await.ok();
    assert_eq!(fresh(&world, &made).await["status"], "active");
}

#[tokio::test]
async fn a_subscription_paused_after_its_trial_resumes_when_paid() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = id(&world.post("/v1/customers", &[]).await.ok());
    let form = [
        ("customer", customer.as_str()),
        ("items[0][price]", &price),
        ("trial_period_days", "1"),
        ("trial_settings[end_behavior][missing_payment_method]", "pause"),
    ];
    let made = world.post("/v1/subscriptions", &form).await.ok();
    let resume = format!("/v1/subscriptions/{}/resume", id(&made));
    world.post(&resume, &[]).await.rejected(400, "");
    world.sandbox.advance(Duration::from_secs(2 * DAY));
    assert_eq!(fresh(&world, &made).await["status"], "paused");
    change_card(&world, &made, "pm_card_visa").await;
    let mark = world.event_types().await.len();
    assert_eq!(world.post(&resume, &[]).await.ok()["status"], "active");
    let events = world.events_since(mark).await;
    assert_eq!(events.last().map(String::as_str), Some("customer.subscription.resumed"), "{events:?}");
    let now = fresh(&world, &made).await;
    assert_eq!(now["items"]["data"][0]["current_period_start"].as_i64(), now["latest_invoice"]["created"].as_i64());
}

#[tokio::test]
async fn collection_can_be_paused_in_three_ways() {
    let world = World::new().await;
    for (behavior, status) in [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")] {
        let made = subscribe(&world, "pm_card_visa", &[]).await;
        let until = (world.sandbox.now() + 40 * 86_400).to_string();
        let form = [("pause_collection[behavior]", behavior), ("pause_collection[resumes_at]", &until)];
        assert_eq!(update(&world, &made, &form).await["status"], "active");
        world.sandbox.advance(Duration::from_secs(32 * DAY));
        let now = fresh(&world, &made).await;
        assert_eq!((&now["status"], &now["latest_invoice"]["status"]), (&json!("active"), &json!(status)));
        world.sandbox.advance(Duration::from_secs(31 * DAY));
        let later = fresh(&world, &made).await;
        assert_eq!((&later["pause_collection"], &later["latest_invoice"]["status"]), (&json!(null), &json!("paid")));
    }
}

#[tokio::test]
async fn a_pending_update_is_applied_when_paid_and_expires_otherwise() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let upgrade = world.price("4900", Some("month")).await;
    let item = id(&made["items"]["data"][0]);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", &upgrade),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "pending_if_incomplete"),
    ];
    change_card(&world, &made, "pm_card_chargeCustomerFail").await;
    let pending = update(&world, &made, &form).await;
    assert_eq!(pending["items"]["data"][0]["price"]["unit_amount"], 1_900, "the old plan is kept");
    assert_eq!(pending["pending_update"]["subscription_items"][0]["price"]["id"], upgrade.as_str());
    world.sandbox.advance(Duration::from_secs(DAY));
    let forgotten = fresh(&world, &made).await;
    assert_eq!(forgotten["pending_update"], json!(null));
    assert_eq!(forgotten["latest_invoice"]["status"], "void");

    update(&world, &made, &form).await;
    let invoice = text(&fresh(&world, &made).await["latest_invoice"], "id");
    let path = format!("/v1/invoices/{invoice}/pay");
    world.post(&path, &[("payment_method", "pm_card_visa")]).await.ok();
    let applied = fresh(&world, &made).await;
    assert_eq!(applied["items"]["data"][0]["price"]["id"], upgrade.as_str());
    assert_eq!(applied["pending_update"], json!(null));
    let events = world.event_types().await;
    for kind in ["pending_update_expired", "pending_update_applied"] {
        assert!(events.contains(&format!("customer.subscription.{kind}")), "{kind}");
    }
    let mut more = form.to_vec();
    more.push(("metadata[a]", "1"));
    world.post(&format!("/v1/subscriptions/{}", id(&made)), &more).await.rejected(400, "");
}

#[tokio::test]
async fn a_scheduled_downgrade_waits_for_the_end_of_the_period() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let downgrade = world.price("900", Some("month")).await;
    let schedule = world.post("/v1/subscription_schedules", &[("from_subscription", &id(&made))]).await.ok();
    assert_eq!((&schedule["status"], &schedule["subscription"]), (&json!("active"), &made["id"]));
    assert_eq!(fresh(&world, &made).await["schedule"], schedule["id"]);
    let phase = &schedule["phases"][0];
    let moment = |field: &str| phase[field].as_i64().expect("a timestamp").to_string();
    let (start, end) = (moment("start_date"), moment("end_date"));
    let path = format!("/v1/subscription_schedules/{}", id(&schedule));
    let form = [
        ("phases[0][items][0][price]", text(&phase["items"][0], "price")),
        ("phases[0][start_date]", start),
        ("phases[0][end_date]", end),
        ("phases[1][items][0][price]", downgrade.clone()),
        ("phases[1][iterations]", "1".to_owned()),
        ("phases[1][proration_behavior]", "none".to_owned()),
        ("end_behavior", "release".to_owned()),
    ];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.post(&path, &form).await.ok();
    assert_eq!(fresh(&world, &made).await["items"]["data"][0]["price"]["unit_amount"], 1_900);
    let rejected = world.post(&format!("/v1/subscriptions/{}", id(&made)), &[("cancel_at_period_end", "true")]).await;
    rejected.rejected(400, "");

    world.sandbox.advance(Duration::from_secs(32 * DAY));
    let after = fresh(&world, &made).await;
    assert_eq!(after["items"]["data"][0]["price"]["id"], downgrade.as_str());
    assert_eq!(after["items"]["data"][0]["id"], made["items"]["data"][0]["id"], "the item keeps its id");
    assert_eq!(after["latest_invoice"]["amount_paid"], 900, "only the new price is billed");
    world.sandbox.advance(Duration::from_secs(32 * DAY));
    assert_eq!(world.get(&path).await.ok()["status"], "completed");
    let released = fresh(&world, &made).await;
    assert_eq!((&released["schedule"], &released["status"]), (&json!(null), &json!("active")));
}

#[tokio::test]
async fn a_schedule_can_be_released_canceled_and_started_later() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let from = [("from_subscription", &*id(&made))];
    let schedule = id(&world.post("/v1/subscription_schedules", &from).await.ok());
    let twice = world.post("/v1/subscription_schedules", &from).await;
    twice.rejected(400, "");
    let path = format!("/v1/subscription_schedules/{schedule}");
    let released = world.post(&format!("{path}/release"), &[]).await.ok();
    assert_eq!((&released["status"], &released["released_subscription"]), (&json!("released"), &made["id"]));
    assert_eq!(fresh(&world, &made).await["schedule"], json!(null));

    let again = id(&world.post("/v1/subscription_schedules", &from).await.ok());
    let canceled = world.post(&format!("/v1/subscription_schedules/{again}/cancel"), &[]).await.ok();
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(fresh(&world, &made).await["status"], "canceled");

    let price = world.monthly_price().await;
    let later = (world.sandbox.now() + 86_400).to_string();
    let form = [
        ("customer", &*text(&made, "customer")),
        ("start_date", &later),
        ("phases[0][items][0][price]", &price),
        ("phases[0][iterations]", "2"),
        ("end_behavior", "cancel"),
    ];
    let schedule = world.post("/v1/subscription_schedules", &form).await.ok();
    assert_eq!(schedule["status"], "not_started");
    world.sandbox.advance(Duration::from_secs(2 * DAY));
    let path = format!("/v1/subscription_schedules/{}?expand[]=subscription", id(&schedule));
    let begun = world.get(&path).await.ok();
    assert_eq!((&begun["status"], &begun["subscription"]["status"]), (&json!("active"), &json!("active")));
    world.sandbox.advance(Duration::from_secs(70 * DAY));
    let ended = world.get(&path).await.ok();
    assert_eq!((&ended["status"], &ended["subscription"]["status"]), (&json!("completed"), &json!("canceled")));
    let invoices = world.get(&format!("/v1/invoices?subscription={}", id(&ended["subscription"]))).await.ok();
    assert_eq!(data(&invoices).len(), 2, "two periods, no third");
}

#[tokio::test]
async fn prorations_are_pending_items_until_the_next_invoice() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let upgrade = world.price("4900", Some("month")).await;
    world.sandbox.advance(Duration::from_secs(10 * DAY));
    let form = [("items[0][id]", &*id(&made["items"]["data"][0])), ("items[0][price]", &upgrade)];
    update(&world, &made, &form).await;
    let path = format!("/v1/invoiceitems?customer={}&pending=true", text(&made, "customer"));
    let pending = world.get(&path).await.ok();
    let amounts: Vec<i64> = data(&pending).iter().filter_map(|item| item["amount"].as_i64()).collect();
    assert!(amounts.len() == 2 && amounts[0] > 0 && amounts[1] < 0, "{amounts:?}");
    assert_eq!(data(&pending)[0]["parent"]["subscription_details"]["subscription"], made["id"]);
    world.sandbox.advance(Duration::from_secs(25 * DAY));
    let invoice = fresh(&world, &made).await["latest_invoice"].clone();
    assert_eq!(invoice["amount_paid"].as_i64(), Some(4_900 + amounts.iter().sum::<i64>()));
    assert!(data(&world.get(&path).await.ok()).is_empty());
}

#[tokio::test]
async fn canceling_with_proration_credits_the_unused_time() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let path = format!("/v1/subscriptions/{}?invoice_now=true&prorate=true", id(&made));
    world.delete(&path).await.ok();
    let customer = world.get(&format!("/v1/customers/{}", text(&made, "customer"))).await.ok();
    let balance = customer["balance"].as_i64().expect("a balance");
    assert!((-1_900..=-1_899).contains(&balance), "the whole month is credited: {balance}");

    let other = subscribe(&world, "pm_card_visa", &[]).await;
    world.delete(&format!("/v1/subscriptions/{}?prorate=true", id(&other))).await.ok();
    let pending = format!("/v1/invoiceitems?customer={}&pending=true", text(&other, "customer"));
    assert_eq!(data(&world.get(&pending).await.ok()).len(), 1, "without an invoice the credit stays pending");
}

#[tokio::test]
async fn a_canceled_subscription_is_no_longer_collected() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_chargeCustomerFail", &[("trial_period_days", "1")]).await;
    world.sandbox.advance(Duration::from_secs(2 * DAY));
    let invoice = format!("/v1/invoices/{}", id(&fresh(&world, &made).await["latest_invoice"]));
    world.delete(&format!("/v1/subscriptions/{}", id(&made))).await.ok();
    let left = world.get(&invoice).await.ok();
    assert_eq!((&left["status"], &left["next_payment_attempt"]), (&json!("open"), &json!(null)));
    world.sandbox.advance(Duration::from_secs(20 * DAY));
    assert_eq!(world.get(&invoice).await.ok()["attempt_count"], 1);
}

#[tokio::test]
async fn an_invoice_can_be_marked_uncollectible_voided_and_found_by_its_payment() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_chargeCustomerFail", &[("trial_period_days", "1")]).await;
    world.sandbox.advance(Duration::from_secs(2 * DAY));
    let invoice = id(&fresh(&world, &made).await["latest_invoice"]);
    let payments = world.get(&format!("/v1/invoice_payments?invoice={invoice}")).await.ok();
    let payment = &data(&payments)[0];
    assert_eq!((payment["status"].as_str(), payment["is_default"].as_bool()), (Some("open"), Some(true)));
    let intent = text(&payment["payment"], "payment_intent");
    let query = format!("payment[type]=payment_intent&payment[payment_intent]={intent}");
    let found = world.get(&format!("/v1/invoice_payments?{query}")).await.ok();
    assert_eq!(data(&found)[0]["invoice"], invoice.as_str());

    let path = format!("/v1/invoices/{invoice}/mark_uncollectible");
    assert_eq!(world.post(&path, &[]).await.ok()["status"], "uncollectible");
    assert_eq!(fresh(&world, &made).await["status"], "active", "an uncollectible invoice is not owed");
    assert_eq!(world.post(&format!("/v1/invoices/{invoice}/void"), &[]).await.ok()["status"], "void");
    assert_eq!(world.get(&format!("/v1/payment_intents/{intent}")).await.ok()["status"], "canceled");
    let counted = async |query: &str| {
        let list = format!("/v1/invoices?customer={}&{query}", text(&made, "customer"));
        data(&world.get(&list).await.ok()).len()
    };
    assert_eq!([counted("status=void").await, counted("status=paid").await], [1, 1]);
}

#[tokio::test]
async fn items_can_be_added_changed_and_removed() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let seat = world.price("300", Some("month")).await;
    let form = [("subscription", &*id(&made)), ("price", &seat), ("quantity", "2")];
    let item = world.post("/v1/subscription_items", &form).await.ok();
    let path = format!("/v1/subscription_items/{}", id(&item));
    assert_eq!(world.post(&path, &[("quantity", "5")]).await.ok()["quantity"], 5);
    let list = format!("/v1/subscription_items?subscription={}", id(&made));
    assert_eq!(data(&world.get(&list).await.ok()).len(), 2);
    world.sandbox.advance(Duration::from_secs(32 * DAY));
    let lines = &fresh(&world, &made).await["latest_invoice"]["lines"]["data"];
    assert!(lines.as_array().expect("lines").iter().any(|line| line["amount"] == 1_500));
    assert_eq!(world.delete(&path).await.ok()["deleted"], true);
    assert_eq!(data(&world.get(&list).await.ok()).len(), 1);
    world.get(&path).await.rejected(404, "resource_missing");
}

#[tokio::test]
async fn subscriptions_can_be_found_by_every_filter() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    subscribe(&world, "pm_card_visa", &[("trial_period_days", "7")]).await;
    let price = text(&made["items"]["data"][0]["price"], "id");
    let found = async |query: &str| {
        let list = world.get(&format!("/v1/subscriptions?{query}")).await.ok();
        data(&list).iter().map(id).collect::<Vec<_>>()
    };
    for query in [
        "status=active".to_owned(),
        format!("price={price}"),
        format!("customer={}", text(&made, "customer")),
        format!("created[lte]={}&status=active&limit=1&expand[]=data.latest_invoice", world.sandbox.now()),
    ] {
        assert_eq!(found(&query).await, [id(&made)], "{query}");
    }
    assert!(found("created[gt]=4000000000").await.is_empty());
}

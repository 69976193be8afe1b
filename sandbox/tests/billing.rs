//! The life of a subscription: first payment, changes, renewals, dunning, cancellation.

mod support;

use serde_json::{Value, json};
use std::time::Duration;
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

fn period(subscription: &Value) -> (i64, i64) {
    let item = &subscription["items"]["data"][0];
    let at = |key: &str| item[key].as_i64().expect("a timestamp");
    (at("current_period_start"), at("current_period_end"))
}

#[tokio::test]
async fn a_failed_first_payment_is_incomplete() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_chargeCustomerFail", &[]).await;
    assert_eq!(made["status"], "incomplete");
    assert_eq!(fresh(&world, &made).await["latest_invoice"]["status"], "open");

    let path = format!("/v1/invoices/{}/pay", text(&made, "latest_invoice"));
    world.post(&path, &[]).await.rejected(402, "card_declined");
    world.post(&path, &[("payment_method", "pm_card_visa")]).await.ok();
    assert_eq!(fresh(&world, &made).await["status"], "active");

    let late = subscribe(&world, "pm_card_chargeCustomerFail", &[]).await;
    world.sandbox.advance(Duration::from_secs(DAY));
    let late = fresh(&world, &late).await;
    assert_eq!(
        (late["status"].as_str(), late["latest_invoice"]["status"].as_str()),
        (Some("incomplete_expired"), Some("void"))
    );
}

#[tokio::test]
async fn error_if_incomplete_rolls_everything_back() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = world.customer_with("pm_card_chargeCustomerFail").await;
    let mark = world.event_types().await.len();
    let form =
        [("customer", customer.as_str()), ("items[0][price]", &price), ("payment_behavior", "error_if_incomplete")];
    world.post("/v1/subscriptions", &form).await.rejected(402, "card_declined");
    assert!(world.events_since(mark).await.is_empty());
    assert!(data(&world.get("/v1/subscriptions?status=all").await.ok()).is_empty());
}

#[tokio::test]
async fn a_jump_over_several_months_bills_each_month() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    world.sandbox.advance(Duration::from_secs(95 * DAY));
    let now = fresh(&world, &made).await;
    let (start, end) = period(&now);
    assert!(start <= world.sandbox.now() && world.sandbox.now() < end);
    let invoices = world.get(&format!("/v1/invoices?subscription={}", id(&made))).await.ok();
    assert_eq!(data(&invoices).len(), 4);
    assert!(data(&invoices).iter().all(|invoice| invoice["status"] == "paid"));
    assert_eq!(data(&invoices)[0]["created"].as_i64(), Some(start), "billed when due");
    assert_eq!(data(&invoices)[0]["billing_reason"], "subscription_cycle");
}

#[tokio::test]
async fn the_end_of_a_trial_is_announced_and_billed() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[("trial_period_days", "14")]).await;
    assert_eq!(made["status"], "trialing");
    world.sandbox.advance(Duration::from_secs(12 * DAY));
    assert_eq!(world.event_types().await.last().map(String::as_str), Some("customer.subscription.trial_will_end"));
    world.sandbox.advance(Duration::from_secs(3 * DAY));
    let now = fresh(&world, &made).await;
    assert_eq!(now["status"], "active");
    assert_eq!(now["latest_invoice"]["amount_paid"], 1_900);
}

#[tokio::test]
async fn a_failed_renewal_is_past_due_until_the_last_retry_cancels_it() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_chargeCustomerFail", &[("trial_period_days", "1")]).await;
    world.sandbox.advance(Duration::from_secs(DAY + 60));
    let now = fresh(&world, &made).await;
    assert_eq!(now["status"], "past_due");
    assert!(now["latest_invoice"]["next_payment_attempt"].is_i64());
    world.sandbox.advance(Duration::from_secs(20 * DAY));
    let now = fresh(&world, &made).await;
    assert_eq!(now["status"], "canceled");
    assert_eq!(now["cancellation_details"]["reason"], "payment_failed");
    assert_eq!(now["latest_invoice"]["attempt_count"], 4);
}

#[tokio::test]
async fn a_new_card_saves_a_past_due_subscription() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_chargeCustomerFail", &[("trial_period_days", "1")]).await;
    world.sandbox.advance(Duration::from_secs(DAY + 60));
    let customer = text(&made, "customer");
    let method = id(&world.post("/v1/payment_methods/pm_card_visa/attach", &[("customer", &customer)]).await.ok());
    world
        .post(&format!("/v1/customers/{customer}"), &[("invoice_settings[default_payment_method]", &method)])
        .await
        .ok();
    world.sandbox.advance(Duration::from_secs(4 * DAY));
    assert_eq!(fresh(&world, &made).await["status"], "active");
}

#[tokio::test]
async fn a_subscription_canceled_at_period_end_runs_until_then() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let path = format!("/v1/subscriptions/{}", id(&made));
    let set = world.post(&path, &[("cancel_at_period_end", "true")]).await.ok();
    assert_eq!((set["status"].as_str(), set["cancel_at"].as_i64()), (Some("active"), Some(period(&set).1)));
    let back = world.post(&path, &[("cancel_at_period_end", "false")]).await.ok();
    assert_eq!((&back["cancel_at"], &back["canceled_at"]), (&json!(null), &json!(null)));
    world.post(&path, &[("cancel_at_period_end", "true")]).await.ok();
    world.sandbox.advance(Duration::from_secs(32 * DAY));
    let ended = fresh(&world, &made).await;
    assert_eq!((ended["status"].as_str(), ended["ended_at"].as_i64()), (Some("canceled"), Some(period(&set).1)));
    let invoices = world.get(&format!("/v1/invoices?subscription={}", id(&made))).await.ok();
    assert_eq!(data(&invoices).len(), 1, "not billed again");
}

#[tokio::test]
async fn a_subscription_canceled_immediately_is_hidden_from_lists() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let path = format!("/v1/subscriptions/{}", id(&made));
    assert_eq!(world.delete(&path).await.ok()["status"], "canceled");
    assert_eq!(world.delete(&path).await.status, 404);
    assert_eq!(world.event_types().await.last().map(String::as_str), Some("customer.subscription.deleted"));
    let count = async |query: &str| data(&world.get(&format!("/v1/subscriptions{query}")).await.ok()).len();
    assert_eq!([count("").await, count("?status=all").await, count("?status=canceled").await], [0, 1, 1]);
}

#[tokio::test]
async fn a_preview_agrees_with_the_charge() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let upgrade = world.price("4900", Some("month")).await;
    let item = id(&made["items"]["data"][0]);
    world.sandbox.advance(Duration::from_secs(10 * DAY));
    let date = world.sandbox.now().to_string();
    let subscription = id(&made);
    let preview = world
        .post(
            "/v1/invoices/create_preview",
            &[
                ("subscription", subscription.as_str()),
                ("subscription_details[items][0][id]", &item),
                ("subscription_details[items][0][price]", &upgrade),
                ("subscription_details[proration_behavior]", "always_invoice"),
                ("subscription_details[proration_date]", &date),
            ],
        )
        .await
        .ok();
    let due = preview["amount_due"].as_i64().expect("an amount");
    assert!((1_900..2_100).contains(&due), "two thirds of $30: {due}");

    let changed = world
        .post(
            &format!("/v1/subscriptions/{subscription}"),
            &[
                ("items[0][id]", item.as_str()),
                ("items[0][price]", &upgrade),
                ("proration_behavior", "always_invoice"),
                ("proration_date", &date),
                ("payment_behavior", "error_if_incomplete"),
                ("expand[]", "latest_invoice"),
            ],
        )
        .await
        .ok();
    assert_eq!(changed["items"]["data"][0]["price"]["id"], upgrade.as_str());
    assert_eq!(changed["latest_invoice"]["amount_paid"].as_i64(), Some(due));
    assert_eq!(changed["latest_invoice"]["lines"]["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(period(&changed), period(&made), "the period does not change");
}

#[tokio::test]
async fn a_failed_upgrade_keeps_the_old_plan() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let customer = text(&made, "customer");
    let bad =
        id(&world.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &[("customer", &customer)]).await.ok());
    let path = format!("/v1/subscriptions/{}", id(&made));
    world.post(&path, &[("default_payment_method", &bad)]).await.ok();
    let before = fresh(&world, &made).await;
    let upgrade = world.price("4900", Some("month")).await;
    let item = id(&made["items"]["data"][0]);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", &upgrade),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "error_if_incomplete"),
    ];
    world.post(&path, &form).await.rejected(402, "card_declined");
    assert_eq!(fresh(&world, &made).await, before);
}

#[tokio::test]
async fn changing_the_interval_starts_a_new_period() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let yearly = world.price("19000", Some("year")).await;
    let item = id(&made["items"]["data"][0]);
    let path = format!("/v1/subscriptions/{}", id(&made));
    let changed = world
        .post(&path, &[("items[0][id]", item.as_str()), ("items[0][price]", &yearly), ("expand[]", "latest_invoice")])
        .await
        .ok();
    let (start, end) = period(&changed);
    assert!(end - start >= 365 * 86_400);
    let paid = changed["latest_invoice"]["amount_paid"].as_i64().expect("an amount");
    assert!((17_100..=17_101).contains(&paid), "a year, less the unused month: {paid}");
}

#[tokio::test]
async fn an_intent_can_require_three_d_secure() {
    let world = World::new().await;
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("payment_method", "pm_card_authenticationRequired"),
        ("confirm", "true"),
        ("return_url", "http://app.test/back"),
    ];
    let intent = world.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(intent["status"], "requires_action");
    let url = text(&intent["next_action"]["redirect_to_url"], "url");
    let path = url.strip_prefix(&world.sandbox.url()).expect("a URL of the sandbox").to_owned();
    let page = world.page("POST", &path, &[("outcome", "complete")]).await;
    assert_eq!(page.location, "http://app.test/back");
    let path = format!("/v1/payment_intents/{}", id(&intent));
    assert_eq!(world.get(&path).await.ok()["status"], "succeeded");
}

#[tokio::test]
async fn refunds_update_the_charge_and_cannot_exceed_its_amount() {
    let world = World::new().await;
    let form = [("amount", "500"), ("currency", "usd"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let intent = id(&world.post("/v1/payment_intents", &form).await.ok());
    world.post("/v1/refunds", &[("payment_intent", &intent), ("amount", "200")]).await.ok();
    assert_eq!(world.post("/v1/refunds", &[("payment_intent", &intent), ("amount", "301")]).await.status, 400);
    world.post("/v1/refunds", &[("payment_intent", &intent)]).await.ok();
    world.post("/v1/refunds", &[("payment_intent", &intent)]).await.rejected(400, "charge_already_refunded");
    let charges = world.get("/v1/charges").await.ok();
    assert_eq!((&data(&charges)[0]["refunded"], &data(&charges)[0]["amount_refunded"]), (&json!(true), &json!(500)));
}

#[tokio::test]
async fn a_declined_intent_reports_the_reason_and_keeps_the_attempt() {
    let world = World::new().await;
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("payment_method", "pm_card_chargeDeclinedInsufficientFunds"),
        ("confirm", "true"),
    ];
    let error = world.post("/v1/payment_intents", &form).await.rejected(402, "card_declined");
    assert_eq!(error["decline_code"], "insufficient_funds");
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(world.event_types().await, ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]);
}

#[tokio::test]
async fn the_same_card_has_the_same_fingerprint() {
    let world = World::new().await;
    let fingerprint = async |number: &str| {
        let form = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2040"),
            ("card[cvc]", "123"),
        ];
        text(&world.post("/v1/payment_methods", &form).await.ok()["card"], "fingerprint")
    };
    assert_eq!(fingerprint("4242424242424242").await, fingerprint("4242424242424242").await);
    assert_ne!(fingerprint("4242424242424242").await, fingerprint("5555555555554444").await);
}

#[tokio::test]
async fn an_invoice_has_a_page_and_a_pdf() {
    let world = World::new().await;
    let made = subscribe(&world, "pm_card_visa", &[]).await;
    let invoice = fresh(&world, &made).await["latest_invoice"].clone();
    let page = world.http.get(text(&invoice, "hosted_invoice_url")).send().await.expect("responds");
    assert!(page.text().await.expect("text").contains("$19.00"));
    let pdf = world.http.get(text(&invoice, "invoice_pdf")).send().await.expect("responds");
    assert_eq!(pdf.headers()["content-type"], "application/pdf");
    assert!(pdf.bytes().await.expect("bytes").starts_with(b"%PDF-1.4"));
    assert_eq!(world.page("GET", &format!("/i/{}?s=wrong", id(&invoice)), &[]).await.status, 404);
}

#[tokio::test]
async fn pending_items_become_an_invoice() {
    let world = World::new().await;
    let customer = world.customer_with("pm_card_visa").await;
    let item = [("customer", customer.as_str()), ("amount", "2000"), ("currency", "usd"), ("description", "Setup")];
    let item = id(&world.post("/v1/invoiceitems", &item).await.ok());
    let form = [("customer", customer.as_str()), ("pending_invoice_items_behavior", "include")];
    let draft = world.post("/v1/invoices", &form).await.ok();
    assert_eq!((draft["status"].as_str(), draft["amount_due"].as_i64()), (Some("draft"), Some(2_000)));
    assert_eq!(world.get(&format!("/v1/invoiceitems/{item}")).await.ok()["invoice"], draft["id"]);
    let paid = world.post(&format!("/v1/invoices/{}/pay", id(&draft)), &[]).await.ok();
    assert_eq!((paid["status"].as_str(), paid["amount_paid"].as_i64()), (Some("paid"), Some(2_000)));
    assert_eq!(world.delete(&format!("/v1/invoices/{}", id(&draft))).await.status, 400);
}

#[tokio::test]
async fn trial_settings_determine_how_a_trial_without_a_card_ends() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    for (behavior, status) in [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")] {
        let customer = id(&world.post("/v1/customers", &[]).await.ok());
        let form = [
            ("customer", customer.as_str()),
            ("items[0][price]", &price),
            ("trial_period_days", "1"),
            ("trial_settings[end_behavior][missing_payment_method]", behavior),
        ];
        let made = world.post("/v1/subscriptions", &form).await.ok();
        world.sandbox.advance(Duration::from_secs(DAY + 60));
        assert_eq!(fresh(&world, &made).await["status"], status, "{behavior}");
    }
}

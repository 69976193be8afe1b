//! The customer portal: its API and its pages.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{World, data, id, text};

const DAY: u64 = 86_400;

/// Creates a subscription with a card, and returns it with the path of a portal session.
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
async fn canceling_asks_for_confirmation_and_can_be_undone() {
    let world = World::new().await;
    for (mode, with_period) in [("flexible", false), ("classic", true)] {
        let (plan, path) = open(&world, "pm_card_visa", &[("billing_mode[type]", mode)], Duration::ZERO).await;
        let ends = async || {
            let plan = fresh(&world, &plan).await;
            (plan["cancel_at_period_end"].clone(), plan["cancel_at"].clone())
        };
        let shown = world.page("GET", &path, &[]).await;
        assert!(shown.body.contains("Return to app.test") && shown.body.contains("Cancel plan"), "{}", shown.body);
        let cancel = format!("{path}/cancel/{}", id(&plan));
        assert!(world.page("GET", &cancel, &[]).await.body.contains("<button>Cancel plan</button>"));
        assert_eq!(ends().await, (json!(false), Value::Null), "the question changes nothing");
        assert_eq!(world.page("POST", &cancel, &[]).await.status, 303);
        assert_eq!(
            ends().await,
            (json!(with_period), plan["items"]["data"][0]["current_period_end"].clone()),
            "{mode}"
        );
        assert!(world.page("GET", &path, &[]).await.body.contains("Don't cancel"));
        world.page("POST", &format!("{path}/resume/{}", id(&plan)), &[]).await;
        assert_eq!(ends().await, (json!(false), Value::Null), "{mode}");
    }
}

#[tokio::test]
async fn a_new_card_pays_a_past_due_invoice() {
    let world = World::new().await;
    let trial = [("trial_period_days", "1")];
    let (plan, path) = open(&world, "pm_card_chargeCustomerFail", &trial, Duration::from_secs(DAY + 60)).await;
    assert_eq!(fresh(&world, &plan).await["status"], "past_due");
    assert!(world.page("GET", &path, &[]).await.body.contains("Pay $19.00 now"));
    let pay = format!("{path}/pay/{}", text(&fresh(&world, &plan).await, "latest_invoice"));
    assert_eq!(world.page("POST", &pay, &[]).await.status, 402, "the old card is still declined");
    let form = [("number", "4242424242424242"), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada")];
    assert_eq!(world.page("POST", &path, &form).await.status, 303);
    let mark = world.event_types().await.len();
    assert_eq!(world.page("POST", &pay, &[]).await.status, 303);
    assert_eq!(fresh(&world, &plan).await["status"], "active");
    let events = world.events_since(mark).await;
    assert_eq!(events.first().map(String::as_str), Some("charge.succeeded"));
    assert_eq!(events.last().map(String::as_str), Some("customer.subscription.updated"));
}

#[tokio::test]
async fn a_declined_card_changes_nothing_and_a_link_expires_after_an_hour() {
    let world = World::new().await;
    let (_, path) = open(&world, "pm_card_visa", &[], Duration::ZERO).await;
    let form = [("number", "4000000000000002"), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada")];
    let rejected = world.page("POST", &path, &form).await;
    assert_eq!(rejected.status, 422);
    assert!(rejected.body.contains("4242, expires") && !rejected.body.contains("4000000000000002\""));
    world.sandbox.advance(Duration::from_secs(3_600));
    assert_eq!(world.page("GET", &path, &[]).await.status, 410);
}

#[tokio::test]
async fn unsupported_and_incomplete_configurations_are_rejected() {
    let world = World::new().await;
    let customer = world.customer_with("pm_card_visa").await;
    world.post("/v1/billing_portal/sessions", &[("customer", &customer)]).await.rejected(400, "");
    let form = [("features[invoice_history][enabled]", "true"), ("login_page[enabled]", "true")];
    world.post("/v1/billing_portal/configurations", &form).await.rejected(400, "sandbox_unsupported");
    let form = [("features[subscription_update][enabled]", "true")];
    let rejected = world.post("/v1/billing_portal/configurations", &form).await.rejected(400, "parameter_missing");
    assert_eq!(rejected["param"], "features[subscription_update][products]");
}

/// Returns the path of a portal session with the given features and deep link.
async fn deep_link(world: &World, plan: &Value, features: &[(&str, &str)], flow: &[(&str, &str)]) -> String {
    let configuration = id(&world.post("/v1/billing_portal/configurations", features).await.ok());
    let customer = text(plan, "customer");
    let mut form = vec![
        ("customer", customer.as_str()),
        ("configuration", &configuration),
        ("return_url", "http://app.test/billing"),
    ];
    form.extend(flow);
    let session = world.post("/v1/billing_portal/sessions", &form).await.ok();
    text(&session, "url").replace(&world.sandbox.url(), "")
}

async fn subscribed(world: &World, card: &str) -> Value {
    let price = world.monthly_price().await;
    let customer = world.customer_with(card).await;
    let form = [("customer", customer.as_str()), ("items[0][price]", &price)];
    world.post("/v1/subscriptions", &form).await.ok()
}

#[tokio::test]
async fn a_deep_link_opens_one_task_and_redirects_afterwards() {
    let world = World::new().await;
    let plan = subscribed(&world, "pm_card_visa").await;
    let plan_id = id(&plan);
    let features = [
        ("features[subscription_cancel][enabled]", "true"),
        ("features[subscription_cancel][mode]", "immediately"),
        ("features[subscription_cancel][cancellation_reason][enabled]", "true"),
        ("features[subscription_cancel][cancellation_reason][options][]", "too_expensive"),
    ];
    let flow = [
        ("flow_data[type]", "subscription_cancel"),
        ("flow_data[subscription_cancel][subscription]", plan_id.as_str()),
        ("flow_data[after_completion][type]", "redirect"),
        ("flow_data[after_completion][redirect][return_url]", "http://app.test/gone"),
    ];
    let path = deep_link(&world, &plan, &features, &flow).await;
    let first = world.page("GET", &path, &[]).await;
    assert_eq!(first.location, format!("{path}/cancel/{plan_id}"));
    let page = world.page("GET", &first.location, &[]).await;
    assert!(page.body.contains("too expensive"), "{}", page.body);
    let done = world.page("POST", &first.location, &[("feedback", "too_expensive")]).await;
    assert_eq!(done.location, "http://app.test/gone");
    let ended = fresh(&world, &plan).await;
    assert_eq!(
        (ended["status"].as_str(), ended["cancellation_details"]["feedback"].as_str()),
        (Some("canceled"), Some("too_expensive"))
    );
    assert_eq!(world.page("GET", &path, &[]).await.status, 200, "afterwards the link opens the overview");

    let configuration = [("features[subscription_cancel][enabled]", "true")];
    let configuration = id(&world.post("/v1/billing_portal/configurations", &configuration).await.ok());
    let off = [
        ("customer", &*text(&plan, "customer")),
        ("configuration", &configuration),
        ("flow_data[type]", "payment_method_update"),
    ];
    world.post("/v1/billing_portal/sessions", &off).await.rejected(400, "");
}

#[tokio::test]
async fn a_change_of_plan_shows_its_price_before_it_is_confirmed() {
    let world = World::new().await;
    let plan = subscribed(&world, "pm_card_visa").await;
    let upgrade = world.price("4900", Some("month")).await;
    let product = text(&world.get(&format!("/v1/prices/{upgrade}")).await.ok(), "product");
    let features = [
        ("features[subscription_update][enabled]", "true"),
        ("features[subscription_update][default_allowed_updates][]", "price"),
        ("features[subscription_update][proration_behavior]", "always_invoice"),
        ("features[subscription_update][products][0][product]", product.as_str()),
        ("features[subscription_update][products][0][prices][]", &upgrade),
    ];
    let plan_id = id(&plan);
    let item = id(&plan["items"]["data"][0]);
    let flow = [
        ("flow_data[type]", "subscription_update_confirm"),
        ("flow_data[subscription_update_confirm][subscription]", plan_id.as_str()),
        ("flow_data[subscription_update_confirm][items][0][id]", &item),
        ("flow_data[subscription_update_confirm][items][0][price]", &upgrade),
        ("flow_data[after_completion][type]", "hosted_confirmation"),
        ("flow_data[after_completion][hosted_confirmation][custom_message]", "Welcome to Max."),
    ];
    let path = deep_link(&world, &plan, &features, &flow).await;
    let first = world.page("GET", &path, &[]).await;
    let page = world.page("GET", &first.location, &[]).await;
    assert!(page.body.contains("$30.00"), "{}", page.body);
    let change = format!("{path}/change/{plan_id}");
    let done = world.page("POST", &change, &[("price", &upgrade)]).await;
    assert!(done.body.contains("Welcome to Max."), "{}", done.body);
    assert_eq!(fresh(&world, &plan).await["items"]["data"][0]["price"]["id"], upgrade.as_str());
    let other = world.price("1", Some("month")).await;
    assert_eq!(world.page("POST", &change, &[("price", &other)]).await.status, 404, "only offered prices");
    let listed = world.page("GET", &change, &[]).await;
    assert!(listed.body.contains("Current plan"), "{}", listed.body);
}

#[tokio::test]
async fn a_customer_can_change_only_the_allowed_details() {
    let world = World::new().await;
    let plan = subscribed(&world, "pm_card_visa").await;
    let features =
        [("features[customer_update][enabled]", "true"), ("features[customer_update][allowed_updates][]", "name")];
    let path = deep_link(&world, &plan, &features, &[]).await;
    let form = [("name", "Ada King"), ("email", "other@example.com")];
    assert_eq!(world.page("POST", &format!("{path}/details"), &form).await.status, 303);
    let customer = world.get(&format!("/v1/customers/{}", text(&plan, "customer"))).await.ok();
    assert_eq!((customer["name"].as_str(), customer["email"].as_str()), (Some("Ada King"), Some("ada@example.com")));
}

#[tokio::test]
async fn an_open_invoice_can_be_paid_on_its_page() {
    let world = World::new().await;
    let plan = subscribed(&world, "pm_card_chargeCustomerFail").await;
    assert_eq!(plan["status"], "incomplete");
    let invoice = world.get(&format!("/v1/invoices/{}", text(&plan, "latest_invoice"))).await.ok();
    let path = text(&invoice, "hosted_invoice_url").replace(&world.sandbox.url(), "");
    assert!(world.page("GET", &path, &[]).await.body.contains("<button>Pay $19.00</button>"));
    let card = |number| [("number", number), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada")];
    assert_eq!(world.page("POST", &path, &card("4000000000000002")).await.status, 402);
    assert_eq!(world.page("POST", &path, &card("4242424242424242")).await.status, 303);
    assert_eq!(fresh(&world, &plan).await["status"], "active");
    assert!(!world.page("GET", &path, &[]).await.body.contains("<button>Pay"));
}

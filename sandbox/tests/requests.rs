//! Request handling: keys, parameters, idempotency, lists and expansion.

mod support;

use serde_json::json;
use support::{World, data, id, text};

#[tokio::test]
async fn only_known_keys_are_accepted() {
    let world = World::new().await;
    let url = format!("{}/v1/account", world.sandbox.url());
    let without_key = world.send(world.http.get(&url)).await;
    assert_eq!(without_key.status, 401);
    assert_eq!(without_key.body["error"]["type"], "invalid_request_error");
    let unknown = world.send(world.http.get(&url).bearer_auth("sk_test_other")).await;
    assert_eq!(unknown.status, 401);
    let basic = world.send(world.http.get(&url).basic_auth(support::KEY, Some(""))).await;
    assert_eq!(basic.ok()["object"], "account");
}

#[tokio::test]
async fn every_response_has_a_request_id_and_its_version() {
    let world = World::new().await;
    let response = world.get("/v1/account").await;
    assert!(response.headers["request-id"].to_str().expect("text").starts_with("req_"));
    assert_eq!(response.headers["stripe-version"], "2026-09-30.endive");
}

#[tokio::test]
async fn unknown_parameters_are_rejected_at_every_depth() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let good = [
        ("mode", "subscription"),
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "1"),
        ("success_url", "http://app.test/"),
    ];
    for unknown in [
        "user_id",
        "line_items[0][pricing]",
        "subscription_data[trial_days]",
        "subscription_data[trial_settings][end_behavior][missing]",
    ] {
        let mut form = good.to_vec();
        form.push((unknown, "1"));
        let error = world.post("/v1/checkout/sessions", &form).await.rejected(400, "parameter_unknown");
        assert_eq!(error["param"], unknown);
        assert_eq!(error["message"], format!("Received unknown parameter: {unknown}"));
    }
    world.get("/v1/customers?nonsense=1").await.rejected(400, "parameter_unknown");
}

#[tokio::test]
async fn unsupported_parameters_are_rejected_by_name() {
    let world = World::new().await;
    let error = world
        .post("/v1/customers", &[("cash_balance[settings][reconciliation_mode]", "manual")])
        .await
        .rejected(400, "sandbox_unsupported");
    assert_eq!(error["param"], "cash_balance");
    let error = world.post("/v1/checkout/sessions", &[("mode", "setup"), ("success_url", "http://a.test")]).await;
    error.rejected(400, "sandbox_unsupported");
    let form = [("amount", "500"), ("currency", "usd"), ("payment_method_options[paypal][reference]", "r")];
    let error = world.post("/v1/payment_intents", &form).await.rejected(400, "sandbox_unsupported");
    assert_eq!(error["param"], "payment_method_options[paypal]");
}

#[tokio::test]
async fn missing_and_mistyped_parameters_are_reported() {
    let world = World::new().await;
    let error = world.post("/v1/prices", &[("unit_amount", "1")]).await.rejected(400, "parameter_missing");
    assert_eq!(error["param"], "currency");
    let form = [("currency", "usd"), ("unit_amount", "ten"), ("product_data[name]", "P")];
    let error = world.post("/v1/prices", &form).await.rejected(400, "parameter_invalid_integer");
    assert_eq!(error["message"], "Invalid integer: ten");
    let error = world.post("/v1/checkout/sessions", &[("mode", "subscribe")]).await.rejected(400, "");
    assert_eq!(error["message"], "Invalid mode: must be one of payment, subscription, or setup");
    world.post("/v1/products", &[("name", "")]).await.rejected(400, "parameter_invalid_empty");
    world.get("/v1/customers?limit=101").await.rejected(400, "parameter_invalid_integer");
    let price = world.monthly_price().await;
    let form = [("mode", "subscription"), ("line_items[0][price]", &price), ("line_items[0][quantity]", "1")];
    let error = world.post("/v1/checkout/sessions", &form).await.rejected(400, "parameter_missing");
    assert_eq!(error["param"], "success_url");
}

#[tokio::test]
async fn unknown_objects_and_routes_return_404() {
    let world = World::new().await;
    let error = world.get("/v1/customers/cus_none").await.rejected(404, "resource_missing");
    assert_eq!(error["message"], "No such customer: 'cus_none'");
    assert_eq!(world.get("/v1/nothing").await.status, 404);
    assert_eq!(
        world.post("/v1/subscriptions", &[("customer", "cus_none"), ("items[0][price]", "price_none")]).await.status,
        400
    );
}

#[tokio::test]
async fn a_repeated_key_replays_the_response() {
    let world = World::new().await;
    let form = [("email", "ada@example.com")];
    let first = world.keyed("k1", "/v1/customers", &form).await;
    assert!(first.headers.get("idempotent-replayed").is_none());
    let again = world.keyed("k1", "/v1/customers", &form).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.body, first.body);
    assert_eq!(data(&world.get("/v1/customers").await.ok()).len(), 1);

    let other = world.keyed("k1", "/v1/customers", &[("email", "bob@example.com")]).await;
    let error = other.rejected(400, "");
    assert_eq!(error["type"], "idempotency_error");
    let elsewhere = world.keyed("k1", "/v1/products", &[("name", "P")]).await;
    assert_eq!(elsewhere.rejected(400, "")["type"], "idempotency_error");
}

#[tokio::test]
async fn errors_are_replayed_but_validation_errors_are_not() {
    let world = World::new().await;
    let none = [("customer", "cus_none"), ("items[0][price]", "price_none")];
    assert_eq!(world.keyed("k1", "/v1/subscriptions", &none).await.status, 400);
    let again = world.keyed("k1", "/v1/subscriptions", &none).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");

    world.keyed("k2", "/v1/customers", &[("emial", "x")]).await.rejected(400, "parameter_unknown");
    world.keyed("k2", "/v1/customers", &[("email", "ada@example.com")]).await.ok();
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict() {
    let world = World::new().await;
    let held = world.sandbox.hold_calls("POST", "/v1/customers");
    let form = [("email", "ada@example.com")];
    let meanwhile = async {
        held.arrived().await;
        let second = world.keyed("k", "/v1/customers", &form).await;
        assert_eq!(held.count(), 1, "a conflict is rejected before the gate");
        held.open();
        second
    };
    let (first, second) = tokio::join!(world.keyed("k", "/v1/customers", &form), meanwhile);
    assert_eq!([first.status, second.status], [200, 409]);
    assert_eq!(data(&world.get("/v1/customers").await.ok()).len(), 1);
}

#[tokio::test]
async fn a_dropped_response_is_replayed_by_its_key() {
    let world = World::new().await;
    world.sandbox.drop_next_responses(1);
    let form = [("email", "ada@example.com")];
    assert_eq!(world.keyed("k", "/v1/customers", &form).await.status, 500);
    world.keyed("k", "/v1/customers", &form).await.ok();
    assert_eq!(data(&world.get("/v1/customers").await.ok()).len(), 1);
}

#[tokio::test]
async fn failed_calls_change_nothing_and_are_logged() {
    let world = World::new().await;
    world.sandbox.fail_next(2, 503);
    let statuses = [
        world.post("/v1/customers", &[]).await.status,
        world.get("/v1/customers").await.status,
        world.get("/v1/customers").await.status,
    ];
    assert_eq!(statuses, [503, 503, 200]);
    let seen: Vec<_> = world.sandbox.requests().into_iter().map(|line| (line.method, line.status)).collect();
    assert_eq!(seen, [("POST".to_owned(), 503), ("GET".to_owned(), 503), ("GET".to_owned(), 200)]);
}

#[tokio::test]
async fn lists_can_be_paged_in_both_directions() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(id(&world.post("/v1/customers", &[]).await.ok()));
    }
    made.reverse();
    let first = world.get("/v1/customers?limit=2").await.ok();
    let ids = |list: &serde_json::Value| data(list).iter().map(id).collect::<Vec<_>>();
    assert_eq!((ids(&first), first["has_more"].as_bool()), (made[..2].to_vec(), Some(true)));
    let rest = world.get(&format!("/v1/customers?limit=3&starting_after={}", made[1])).await.ok();
    assert_eq!((ids(&rest), rest["has_more"].as_bool()), (made[2..].to_vec(), Some(false)));
    let back = world.get(&format!("/v1/customers?limit=2&ending_before={}", made[3])).await.ok();
    assert_eq!((ids(&back), back["has_more"].as_bool()), (made[1..3].to_vec(), Some(true)));
    world.get("/v1/customers?starting_after=cus_none").await.rejected(400, "resource_missing");
}

#[tokio::test]
async fn expansion_works_deeply_and_through_lists() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = world.customer_with("pm_card_visa").await;
    let form = [("customer", customer.as_str()), ("items[0][price]", &price), ("expand[]", "latest_invoice.payments")];
    let subscription = world.post("/v1/subscriptions", &form).await.ok();
    let payment = &subscription["latest_invoice"]["payments"]["data"][0];
    assert_eq!(payment["status"], "paid");

    let list = world.get("/v1/subscriptions?expand[]=data.customer").await.ok();
    assert_eq!(data(&list)[0]["customer"]["email"], "ada@example.com");
    let path = format!("/v1/subscriptions/{}?expand[]=items.data.price.product", id(&subscription));
    let deep = world.get(&path).await.ok();
    assert_eq!(deep["items"]["data"][0]["price"]["product"]["name"], "Pro");
    let deeper = world.get("/v1/subscriptions?expand[]=data.items.data.price.product").await.rejected(400, "");
    assert!(text(&deeper, "message").starts_with("You cannot expand more than 4 levels of a property."));

    let prices = world.get("/v1/prices?expand[]=data.product").await.ok();
    assert_eq!(data(&prices)[0]["product"]["name"], "Pro");
    for path in ["status", "id", "nothing", "_pending"] {
        let rejected = world.get(&format!("/v1/subscriptions/{}?expand[]={path}", id(&subscription))).await;
        assert_eq!(rejected.status, 400, "{path}");
    }
}

#[tokio::test]
async fn metadata_merges() {
    let world = World::new().await;
    let customer = id(&world.post("/v1/customers", &[("metadata[a]", "1"), ("metadata[_b]", "2")]).await.ok());
    let path = format!("/v1/customers/{customer}");
    let form = [("metadata[_b]", ""), ("metadata[c]", "3")];
    assert_eq!(world.post(&path, &form).await.ok()["metadata"], json!({"a": "1", "c": "3"}));
    let updated = world.get("/v1/events?type=customer.updated").await.ok();
    assert_eq!(data(&updated)[0]["data"]["previous_attributes"]["metadata"]["c"], json!(null));
    assert_eq!(world.post(&path, &[("metadata", "")]).await.ok()["metadata"], json!({}));
}

#[tokio::test]
async fn a_lookup_key_belongs_to_one_price() {
    let world = World::new().await;
    let form = [
        ("currency", "usd"),
        ("unit_amount", "1900"),
        ("product_data[name]", "Pro"),
        ("recurring[interval]", "month"),
        ("lookup_key", "pro_month"),
    ];
    let first = id(&world.post("/v1/prices", &form).await.ok());
    assert_eq!(world.post("/v1/prices", &form).await.status, 400);
    let mut transfer = form.to_vec();
    transfer.push(("transfer_lookup_key", "true"));
    let second = id(&world.post("/v1/prices", &transfer).await.ok());
    let found = world.get("/v1/prices?lookup_keys[]=pro_month&active=true").await.ok();
    assert_eq!(data(&found).iter().map(id).collect::<Vec<_>>(), [second]);
    assert_eq!(world.get(&format!("/v1/prices/{first}")).await.ok()["lookup_key"], json!(null));
}

#[tokio::test]
async fn a_session_requires_active_prices_of_its_mode_and_an_existing_customer() {
    let world = World::new().await;
    let monthly = world.monthly_price().await;
    let once = world.price("500", None).await;
    let open = async |mode: &str, price: &str, more: &[(&str, &str)]| {
        let mut form = vec![
            ("mode", mode),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "http://app.test/"),
        ];
        form.extend(more);
        world.post("/v1/checkout/sessions", &form).await
    };
    assert_eq!(open("payment", &monthly, &[]).await.status, 400);
    assert_eq!(open("subscription", &once, &[]).await.status, 400);
    assert_eq!(open("payment", &once, &[("expires_at", "1")]).await.status, 400);
    let customer = id(&world.post("/v1/customers", &[]).await.ok());
    world.delete(&format!("/v1/customers/{customer}")).await.ok();
    open("payment", &once, &[("customer", &customer)]).await.rejected(400, "resource_missing");
    assert_eq!(world.get(&format!("/v1/customers/{customer}")).await.ok()["deleted"], true);
    world.post(&format!("/v1/prices/{once}"), &[("active", "false")]).await.ok();
    let error = open("payment", &once, &[]).await.rejected(400, "");
    assert_eq!(text(&error, "param"), "line_items[0][price]");
}

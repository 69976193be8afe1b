//! The controls: the clock, deliveries and faults, and access to them.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use support::{KEY, Receiver, World, data, id, settled, text};

const DAY: u64 = 86_400;

async fn customers(world: &World, count: usize) {
    for _ in 0..count {
        world.post("/v1/customers", &[]).await.ok();
    }
}

async fn receiving(statuses: &[u16]) -> (World, Receiver) {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(statuses).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    (world, receiver)
}

#[tokio::test]
async fn an_application_can_follow_the_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("sandbox.jsonl");
    let world = World::on(state.clone()).await;
    let ahead = world.sandbox.clock_offset();
    assert_eq!(ahead.load(Ordering::SeqCst), 0);
    world.sandbox.advance(Duration::from_millis(1_500));
    assert_eq!(ahead.load(Ordering::SeqCst), 2, "whole seconds");
    world.sandbox.shutdown().await;
    let again = World::on(state).await;
    assert_eq!(again.sandbox.clock_offset().load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_clock_can_advance_to_the_next_upcoming_change() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = world.customer_with("pm_card_visa").await;
    let form = [("customer", customer.as_str()), ("items[0][price]", &price), ("trial_period_days", "14")];
    let made = world.post("/v1/subscriptions", &form).await.ok();
    let clock = world.sandbox.control("GET clock", &[("object", &id(&made))]).expect("shows");
    assert_eq!(clock["due"][0]["change"], "trial_warning");
    for (change, days) in [("trial_warning", 11), ("trial_end", 14), ("renewal", 44)] {
        world.sandbox.control("POST clock/next", &[("change", change)]).expect("advances");
        let ahead = world.sandbox.clock_offset().load(Ordering::SeqCst) / 86_400;
        assert!((days..days + 3).contains(&ahead), "{change}: {ahead}");
    }
    world.sandbox.control("POST clock/next", &[("change", "dispute")]).expect_err("nothing is due");
    world.sandbox.control("POST clock/advance", &[("hours", "-1")]).expect_err("the clock only goes forward");
    let before = world.sandbox.now();
    world.sandbox.control("POST clock/advance", &[("days", "1"), ("hours", "1")]).expect("advances");
    assert!(world.sandbox.now() - before >= 90_000);
}

#[tokio::test]
async fn one_delivery_can_be_sent_while_the_others_are_held() {
    let (world, receiver) = receiving(&[]).await;
    world.sandbox.hold_deliveries(true);
    customers(&world, 3).await;
    let pending = world.sandbox.pending_deliveries();
    assert!(world.sandbox.deliver(&pending[1].id));
    settled(&world.sandbox).await;
    assert_eq!(receiver.events().iter().map(id).collect::<Vec<_>>(), [pending[1].event.clone()]);
    assert!(!world.sandbox.deliver(&pending[1].id), "it is already delivered");
    assert!(world.sandbox.drop_delivery(&pending[0].id));
    world.sandbox.hold_deliveries(false);
    settled(&world.sandbox).await;
    assert_eq!(receiver.events().len(), 2, "the dropped delivery never arrives");
    let states: Vec<String> = world.sandbox.deliveries().into_iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, ["dropped", "delivered", "delivered"]);
}

#[tokio::test]
async fn a_seed_determines_the_order_of_shuffled_deliveries() {
    let mut orders = Vec::new();
    for seed in [7, 7, 8] {
        let (world, receiver) = receiving(&[]).await;
        world.sandbox.hold_deliveries(true);
        customers(&world, 8).await;
        let created: Vec<String> =
            world.sandbox.pending_deliveries().into_iter().map(|delivery| delivery.event).collect();
        world.sandbox.shuffle_deliveries(seed);
        world.sandbox.hold_deliveries(false);
        settled(&world.sandbox).await;
        let received: Vec<String> = receiver.events().iter().map(id).collect();
        orders.push(received.iter().map(|event| created.iter().position(|known| known == event)).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);
    assert!(!orders[0].is_sorted());
}

#[tokio::test]
async fn deliveries_can_be_dropped_duplicated_and_delayed() {
    let (world, receiver) = receiving(&[]).await;
    let set = |parameters: &[(&str, &str)]| world.sandbox.control("POST conditions", parameters).expect("sets");
    set(&[("drop_next", "1"), ("duplicate_next", "1")]);
    customers(&world, 3).await;
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 3, "one dropped, one duplicated, one delivered");
    let shown = set(&[("drop_percent", "100")]);
    assert_eq!((&shown["drop_percent"], &shown["drop_next"]), (&json!(100), &json!(0)));
    customers(&world, 2).await;
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 3);
    world.sandbox.control("POST conditions/clear", &[]).expect("clears");
    set(&[("delay_seconds", "86400")]);
    customers(&world, 1).await;
    assert_eq!(world.sandbox.pending_deliveries().len(), 1);
    world.sandbox.advance(Duration::from_secs(DAY + 1));
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 4);
}

#[tokio::test]
async fn all_pending_deliveries_can_be_dropped_duplicated_and_delayed() {
    let (world, receiver) = receiving(&[]).await;
    world.sandbox.hold_deliveries(true);
    customers(&world, 2).await;
    let done = world.sandbox.control("POST deliveries/duplicate", &[]).expect("duplicates");
    assert_eq!(done["deliveries"], 2);
    world.sandbox.control("POST deliveries/delay", &[("seconds", "3600")]).expect("delays");
    world.sandbox.hold_deliveries(false);
    assert_eq!(world.sandbox.pending_deliveries().len(), 4);
    world.sandbox.advance(Duration::from_secs(3_601));
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 4);
    world.sandbox.hold_deliveries(true);
    customers(&world, 2).await;
    world.sandbox.control("POST deliveries/drop", &[]).expect("drops");
    world.sandbox.control("POST deliveries/release", &[]).expect("releases");
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 4);
}

#[tokio::test]
async fn a_delivery_shows_every_attempt_and_its_response() {
    let (world, receiver) = receiving(&[500]).await;
    customers(&world, 1).await;
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 2);
    let delivery = &world.sandbox.deliveries()[0];
    assert_eq!(delivery.attempts, [Some(500), Some(200)]);
    let shown = world.sandbox.control(&format!("GET deliveries/{}", delivery.id), &[]).expect("shows");
    let payload: Value = serde_json::from_str(&text(&shown, "payload")).expect("JSON");
    assert_eq!(payload["type"], "customer.created");
    let list = world.sandbox.control("GET deliveries", &[("state", "delivered")]).expect("lists");
    assert_eq!(data(&list).len(), 1);
}

#[tokio::test]
async fn a_test_can_deliver_an_event_itself() {
    let (world, receiver) = receiving(&[]).await;
    world.sandbox.hold_deliveries(true);
    customers(&world, 1).await;
    let event = world.sandbox.pending_deliveries()[0].event.clone();
    let endpoints = world.get("/v1/webhook_endpoints").await.ok();
    let url = text(&data(&endpoints)[0], "url");
    let (payload, signature) = world.sandbox.signed(&event, &url).expect("signs");
    world.http.post(&url).header("stripe-signature", signature).body(payload).send().await.expect("responds");
    assert_eq!(receiver.events().iter().map(id).collect::<Vec<_>>(), [event]);
    assert!(world.sandbox.signed("evt_none", &url).is_none());
}

#[tokio::test]
async fn calls_can_fail_and_their_responses_can_be_corrupted() {
    let world = World::new().await;
    world.sandbox.control("POST faults", &[("fail_next", "1"), ("status", "429")]).expect("sets");
    world.post("/v1/customers", &[]).await.rejected(429, "rate_limit");
    world.sandbox.corrupt_next_responses(1);
    let corrupted = world.request("POST", "/v1/customers").send().await.expect("responds");
    assert_eq!(corrupted.status(), 200);
    let body = corrupted.text().await.expect("text");
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    assert_eq!(data(&world.get("/v1/customers").await.ok()).len(), 1, "the corrupted call was carried out");
    let shown = world.sandbox.control("GET requests", &[("path", "/v1/customers")]).expect("lists");
    let faults: Vec<&str> = data(&shown).iter().filter_map(|request| request["fault"].as_str()).collect();
    assert_eq!(faults, ["corrupted", "failed"]);
}

#[tokio::test]
async fn faults_can_be_limited_to_a_path_and_an_object_stripped_everywhere() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = world.customer_with("pm_card_visa").await;
    let subscription =
        world.post("/v1/subscriptions", &[("customer", &customer), ("items[0][price]", &price)]).await.ok();
    world
        .sandbox
        .control("POST faults", &[("fail_next", "1"), ("status", "403"), ("path", "/v1/events")])
        .expect("sets");
    world.get("/v1/customers").await.ok();
    assert_eq!(world.get("/v1/events").await.status, 403);
    world.get("/v1/events").await.ok();

    let id = subscription["id"].as_str().expect("an id").to_owned();
    world.sandbox.control("POST faults", &[("path", ""), ("strip", &id)]).expect("sets");
    let rest = serde_json::json!({ "id": id, "object": "subscription" });
    assert_eq!(world.get(&format!("/v1/subscriptions/{id}")).await.ok(), rest);
    assert_eq!(data(&world.get("/v1/subscriptions").await.ok()), [rest]);
    world.sandbox.control("POST faults/clear", &[]).expect("clears");
    assert_eq!(world.get(&format!("/v1/subscriptions/{id}")).await.ok()["customer"], subscription["customer"]);
}

#[tokio::test]
async fn calls_can_be_held_by_method_and_path() {
    let world = World::new().await;
    let held = world.sandbox.hold_calls("POST", "/v1/customers");
    world.get("/v1/customers").await.ok();
    world.post("/v1/products", &[("name", "Pro")]).await.ok();
    assert_eq!(held.count(), 0, "other calls pass");
    let release = async {
        held.arrived().await;
        drop(held);
    };
    let (created, ()) = tokio::join!(world.post("/v1/customers", &[]), release);
    created.ok();
    world.post("/v1/customers", &[]).await.ok();
}

#[tokio::test]
async fn shutting_down_releases_held_calls() {
    let World { sandbox, http } = World::new().await;
    let held = sandbox.hold_calls("", "/v1/");
    let call = http.get(format!("{}/v1/customers", sandbox.url())).bearer_auth(KEY).send();
    let stop = async {
        held.arrived().await;
        sandbox.shutdown().await;
    };
    let (response, ()) = tokio::join!(call, stop);
    assert_eq!(response.expect("a response").status(), 200);
}

#[tokio::test]
async fn an_object_shows_its_requests_events_and_references() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let customer = world.customer_with("pm_card_visa").await;
    let form = [("customer", customer.as_str()), ("items[0][price]", &price)];
    let made = world.keyed("subscribe", "/v1/subscriptions", &form).await.ok();
    let shown = world.sandbox.control(&format!("GET objects/{}", id(&made)), &[]).expect("shows");
    assert_eq!(shown["object"]["id"], made["id"]);
    let has = |list: &str, field: &str, expected: &str| {
        shown[list].as_array().expect("a list").iter().any(|found| found[field] == expected)
    };
    assert!(has("references", "id", &customer) && has("references", "object", "invoice"));
    let owner = world.sandbox.control(&format!("GET objects/{customer}"), &[]).expect("shows");
    assert!(owner["referenced_by"].as_array().expect("a list").iter().any(|found| found["id"] == made["id"]));
    assert!(has("events", "type", "customer.subscription.created"));
    assert!(has("requests", "path", "/v1/subscriptions"));
    assert_eq!(shown["due"][0]["change"], "renewal");
    let request = text(&shown["requests"][0], "id");
    let request = world.sandbox.control(&format!("GET requests/{request}"), &[]).expect("shows");
    assert_eq!((&request["idempotency_key"], &request["status"]), (&json!("subscribe"), &json!(200)));
    assert_eq!(request["parameters"][0], json!(["customer", customer]));
    assert!(text(&request, "response").contains(&id(&made)));
    world.sandbox.control("GET objects/nothing", &[]).expect_err("does not exist");
}

#[tokio::test]
async fn requests_and_deliveries_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("sandbox.jsonl");
    let world = World::on(state.clone()).await;
    let (_, url) = Receiver::start(&[]).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    customers(&world, 1).await;
    settled(&world.sandbox).await;
    let before = (world.sandbox.requests(), world.sandbox.deliveries());
    world.sandbox.shutdown().await;
    let again = World::on(state).await;
    assert_eq!((again.sandbox.requests(), again.sandbox.deliveries()), before);
}

#[tokio::test]
async fn every_control_is_listed_with_its_parameters() {
    let world = World::new().await;
    let url = format!("{}/_sandbox/api", world.sandbox.url());
    let list: Value = world.http.get(url).send().await.expect("responds").json().await.expect("JSON");
    let advance = data(&list).iter().find(|control| control["path"] == "/_sandbox/api/clock/advance");
    let advance = advance.expect("is listed");
    assert_eq!(
        (advance["method"].as_str(), advance["description"].as_str()),
        (Some("POST"), Some("Advances the clock."))
    );
    assert_eq!(advance["parameters"][0], json!({ "name": "days", "type": "integer", "required": false }));
    let rejected = world.sandbox.control("POST clock/advance", &[("weeks", "1")]).expect_err("is unknown");
    assert_eq!(rejected["error"]["param"], "weeks");
}

#[tokio::test]
async fn another_site_cannot_use_the_control_api() {
    let world = World::new().await;
    let base = world.sandbox.url();
    let post = async |headers: &[(&str, &str)]| {
        let mut request = world.http.post(format!("{base}/_sandbox/api/deliveries/hold"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("responds").status().as_u16()
    };
    assert_eq!(post(&[]).await, 200, "not a browser");
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", &base)]).await, 200, "one of its own pages");
    assert_eq!(
        post(&[("sec-fetch-site", "same-origin"), ("origin", "null")]).await,
        200,
        "one of its own pages, without a referrer"
    );
    assert_eq!(post(&[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(post(&[("sec-fetch-site", "same-site")]).await, 403);
    assert_eq!(post(&[("origin", "http://evil.example")]).await, 403);
    assert_eq!(post(&[("origin", "null")]).await, 403);
    let rebound = [("host", "evil.example"), ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")];
    assert_eq!(post(&rebound).await, 403, "a foreign host name that resolves to this machine");
}

#[tokio::test]
async fn the_control_api_accepts_json_and_forms() {
    let world = World::new().await;
    let url = format!("{}/_sandbox/api/clock/advance", world.sandbox.url());
    let response = world.http.post(url).json(&json!({ "days": 2 })).send().await.expect("responds");
    assert_eq!(response.status(), 200);
    assert_eq!(world.sandbox.clock_offset().load(Ordering::SeqCst), 2 * 86_400);
}

#[tokio::test]
async fn a_thousand_events_are_delivered() {
    let (world, receiver) = receiving(&[]).await;
    customers(&world, 1_000).await;
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 1_000);
}

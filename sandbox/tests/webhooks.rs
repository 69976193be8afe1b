//! Events are signed, delivered until they are accepted, and rendered in the endpoint's API version.

mod support;

use hmac::{Hmac, Mac};
use sandbox::Endpoint;
use serde_json::json;
use sha2::Sha256;
use support::{Receiver, SECRET, World, data, id, settled, text};

#[tokio::test]
async fn the_signature_can_be_verified_independently() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    world.post("/v1/customers", &[("email", "ada@example.com")]).await.ok();
    settled(&world.sandbox).await;

    let received = receiver.received.lock().expect("unpoisoned").clone();
    let (headers, body) = &received[0];
    let header = headers["stripe-signature"].to_str().expect("text");
    let (time, v1) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("t and v1");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(format!("{time}.{body}").as_bytes());
    mac.verify_slice(&hex::decode(v1).expect("hex")).expect("the signature is valid");
    assert!(body.starts_with("{\n  "), "pretty-printed JSON, like Stripe's");
    let event = &receiver.events()[0];
    assert_eq!(event["type"], "customer.created");
    assert_eq!(event["api_version"], "2026-09-30.endive");
}

#[tokio::test]
async fn a_rejected_event_is_retried_until_it_is_accepted() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(&[500, 302, 404]).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    world.post("/v1/customers", &[]).await.ok();
    settled(&world.sandbox).await;
    let ids: Vec<String> = receiver.events().iter().map(id).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| *id == ids[0]));
    let event = world.get(&format!("/v1/events/{}", ids[0])).await.ok();
    assert_eq!(event["pending_webhooks"], 0);
}

#[tokio::test]
async fn held_deliveries_wait_and_arrive_in_order() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    world.sandbox.hold_deliveries(true);
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);
    world.pay(&session, "4242424242424242").await;
    settled(&world.sandbox).await;
    assert!(receiver.types().is_empty());

    world.sandbox.hold_deliveries(false);
    settled(&world.sandbox).await;
    assert_eq!(receiver.types(), world.event_types().await);

    let event = id(&receiver.events()[0]);
    assert!(world.sandbox.replay(&event, 3));
    settled(&world.sandbox).await;
    assert_eq!(receiver.events().iter().filter(|received| id(received) == event).count(), 4);
    assert!(!world.sandbox.replay("evt_none", 1));
}

#[tokio::test]
async fn endpoints_receive_the_events_they_subscribed_to() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(&[]).await;
    let form = [("url", url.as_str()), ("enabled_events[]", "product.created"), ("api_version", "2025-06-30.basil")];
    let endpoint = world.post("/v1/webhook_endpoints", &form).await.ok();
    assert!(text(&endpoint, "secret").starts_with("whsec_"));
    let path = format!("/v1/webhook_endpoints/{}", id(&endpoint));
    assert!(world.get(&path).await.ok().get("secret").is_none(), "the secret is shown once");

    world.post("/v1/customers", &[]).await.ok();
    world.post("/v1/products", &[("name", "Pro")]).await.ok();
    settled(&world.sandbox).await;
    assert_eq!(receiver.types(), ["product.created"]);
    assert_eq!(receiver.events()[0]["api_version"], "2025-06-30.basil");

    world.post(&path, &[("disabled", "true")]).await.ok();
    world.post("/v1/products", &[("name", "Max")]).await.ok();
    world.delete(&path).await.ok();
    settled(&world.sandbox).await;
    assert_eq!(receiver.types().len(), 1);
    assert_eq!(world.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_thin_event_is_signed_and_names_its_object() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.sandbox.add_endpoint(Receiver::endpoint(&url));
    let product = id(&world.post("/v1/products", &[("name", "Pro")]).await.ok());
    let sent = world.sandbox.control("POST events/thin", &[("object", &product), ("type", "v1.product.updated")]);
    settled(&world.sandbox).await;
    let received = receiver.events();
    let thin = received.iter().find(|event| event["object"] == "v2.core.event").expect("the thin event");
    assert_eq!(Some(thin), sent.ok().as_ref());
    let related = json!({ "id": product, "type": "product", "url": format!("/v1/products/{product}") });
    assert_eq!(thin["related_object"], related);
    let page = world.page("GET", &format!("/_sandbox/events/{}", id(thin)), &[]).await;
    assert!(page.status == 200 && page.body.contains("delivered"), "{}", page.body);
}

#[tokio::test]
async fn older_versions_get_their_own_fields() {
    let world = World::new().await;
    let (old, old_url) = Receiver::start(&[]).await;
    let (new, new_url) = Receiver::start(&[]).await;
    let version = Some("2024-06-20".to_owned());
    world.sandbox.add_endpoint(Endpoint { api_version: version, ..Receiver::endpoint(&old_url) });
    world.sandbox.add_endpoint(Receiver::endpoint(&new_url));
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);
    world.pay(&session, "4242424242424242").await;
    settled(&world.sandbox).await;

    let object = |receiver: &Receiver, kind: &str| {
        let events = receiver.events();
        let event = events.iter().find(|event| event["type"] == kind).expect("the event");
        event["data"]["object"].clone()
    };
    let (before, after) =
        (object(&old, "customer.subscription.created"), object(&new, "customer.subscription.created"));
    assert_eq!(before["current_period_end"], after["items"]["data"][0]["current_period_end"]);
    assert!(after.get("current_period_end").is_none());
    let (before, after) = (object(&old, "invoice.paid"), object(&new, "invoice.paid"));
    assert_eq!(before["subscription"], after["parent"]["subscription_details"]["subscription"]);
    assert!(after.get("subscription").is_none());

    assert!(before.get("parent").is_none() && before["payment_intent"].is_string() && before["paid"] == true);
    let line = &before["lines"]["data"][0];
    assert!(
        line.get("parent").is_none()
            && line["subscription"] == before["subscription"]
            && line["type"] == "subscription"
    );
    let paid = object(&old, "payment_intent.succeeded");
    assert_eq!((&paid["invoice"], object(&new, "payment_intent.succeeded").get("invoice")), (&before["id"], None));

    let request = world.request("GET", "/v1/subscriptions").header("stripe-version", "2024-06-20");
    let list = world.send(request).await.ok();
    let subscription = &data(&list)[0];
    assert!(subscription["current_period_start"].is_i64());
    assert!(subscription["items"]["data"][0].get("current_period_start").is_none());
}

#[tokio::test]
async fn events_can_be_found_by_type_and_time() {
    let world = World::new().await;
    world.post("/v1/customers", &[]).await.ok();
    world.post("/v1/products", &[("name", "Pro")]).await.ok();
    let count = async |query: &str| data(&world.get(&format!("/v1/events?{query}")).await.ok()).len();
    assert_eq!(count("type=customer.created").await, 1);
    assert_eq!(count("type=customer.*").await, 1);
    assert_eq!(count("types[]=customer.created&types[]=product.created").await, 2);
    assert_eq!(count("created[gte]=1").await, 2);
    assert_eq!(count("created[lt]=1").await, 0);
    let list = world.get("/v1/events").await.ok();
    assert_eq!(data(&list)[0]["type"], "product.created", "newest first");
    assert!(text(&data(&list)[0]["request"], "id").starts_with("req_"));
}

//! The webhook route: only signed events are stored, once, before they are acknowledged.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use engine::axum::webhook;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::databases::{TestDatabase, concurrently};
use crate::host::{App, WEBHOOK_SECRET, request, send};
use crate::samples::NOW;

const PATH: &str = "/api/stripe/webhook";
/// The largest body accepted.
const MAX_BODY: usize = 1024 * 1024;

/// An event of this type about a subscription.
fn event(id: &str, kind: &str) -> String {
    let object = json!({ "id": "sub_1", "object": "subscription", "customer": "cus_1" });
    json!({ "id": id, "object": "event", "type": kind, "created": NOW.0, "data": { "object": object } }).to_string()
}

/// The `Stripe-Signature` header of a body, signed with a secret `age` seconds ago.
fn signature(body: &str, secret: &str, age: i64) -> String {
    let time = NOW.0 - age;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

async fn post(router: &Router, body: String, signature: Option<String>) -> StatusCode {
    let mut request = Request::post(PATH);
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    send(router, request.body(Body::from(body)).unwrap()).await.status
}

/// Delivers a body as Stripe does.
async fn deliver(router: &Router, body: &str) -> StatusCode {
    post(router, body.to_owned(), Some(signature(body, WEBHOOK_SECRET, 0))).await
}

/// The ids and states of all stored events.
async fn stored(database: &TestDatabase) -> Vec<String> {
    let rows = database.texts("SELECT event_id || ' ' || state FROM webhook_event ORDER BY event_id").await;
    rows.into_iter().flatten().collect()
}

on_both_databases! {
    async fn a_signed_event_is_stored_with_its_bytes(database) {
        let router: Router = webhook(&App::on(&database).engine);
        // The signed bytes are stored unchanged, whatever a JSON library would make of them.
        let body = event("evt_1", "customer.subscription.updated").replace(':', " : ");
        assert_eq!(deliver(&router, &body).await, StatusCode::OK);
        assert_eq!(stored(&database).await, ["evt_1 pending"]);
        assert_eq!(database.texts("SELECT payload FROM webhook_event").await, [Some(body)]);
    }

    async fn an_event_without_a_subject_is_stored_as_ignored(database) {
        let router: Router = webhook(&App::on(&database).engine);
        assert_eq!(deliver(&router, &event("evt_1", "price.updated")).await, StatusCode::OK);
        assert_eq!(stored(&database).await, ["evt_1 ignored"]);
    }

    async fn a_thin_event_is_acknowledged_and_ignored(database) {
        let router: Router = webhook(&App::on(&database).engine);
        let related = json!({ "id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1" });
        let kind = "v1.billing.meter.error_report_triggered";
        let body = json!({ "id": "evt_1", "object": "v2.core.event", "type": kind, "related_object": related,
            "created": "2026-01-01T00:00:00.000Z", "livemode": false });
        assert_eq!(deliver(&router, &body.to_string()).await, StatusCode::OK);
        assert_eq!(stored(&database).await, [""; 0]);
        let unsigned = post(&router, body.to_string(), None).await;
        assert_eq!(unsigned, StatusCode::BAD_REQUEST);
    }

    async fn an_event_is_stored_once_however_often_it_is_delivered(database) {
        let router: Router = webhook(&App::on(&database).engine);
        let body = event("evt_1", "customer.subscription.updated");
        let statuses = concurrently(10, |_| {
            let (router, body) = (router.clone(), body.clone());
            async move { deliver(&router, &body).await }
        });
        assert_eq!(statuses.await, [StatusCode::OK; 10]);
        database.execute("UPDATE webhook_event SET state = 'done'").await;
        assert_eq!(deliver(&router, &body).await, StatusCode::OK);
        assert_eq!(stored(&database).await, ["evt_1 done"], "a later delivery does not make it due again");
    }

    async fn an_unsigned_event_is_rejected_and_not_stored(database) {
        let router: Router = webhook(&App::on(&database).engine);
        let body = event("evt_1", "customer.subscription.updated");
        for signature in [
            None,
            Some(String::new()),
            Some("t=1,v1=00".to_owned()),
            Some(signature(&body, "whsec_other", 0)),
            Some(signature(&body, WEBHOOK_SECRET, 301)),
            Some(signature(&body, WEBHOOK_SECRET, -301)),
            Some(signature(&event("evt_2", "customer.subscription.updated"), WEBHOOK_SECRET, 0)),
        ] {
            let status = post(&router, body.clone(), signature.clone()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{signature:?}");
        }
        assert!(stored(&database).await.is_empty());
    }

    async fn a_signed_body_that_is_not_an_event_is_rejected(database) {
        let router: Router = webhook(&App::on(&database).engine);
        for body in ["", "{}", "[]", "null", "event", r#"{"id":"evt_1","type":"invoice.paid","created":1}"#] {
            assert_eq!(deliver(&router, body).await, StatusCode::BAD_REQUEST, "{body}");
        }
        assert!(stored(&database).await.is_empty());
    }

    async fn a_body_of_more_than_a_mebibyte_is_not_read(database) {
        let router: Router = webhook(&App::on(&database).engine);
        let padded = |id: &str, length: usize| {
            let event = event(id, "customer.subscription.updated");
            let padding = " ".repeat(length - event.len());
            event + &padding
        };
        assert_eq!(deliver(&router, &padded("evt_1", MAX_BODY)).await, StatusCode::OK);
        assert_eq!(deliver(&router, &padded("evt_2", MAX_BODY + 1)).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(stored(&database).await, ["evt_1 pending"]);
    }

    async fn stripe_is_asked_to_redeliver_an_event_that_cannot_be_stored(database) {
        let router: Router = webhook(&App::on(&database).engine);
        database.execute("ALTER TABLE webhook_event RENAME TO moved").await;
        let body = event("evt_1", "customer.subscription.updated");
        assert_eq!(deliver(&router, &body).await, StatusCode::INTERNAL_SERVER_ERROR);
        database.execute("ALTER TABLE moved RENAME TO webhook_event").await;
        assert_eq!(deliver(&router, &body).await, StatusCode::OK);
        assert_eq!(stored(&database).await, ["evt_1 pending"]);
    }

    async fn the_route_takes_only_posts_and_needs_no_visitor(database) {
        let app = App::on(&database);
        let router = app.guarded().merge(webhook(&app.engine));
        assert_eq!(request(&router, Method::GET, PATH, None).await.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(deliver(&router, &event("evt_1", "price.updated")).await, StatusCode::OK);
        let response = request(&router, Method::GET, "/reports", None).await;
        assert!(response.headers.contains_key(header::LOCATION), "the gate guards the other routes");
    }
}

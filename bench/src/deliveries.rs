//! Webhook deliveries, signed as Stripe signs them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::load::{Requests, request};
use crate::signature::sign;

/// New events of a type that Tollgate only stores, so that the measurement includes nothing else.
pub struct Deliveries {
    path: &'static str,
    port: u16,
    run: u64,
    next: AtomicU64,
}

impl Deliveries {
    /// Creates deliveries to a path of a local server. Their event ids are unique across all `Deliveries`.
    pub fn new(path: &'static str, port: u16) -> Self {
        static RUN: AtomicU64 = AtomicU64::new(0);
        Self { path, port, run: RUN.fetch_add(1, Ordering::Relaxed), next: AtomicU64::new(0) }
    }

    /// Returns a signed delivery of an event about a subscription.
    pub fn delivery(&self, event_type: &str, id: &str, subscription: &str) -> Vec<u8> {
        let now = engine::clock::Clock::system().now().0;
        let body = json!({
            "id": id, "object": "event", "api_version": "2026-09-30.endive", "created": now, "type": event_type,
            "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null },
            "data": { "object": { "id": subscription, "object": "subscription", "customer": "cus_unknown",
                "currency": "usd", "metadata": { "note": "x".repeat(1_200) } } },
        })
        .to_string();
        let time = now.to_string();
        let signature = format!("t={time},v1={}", hex::encode(sign(&time, body.as_bytes())));
        let headers = [("content-type", "application/json"), ("stripe-signature", signature.as_str())];
        request("POST", self.path, self.port, &headers, body.as_bytes())
    }
}

impl Requests for Deliveries {
    fn request(&self, _: u64) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.delivery("product.updated", &format!("evt_{}_{number}", self.run), "prod_1")
    }
}

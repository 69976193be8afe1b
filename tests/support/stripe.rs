//! Stripe's side of a test: paying on its page, and events as it would send them.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::browser::{Browser, Page};
use super::config::WEBHOOK_SECRETS;

/// A card that pays.
pub const PAYS: &str = "4242424242424242";
/// A card that is declined.
pub const DECLINES: &str = "4000000000000002";
/// A card that can be saved and then fails every charge.
pub const FAILS_LATER: &str = "4000000000000341";
/// A card that asks for 3-D Secure.
pub const THREE_D_SECURE: &str = "4000002500003155";

/// Fills in Stripe's Checkout and submits it, 3-D Secure included.
pub async fn pay(checkout: &str, card: &str) -> Page {
    let fields = [("email", ""), ("name", "Ada Lovelace"), ("number", card), ("expiry", "12/40"), ("cvc", "123")];
    let page = Browser::new("").post(checkout, &fields).await;
    if page.status == 303 && page.location().ends_with("/authenticate") {
        let authenticate = format!("{checkout}/authenticate");
        return Browser::new("").post(&authenticate, &[("outcome", "complete")]).await;
    }
    page
}

/// An event about an object, as Stripe renders it.
pub fn event(id: &str, kind: &str, object: &Value) -> String {
    json!({
        "id": id, "object": "event", "type": kind, "api_version": "2026-09-30.endive",
        "created": now(), "livemode": false, "data": { "object": object },
    })
    .to_string()
}

/// Delivers a body, signed with the first of our secrets. Returns the status of the response.
pub async fn deliver(url: String, body: String) -> u16 {
    let header = signed(&body, &WEBHOOK_SECRETS[..1], 0);
    let request = Browser::new(&url).request(reqwest::Method::POST, "/api/stripe/webhook");
    Page::of(request.body(body).header("stripe-signature", header)).await.status
}

/// The `Stripe-Signature` of a body: one `v1` for each secret, made `age` seconds ago.
pub fn signed(body: impl AsRef<[u8]>, secrets: &[&str], age: i64) -> String {
    let time = now() - age;
    let signatures = secrets.iter().map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(body.as_ref());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(",v1={hex}")
    });
    format!("t={time}{}", signatures.collect::<String>())
}

fn now() -> i64 {
    engine::clock::Clock::system().now().0
}

//! Restricted keys: which permissions a call needs, and whether its key has them.
//!
//! A call needs permission to read or write the resource in its path, and to read every resource that it
//! expands. Source: "Restricted API keys" and "Expanding responses", docs.stripe.com.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::{Store, Tx};

/// The kind of a stored restricted key.
const KIND: &str = "_restricted_key";

/// The resource of each path, the longer prefix first.
const RESOURCES: &[(&str, &str)] = &[
    ("/v1/account", "account"),
    ("/v1/billing/meter_events", "billing_meter_event"),
    ("/v1/billing/meters", "billing_meter"),
    ("/v1/billing_portal", "customer_portal"),
    ("/v1/charges", "charge"),
    ("/v1/checkout", "checkout_session"),
    ("/v1/credit_notes", "credit_note"),
    ("/v1/customers", "customer"),
    ("/v1/disputes", "dispute"),
    ("/v1/events", "event"),
    ("/v1/invoice", "invoice"),
    ("/v1/payment_intents", "payment_intent"),
    ("/v1/payment_methods", "payment_method"),
    ("/v1/prices", "price"),
    ("/v1/products", "product"),
    ("/v1/refunds", "charge"),
    ("/v1/setup_intents", "setup_intent"),
    ("/v1/subscription", "subscription"),
    ("/v1/webhook_endpoints", "webhook"),
];

/// The resource behind a field that can be expanded.
const EXPANSIONS: &[(&str, &str)] = &[
    ("customer", "customer"),
    ("default_payment_method", "payment_method"),
    ("latest_charge", "charge"),
    ("latest_invoice", "invoice"),
    ("payment_intent", "payment_intent"),
    ("payment_method", "payment_method"),
    ("payments", "invoice"),
    ("refunds", "charge"),
    ("subscription", "subscription"),
];

/// Returns whether this is a restricted key of the sandbox.
pub(crate) fn is_known(store: &Store, key: &str) -> bool {
    store.get(&id(key)).is_some()
}

/// Creates a restricted key, or replaces its permissions, such as `customer_read` and `checkout_session_write`.
pub(crate) fn grant(tx: &mut Tx<'_>, key: &str, permissions: &[&str]) {
    tx.put(json!({ "id": id(key), "object": KIND, "permissions": permissions, "created": tx.now() }));
}

/// Checks that a key may make a call; one that is not restricted may make any.
///
/// # Errors
/// Stripe's 403, which contains the missing permission.
pub(crate) fn check(
    store: &Store,
    key: &str,
    method: &str,
    path: &str,
    parameters: &[(String, String)],
) -> Result<(), ApiError> {
    let Some(restricted) = store.get(&id(key)) else { return Ok(()) };
    let has = |permission: &str| restricted.list("permissions").iter().any(|held| held.as_str() == Some(permission));
    let missing = needed(method, path, parameters).into_iter().find(|(resource, writes)| {
        let may_write = has(&format!("{resource}_write"));
        !(may_write || (!writes && has(&format!("{resource}_read"))))
    });
    let Some((resource, writes)) = missing else { return Ok(()) };
    let account = store.newest("account").next().map_or("", |account| account.text("id"));
    let access = if writes { "write" } else { "read" };
    let shown: String = key.chars().take(8).collect();
    Err(ApiError::forbidden(format!(
        "The provided key '{shown}*********' does not have the required permissions for this endpoint on account '{account}'. Having the 'rak_{resource}_{access}' permission would allow this request to continue."
    )))
}

/// Returns the resources that a call reads or writes.
fn needed(method: &str, path: &str, parameters: &[(String, String)]) -> Vec<(&'static str, bool)> {
    let own = RESOURCES.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, resource)| *resource);
    let expanded =
        parameters.iter().filter(|(name, _)| name.starts_with("expand")).flat_map(|(_, path)| path.split('.'));
    let expanded = expanded.filter_map(|field| EXPANSIONS.iter().find(|(name, _)| *name == field));
    let own = own.map(|resource| (resource, method != "GET"));
    own.into_iter().chain(expanded.map(|(_, resource)| (*resource, false))).collect()
}

fn id(key: &str) -> String {
    format!("{KIND}:{key}")
}

/// Reads the permissions of a control call: separated by spaces or commas.
pub(crate) fn listed(params: &Value) -> Vec<&str> {
    params.text("permissions").split([' ', ',']).filter(|permission| !permission.is_empty()).collect()
}

//! A customer.

use billing::CustomerId;
use billing::ledger::Customer;
use serde_json::Value;

use super::{Named, ShapeError, text, words};

/// Reads a customer, with whose it is by our own word. One that was deleted has nothing but its id.
///
/// # Errors
/// No id.
pub fn customer(value: &Value) -> Result<Named<Customer>, ShapeError> {
    let missing = |field| ShapeError { object: "customer", field };
    let object = Customer {
        id: CustomerId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        email: words(value, "/email"),
        name: words(value, "/name"),
        is_deleted: value.get("deleted").and_then(Value::as_bool).unwrap_or(false),
    };
    Ok(Named { object, account: words(value, "/metadata/account_id") })
}

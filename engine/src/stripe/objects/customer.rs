//! A customer.

use billing::CustomerId;
use billing::ledger::Customer;
use serde_json::Value;

use super::read::{Named, ObjectError, flag, id_of, non_empty, text};

/// Reads a customer, with the account in its metadata. A deleted customer has only its id.
pub fn customer(value: &Value) -> Result<Named<Customer>, ObjectError> {
    let missing = |field| ObjectError { object: "customer", field };
    let object = Customer {
        id: CustomerId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        email: non_empty(value, "/email"),
        name: non_empty(value, "/name"),
        is_deleted: flag(value, "/deleted"),
    };
    Ok(Named {
        object,
        account: non_empty(value, "/metadata/account_id"),
        method: id_of(value, "/invoice_settings/default_payment_method"),
    })
}

//! A dispute of a charge.

use billing::ledger::{Dispute, DisputeStatus};
use serde_json::Value;

use super::read::{ObjectError, non_empty, number, text, time};

/// Reads a dispute.
pub fn dispute(value: &Value) -> Result<Dispute, ObjectError> {
    let missing = |field| ObjectError { object: "dispute", field };
    Ok(Dispute {
        id: text(value, "/id").ok_or_else(|| missing("id"))?.to_owned(),
        amount: number(value, "/amount").ok_or_else(|| missing("amount"))?,
        status: DisputeStatus::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned()),
        reason: non_empty(value, "/reason"),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
    })
}

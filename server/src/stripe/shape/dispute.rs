//! A dispute of a charge.

use billing::ledger::{Dispute, DisputeStatus};
use serde_json::Value;

use super::{ShapeError, number, text, time, words};

/// Reads a dispute.
///
/// # Errors
/// No id, status, amount or time.
pub fn dispute(value: &Value) -> Result<Dispute, ShapeError> {
    let missing = |field| ShapeError { object: "dispute", field };
    Ok(Dispute {
        id: text(value, "/id").ok_or_else(|| missing("id"))?.to_owned(),
        amount: number(value, "/amount").ok_or_else(|| missing("amount"))?,
        status: DisputeStatus::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned()),
        reason: words(value, "/reason"),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
    })
}

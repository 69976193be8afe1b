//! Disputes and inquiries.
//!
//! Invariant: a dispute withdraws the money when it opens, and reinstates it only when it is won; an
//! inquiry withdraws none. The evidence decides, as in Stripe's test mode:
//! `winning_evidence` wins, `losing_evidence` loses, and a missed deadline loses. Proved by
//! `the_evidence_decides_a_dispute`.

use serde_json::{Value, json};

use crate::cards::Complaint;
use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::{Fields, merge_metadata};
use crate::ids;
use crate::objects;
use crate::store::Tx;

/// The time to respond, in seconds.
const RESPONSE_TIME: i64 = 9 * DAY;
/// The time that the bank takes to review evidence, in seconds.
const REVIEW: i64 = 60;
/// Stripe's fee for a formal dispute.
const FEE: i64 = 1_500;

/// The outcome of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Won,
    Lost,
}

/// Opens a dispute or an inquiry about a paid charge.
///
/// # Errors
/// The charge is not paid, or is already disputed.
pub(crate) fn open(tx: &mut Tx<'_>, charge: &str, complaint: Complaint) -> Result<Value, ApiError> {
    let charge = tx.find("charge", charge)?;
    if !charge.flag("paid") || charge.flag("disputed") {
        return Err(ApiError::invalid("", "Only a paid charge that is not already disputed can be disputed."));
    }
    let due_by = tx.now() + RESPONSE_TIME;
    let mut dispute = objects::dispute(&charge, complaint.reason, complaint.inquiry, due_by, tx.now());
    dispute.set("_closes_at", due_by);
    tx.quietly(charge.text("id"), |charge| charge.set("disputed", true));
    tx.create("charge.dispute.created", &dispute);
    if !complaint.inquiry {
        let amount = -charge.int("amount");
        dispute = book(tx, &dispute, amount, FEE, "charge.dispute.funds_withdrawn")?;
    }
    Ok(dispute)
}

/// Records a balance transaction.
fn book(tx: &mut Tx<'_>, dispute: &Value, amount: i64, fee: i64, event: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    let movement = json!({
        "id": ids::new("txn_"), "object": "balance_transaction", "amount": amount, "available_on": now,
        "created": now, "currency": dispute["currency"], "description": null, "exchange_rate": null,
        "fee": fee, "fee_details": [], "net": amount - fee, "reporting_category": "dispute",
        "source": dispute["id"], "status": "available", "type": "adjustment",
    });
    tx.change(dispute.text("id"), event, |dispute| {
        let mut movements = dispute.list("balance_transactions").to_vec();
        movements.push(movement);
        dispute.set("balance_transactions", movements);
    })
}

fn needs_response(dispute: &Value) -> bool {
    matches!(dispute.text("status"), "needs_response" | "warning_needs_response")
}

fn is_inquiry(dispute: &Value) -> bool {
    dispute.text("status").starts_with("warning_")
}

/// Adds evidence and metadata; submitted evidence is reviewed.
pub(crate) fn respond(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    let dispute = tx.find("dispute", id)?;
    let evidence = params.get("evidence").and_then(Value::as_object);
    if evidence.is_some() && !needs_response(&dispute) {
        let message = "This dispute is not in a state that accepts evidence.";
        return Err(ApiError::invalid("", message));
    }
    let submits = evidence.is_some() && params.get("submit").and_then(Value::as_bool).unwrap_or(true);
    let now = tx.now();
    let escalates = is_inquiry(&dispute) && evidence_text(params) == "escalate_inquiry_evidence";
    let updated = tx.change(id, "charge.dispute.updated", |dispute| {
        merge_metadata(dispute, params);
        for (name, value) in evidence.into_iter().flatten() {
            let value = if value.as_str().is_some_and(str::is_empty) { Value::Null } else { value.clone() };
            dispute["evidence"].set(name, value);
        }
        if evidence.is_some() {
            dispute["evidence_details"].set("has_evidence", true);
        }
        if escalates {
            dispute.set("status", "needs_response");
            dispute.set("is_charge_refundable", false);
        } else if submits {
            let count = dispute["evidence_details"].int("submission_count") + 1;
            dispute["evidence_details"].set("submission_count", count);
            dispute.set("status", if is_inquiry(dispute) { "warning_under_review" } else { "under_review" });
            dispute.set("_closes_at", verdict_of(dispute).map(|_| now + REVIEW));
        }
    })?;
    if escalates {
        return book(tx, &updated, -updated.int("amount"), FEE, "charge.dispute.funds_withdrawn");
    }
    Ok(updated)
}

fn evidence_text(with_evidence: &Value) -> &str {
    with_evidence["evidence"].text("uncategorized_text")
}

/// Returns the verdict for submitted evidence; `None` if the bank does not decide.
fn verdict_of(dispute: &Value) -> Option<Verdict> {
    match evidence_text(dispute) {
        "winning_evidence" => Some(Verdict::Won),
        "losing_evidence" => Some(Verdict::Lost),
        _ => None,
    }
}

/// Closes a dispute after its review or deadline.
pub(crate) fn decide(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let dispute = tx.find("dispute", id)?;
    let verdict = verdict_of(&dispute).filter(|_| !needs_response(&dispute)).unwrap_or(Verdict::Lost);
    close(tx, id, verdict)
}

/// Closes an open dispute. An inquiry has no winner.
pub(crate) fn close(tx: &mut Tx<'_>, id: &str, verdict: Verdict) -> Result<Value, ApiError> {
    let dispute = tx.find("dispute", id)?;
    if matches!(dispute.text("status"), "won" | "lost" | "warning_closed") {
        return Err(ApiError::invalid("", "This dispute is already closed."));
    }
    let status = match verdict {
        _ if is_inquiry(&dispute) => "warning_closed",
        Verdict::Won => "won",
        Verdict::Lost => "lost",
    };
    let past_due = needs_response(&dispute) && dispute["evidence_details"].int("due_by") <= tx.now();
    let closed = tx.change(id, "charge.dispute.closed", |dispute| {
        dispute.set("status", status);
        dispute.set("_closes_at", Value::Null);
        dispute["evidence_details"].set("past_due", past_due);
    })?;
    if status == "won" {
        return book(tx, &closed, closed.int("amount"), 0, "charge.dispute.funds_reinstated");
    }
    Ok(closed)
}

//! A PaymentIntent with its latest charge.

use billing::ledger::{Card, Payment, PaymentStatus, Refund};
use billing::{CustomerId, PaymentIntentId};
use serde_json::Value;

use super::read::{Named, ObjectError, elements, flag, id_of, money, non_empty, number, text, time};

/// Reads a PaymentIntent with its latest charge and the account in its metadata. Disputes are separate
/// objects: see [`super::dispute`].
pub fn payment(value: &Value) -> Result<Named<Payment>, ObjectError> {
    let missing = |field| ObjectError { object: "payment_intent", field };
    let charge = latest_charge(value);
    let object = Payment {
        id: PaymentIntentId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        customer: id_of(value, "/customer").map(CustomerId::new),
        status: PaymentStatus::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned()),
        amount: money(value, "/amount").ok_or_else(|| missing("amount"))?,
        description: non_empty(value, "/description"),
        charge: id_of(value, "/latest_charge").or_else(|| charge.and_then(|charge| id_of(charge, "/id"))),
        amount_refunded: charge.and_then(|charge| number(charge, "/amount_refunded")).unwrap_or_default(),
        refunds: charge.map(refunds).unwrap_or_default(),
        is_disputed: charge.is_some_and(|charge| flag(charge, "/disputed")),
        disputes: Vec::new(),
        card: charge.and_then(card),
        receipt_url: charge.and_then(|charge| non_empty(charge, "/receipt_url")),
        failure: non_empty(value, "/last_payment_error/message"),
        failure_code: non_empty(value, "/last_payment_error/code"),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
    };
    // A declined payment has its method only in the error or on its charge.
    let methods = ["/payment_method", "/last_payment_error/payment_method", "/latest_charge/payment_method"];
    Ok(Named {
        object,
        account: non_empty(value, "/metadata/account_id"),
        method: methods.iter().find_map(|pointer| id_of(value, pointer)),
    })
}

/// Returns the latest charge. Before `2022-11-15` a PaymentIntent had a list of charges, the latest first.
fn latest_charge(intent: &Value) -> Option<&Value> {
    intent.get("latest_charge").filter(|charge| charge.is_object()).or_else(|| elements(intent, "/charges").first())
}

fn refunds(charge: &Value) -> Vec<Refund> {
    let read = |refund: &Value| {
        Some(Refund {
            id: non_empty(refund, "/id")?,
            amount: number(refund, "/amount")?,
            status: non_empty(refund, "/status").unwrap_or_default(),
            created: time(refund, "/created")?,
        })
    };
    let mut refunds: Vec<Refund> = elements(charge, "/refunds").iter().filter_map(read).collect();
    refunds.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    refunds
}

fn card(charge: &Value) -> Option<Card> {
    let card = charge.pointer("/payment_method_details/card")?;
    Some(Card { brand: non_empty(card, "/brand")?, last4: non_empty(card, "/last4")? })
}

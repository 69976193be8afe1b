//! Credit notes.

use serde_json::{Value, json};

use crate::fields::metadata;
use crate::ids;
use crate::objects::invoice::Invoice;

/// The amounts of a credit note.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreditedAmounts {
    /// The part that reduces the amount due of an open invoice.
    pub(crate) pre_payment: i64,
    /// The part that was already paid.
    pub(crate) post_payment: i64,
    /// The part recorded as credited outside Stripe.
    pub(crate) out_of_band: i64,
}

/// Creates a credit note of an invoice.
pub(crate) fn credit_note(
    invoice: &Invoice,
    amounts: CreditedAmounts,
    number: &str,
    pdf: &str,
    refunds: &[Value],
    params: &Value,
    now: i64,
) -> Value {
    let id = ids::new("cn_");
    let amount = amounts.pre_payment + amounts.post_payment;
    let line = json!({
        "id": ids::new("cnli_"), "object": "credit_note_line_item", "amount": amount, "description": "Credit",
        "discount_amount": 0, "discount_amounts": [], "livemode": false, "metadata": {}, "pretax_credit_amounts": [],
        "quantity": 1, "tax_rates": [], "taxes": [], "type": "custom_line_item", "unit_amount": amount,
        "unit_amount_decimal": amount.to_string(),
    });
    json!({
        "id": id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": now,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "customer_account": null,
        "customer_balance_transaction": null,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": now,
        "invoice": invoice.id,
        "lines": crate::fields::list_of(&[line], &format!("/v1/credit_notes/{id}/lines")),
        "livemode": false,
        "memo": params["memo"],
        "metadata": metadata(params),
        "number": number,
        "out_of_band_amount": Some(amounts.out_of_band).filter(|amount| *amount > 0),
        "pdf": pdf,
        "post_payment_amount": amounts.post_payment,
        "pre_payment_amount": amounts.pre_payment,
        "pretax_credit_amounts": [],
        "reason": params["reason"],
        "refunds": refunds.iter().map(|refund| json!({
            "amount_refunded": refund["amount"], "payment_record_refund": null, "refund": refund["id"], "type": "refund",
        })).collect::<Vec<_>>(),
        "shipping_cost": null,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": if amounts.post_payment > 0 { "post_payment" } else { "pre_payment" },
        "voided_at": null,
    })
}

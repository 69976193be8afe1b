//! Payment methods, SetupIntents, charges, refunds and disputes.

use serde_json::{Map, Value, json};

use crate::banks::{self, TestAccount};
use crate::cards::TestCard;
use crate::fields::{Fields, metadata};
use crate::ids;
use crate::objects::payment_intent::PaymentIntent;

/// Creates an unattached card. `_number` determines its behavior and never leaves the sandbox.
pub(crate) fn card_method(card: &TestCard, expiry: (i64, i64), now: i64) -> Value {
    payment_method("card", &card_details(card, expiry), card.number, now)
}

fn card_details(card: &TestCard, (exp_month, exp_year): (i64, i64)) -> Value {
    let last4 = &card.number[card.number.len() - 4..];
    json!({
        "brand": card.brand,
        "checks": {
            "address_line1_check": null, "address_postal_code_check": null,
            "cvc_check": "pass",
        },
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": ids::fingerprint(card.number),
        "funding": "credit",
        "generated_from": null,
        "last4": last4,
        "networks": { "available": [card.brand], "preferred": null },
        "regulated_status": "unregulated",
        "three_d_secure_usage": { "supported": true },
        "wallet": null,
    })
}

/// Creates an unattached payment method of a Link account: of the type `link`, or the card in it. That card has
/// another fingerprint than without Link.
pub(crate) fn link_method(email: &str, kind: &str, card: &TestCard, expiry: (i64, i64), now: i64) -> Value {
    let mut details = json!({ "email": email, "persistent_token": null });
    if kind == "card" {
        details = card_details(card, expiry);
        details.set("fingerprint", ids::fingerprint(&format!("link:{email}:{}", card.number)));
        details.set("wallet", json!({ "dynamic_last4": null, "link": {}, "type": "link" }));
    }
    let mut method = payment_method(kind, &details, card.number, now);
    method["billing_details"].set("email", email);
    method
}

/// Returns whether a payment method is that of a Link account.
pub(crate) fn is_link(method: &Value) -> bool {
    method.text("type") == "link" || method["card"]["wallet"].text("type") == "link"
}

/// Creates an unattached bank account.
pub(crate) fn bank_method(account: &TestAccount, now: i64) -> Value {
    payment_method(account.kind, &banks::details(account), account.number, now)
}

fn payment_method(kind: &str, details: &Value, number: &str, now: i64) -> Value {
    json!({
        "id": ids::new("pm_"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(),
        (kind): details,
        "created": now,
        "customer": null,
        "livemode": false,
        "metadata": {},
        "type": kind,
        "_number": number,
    })
}

pub(crate) fn billing_details() -> Value {
    json!({
        "address": {
            "city": null, "country": null, "line1": null, "line2": null, "postal_code": null,
            "state": null,
        },
        "email": null, "name": null, "phone": null, "tax_id": null,
    })
}

pub(crate) fn setup_intent(customer: Option<&str>, usage: &str, now: i64) -> Value {
    let id = ids::new("seti_");
    let secret = ids::client_secret(&id);
    json!({
        "id": id,
        "object": "setup_intent",
        "application": null,
        "automatic_payment_methods": null,
        "cancellation_reason": null,
        "client_secret": secret,
        "created": now,
        "customer": customer,
        "description": null,
        "excluded_payment_method_types": null,
        "flow_directions": null,
        "last_setup_error": null,
        "latest_attempt": null,
        "livemode": false,
        "mandate": null,
        "metadata": {},
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": null,
        "payment_method_configuration_details": null,
        "payment_method_options": {
            "card": { "mandate_options": null, "network": null,
                      "request_three_d_secure": "automatic" },
        },
        "payment_method_types": ["card"],
        "single_use_mandate": null,
        "status": "requires_payment_method",
        "usage": usage,
    })
}

/// Creates the charge of a payment attempt; `failure` is the code, the message and the decline code.
pub(crate) fn charge(intent: &PaymentIntent, method: &Value, failure: Option<(&str, &str, &str)>, now: i64) -> Value {
    let paid = failure.is_none();
    let (code, message) = failure.map_or((None, None), |(code, message, _)| (Some(code), Some(message)));
    let outcome = match failure {
        None => json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
            "risk_score": 12, "seller_message": "Payment complete.", "type": "authorized",
        }),
        Some((_, _, decline)) => json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "declined_by_network", "reason": decline, "risk_level": "normal",
            "risk_score": 12, "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        }),
    };
    json!({
        "id": ids::new("ch_"),
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": if paid { intent.amount } else { 0 },
        "amount_refunded": 0,
        "application": null,
        "application_fee": null,
        "application_fee_amount": null,
        "balance_transaction": null,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": paid,
        "created": now,
        "currency": intent.currency,
        "customer": intent.customer,
        "description": intent.description,
        "destination": null,
        "dispute": null,
        "disputed": false,
        "failure_balance_transaction": null,
        "failure_code": code,
        "failure_message": message,
        "fraud_details": {},
        "livemode": false,
        "metadata": intent.metadata,
        "on_behalf_of": null,
        "order": null,
        "outcome": outcome,
        "paid": paid,
        "payment_intent": intent.id,
        "payment_method": method["id"],
        "payment_method_details": payment_method_details(intent, method, paid),
        "radar_options": {},
        "receipt_email": intent.receipt_email,
        "receipt_number": null,
        "receipt_url": null,
        "refunded": false,
        "review": null,
        "shipping": intent.shipping,
        "source": null,
        "source_transfer": null,
        "statement_descriptor": intent.statement_descriptor,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix,
        "status": if paid { "succeeded" } else { "failed" },
        "transfer_data": null,
        "transfer_group": null,
        "_invoice": intent.invoice,
    })
}

/// Returns the `payment_method_details` of a charge.
fn payment_method_details(intent: &PaymentIntent, method: &Value, paid: bool) -> Value {
    match method.text("type") {
        "card" => {}
        "link" => return json!({ "link": { "country": null }, "type": "link" }),
        kind => return json!({ (kind): method[kind], "type": kind }),
    }
    let card = &method["card"];
    json!({
        "card": {
            "amount_authorized": paid.then_some(intent.amount),
            "authorization_code": null,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "extended_authorization": { "status": "disabled" },
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": { "status": "unavailable" },
            "installments": null,
            "last4": card["last4"],
            "mandate": null,
            "multicapture": { "status": "unavailable" },
            "network": card["brand"],
            "network_token": { "used": false },
            "network_transaction_id": null,
            "overcapture": { "maximum_amount_capturable": intent.amount, "status": "unavailable" },
            "regulated_status": "unregulated",
            "three_d_secure": null,
            "wallet": card["wallet"],
        },
        "type": "card",
    })
}

pub(crate) fn refund(charge: &Value, amount: i64, reason: Option<&str>, params: &Value, now: i64) -> Value {
    json!({
        "id": ids::new("re_"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": null,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "destination_details": destination(charge),
        "metadata": metadata(params),
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": "succeeded",
        "transfer_reversal": null,
    })
}

/// Returns the destination of a charge's refund.
fn destination(charge: &Value) -> Value {
    match charge["payment_method_details"].text("type") {
        "card" => json!({
            "card": {
                "reference": null, "reference_status": "pending",
                "reference_type": "acquirer_reference_number", "type": "refund",
            },
            "type": "card",
        }),
        kind => json!({ (kind): {}, "type": kind }),
    }
}

/// The evidence fields of a dispute.
const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// Creates a dispute.
pub(crate) fn dispute(charge: &Value, reason: &str, inquiry: bool, due_by: i64, now: i64) -> Value {
    let mut evidence: Map<String, Value> = EVIDENCE.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    evidence.insert("enhanced_evidence".to_owned(), json!({}));
    let kind = charge["payment_method_details"].text("type");
    json!({
        "id": ids::new("du_"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": due_by, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": false,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            (kind): {
                "brand": charge["payment_method_details"][kind]["brand"],
                "case_type": if inquiry { "inquiry" } else { "chargeback" },
                "network_reason_code": if reason == "fraudulent" { "10.4" } else { "13.1" },
            },
            "type": kind,
        },
        "reason": reason,
        "status": if inquiry { "warning_needs_response" } else { "needs_response" },
    })
}

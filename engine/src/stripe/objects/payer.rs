//! The identity of the person who pays, read from a payment method.

use billing::email::Email;
use serde_json::Value;

use super::read::{non_empty, text};

/// Something that stays the same when the same person pays again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayerIdentity {
    /// A card, by Stripe's fingerprint.
    Card(String),
    /// The canonical e-mail address of a Link account or a wallet. Their cards have other fingerprints.
    Email(String),
    /// Another account, by the type of the payment method and an id, such as `sepa_debit:…`.
    Account(String),
}

/// Reads everything that identifies the payer of an expanded payment method.
pub fn payer_identities(method: &Value) -> Vec<PayerIdentity> {
    let kind = text(method, "/type").unwrap_or("card");
    let email = |pointer: &str| {
        let email = Email::parse(text(method, pointer)?).ok()?;
        Some(PayerIdentity::Email(email.canonical()))
    };
    let account = |field: &str| {
        let id = non_empty(method, &format!("/{kind}/{field}"))?;
        Some(PayerIdentity::Account(format!("{kind}:{id}")))
    };
    let card = non_empty(method, "/card/fingerprint").map(PayerIdentity::Card);
    let has_wallet = method.pointer("/card/wallet").is_some_and(Value::is_object);
    let own = match kind {
        "card" => None,
        "link" => email("/link/email"),
        "paypal" => account("payer_id"),
        "cashapp" => account("buyer_id"),
        _ => account("fingerprint"),
    };
    let wallet = if has_wallet { email("/billing_details/email") } else { None };
    [card, own, wallet].into_iter().flatten().collect()
}

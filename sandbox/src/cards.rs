//! Stripe's test cards and how each of them behaves.
//!
//! Invariant: a card's behaviour is a function of its number alone.
//! Source: "Test card numbers", docs.stripe.com/testing.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;

/// What happens when a card is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Pays,
    /// Refused when it is saved and when it is charged.
    Declines(Decline),
    /// Can be saved; every charge is refused.
    DeclinesCharges,
    /// Asks for 3-D Secure, unless it was set up with it before.
    AuthenticatesOnce,
    /// Asks for 3-D Secure at every payment.
    AuthenticatesAlways,
    /// Pays, and the cardholder complains to the bank at once.
    Disputed(Complaint),
    /// Pays; a refund is pending for a while.
    RefundsLate,
    /// Pays; a refund succeeds, and fails afterwards.
    RefundsFail,
}

/// What a cardholder tells the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// One of Stripe's reasons, e.g. `fraudulent`.
    pub(crate) reason: &'static str,
    /// Whether the bank only asks, and takes no money yet.
    pub(crate) inquiry: bool,
}

/// A refusal, as the issuer gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

impl Decline {
    pub(crate) fn error(self) -> ApiError {
        ApiError::card(self.code, self.decline_code, self.message)
    }
}

/// The plain "no" of an issuer.
pub(crate) const GENERIC: Decline = decline("card_declined", Some("generic_decline"), "Your card was declined.");

/// The "no" to a payment without the cardholder that needs 3-D Secure.
pub(crate) const AUTHENTICATION_REQUIRED: Decline = decline(
    "authentication_required",
    Some("authentication_required"),
    "Your card was declined. This transaction requires authentication.",
);

const fn decline(code: &'static str, decline_code: Option<&'static str>, message: &'static str) -> Decline {
    Decline { code, decline_code, message }
}

/// A card that Stripe's documentation offers for tests.
#[derive(Debug)]
pub(crate) struct TestCard {
    pub(crate) number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) country: &'static str,
    pub(crate) behaviour: Behaviour,
    /// The token without its prefix: `visa` for `pm_card_visa` and `tok_visa`.
    token: &'static str,
    /// What the Checkout page says of it; `""` keeps it off the list there.
    pub(crate) note: &'static str,
}

const fn card(number: &'static str, token: &'static str, behaviour: Behaviour, note: &'static str) -> TestCard {
    TestCard { number, brand: "visa", country: "US", behaviour, token, note }
}

const fn disputed(reason: &'static str, inquiry: bool) -> Behaviour {
    Behaviour::Disputed(Complaint { reason, inquiry })
}

const fn branded(number: &'static str, token: &'static str, brand: &'static str) -> TestCard {
    TestCard { number, brand, country: "US", behaviour: Behaviour::Pays, token, note: "" }
}

/// Every card that has a meaning here. Other valid numbers are refused like live cards are in
/// test mode.
pub(crate) const CARDS: &[TestCard] = &[
    card("4242424242424242", "visa", Behaviour::Pays, "Pays"),
    card("4000000000000002", "chargeDeclined", Behaviour::Declines(GENERIC), "Is declined"),
    card("4000000000000341", "chargeCustomerFail", Behaviour::DeclinesCharges, "Can be saved, then every charge fails"),
    card("4000002500003155", "authenticationRequiredOnSetup", Behaviour::AuthenticatesOnce, "Asks for 3-D Secure"),
    card(
        "4000000000009995",
        "chargeDeclinedInsufficientFunds",
        Behaviour::Declines(decline("card_declined", Some("insufficient_funds"), "Your card has insufficient funds.")),
        "Has insufficient funds",
    ),
    card(
        "4000000000000069",
        "chargeDeclinedExpiredCard",
        Behaviour::Declines(decline("expired_card", None, "Your card has expired.")),
        "",
    ),
    card(
        "4000000000000127",
        "chargeDeclinedIncorrectCvc",
        Behaviour::Declines(decline("incorrect_cvc", None, "Your card's security code is incorrect.")),
        "",
    ),
    card(
        "4000000000000119",
        "chargeDeclinedProcessingError",
        Behaviour::Declines(decline(
            "processing_error",
            None,
            "An error occurred while processing your card. Try again in a little bit.",
        )),
        "",
    ),
    card("4000000000000259", "createDispute", disputed("fraudulent", false), "Pays, and is disputed"),
    card("4000000000002685", "createDisputeProductNotReceived", disputed("product_not_received", false), ""),
    card("4000000000001976", "createDisputeInquiry", disputed("fraudulent", true), "Pays, and the bank inquires"),
    card("4000000000007726", "pendingRefund", Behaviour::RefundsLate, "Pays; refunds are pending first"),
    card("4000000000005126", "refundFail", Behaviour::RefundsFail, "Pays; refunds fail later"),
    card("4000002760003184", "authenticationRequired", Behaviour::AuthenticatesAlways, ""),
    card("4000000000003220", "threeDSecure2Required", Behaviour::AuthenticatesAlways, ""),
    card("4000056655665556", "visa_debit", Behaviour::Pays, ""),
    branded("5555555555554444", "mastercard", "mastercard"),
    branded("378282246310005", "amex", "amex"),
    branded("6011111111111117", "discover", "discover"),
];

/// The card of a number, digits only.
pub(crate) fn by_number(number: &str) -> Option<&'static TestCard> {
    CARDS.iter().find(|card| card.number == number)
}

/// The card of `pm_card_…` or `tok_…`.
pub(crate) fn by_token(id: &str) -> Option<&'static TestCard> {
    let token = id.strip_prefix("pm_card_").or_else(|| id.strip_prefix("tok_"))?;
    // A brand may stand before what happens: `pm_card_visa_chargeDeclined`.
    let token = token.strip_prefix("visa_charge").map_or(token, |_| &token["visa_".len()..]);
    CARDS.iter().find(|card| card.token == token)
}

/// How a stored payment method behaves.
pub(crate) fn behaviour(method: &Value) -> Behaviour {
    by_number(method.text("_number")).map_or(Behaviour::Pays, |card| card.behaviour)
}

/// What keeps a payment method from being saved.
pub(crate) fn refusal_to_save(behaviour: Behaviour) -> Option<Decline> {
    match behaviour {
        Behaviour::Declines(decline) => Some(decline),
        _ => None,
    }
}

/// What keeps it from being charged, 3-D Secure aside.
pub(crate) fn refusal_to_pay(behaviour: Behaviour) -> Option<Decline> {
    match behaviour {
        Behaviour::Declines(decline) => Some(decline),
        Behaviour::DeclinesCharges => Some(GENERIC),
        _ => None,
    }
}

/// Whether the cardholder must authenticate a payment (or, for `saved`, one that was set up
/// with 3-D Secure before).
pub(crate) fn asks_for_authentication(behaviour: Behaviour, saved: bool) -> bool {
    match behaviour {
        Behaviour::AuthenticatesAlways => true,
        Behaviour::AuthenticatesOnce => !saved,
        _ => false,
    }
}

/// The checksum that every card number carries.
pub(crate) fn luhn(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            match index % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::{CARDS, luhn};

    #[test]
    fn every_test_card_passes_the_checksum() {
        for card in CARDS {
            assert!(luhn(card.number), "{}", card.number);
        }
        assert!(!luhn("4242424242424241"));
    }
}

//! Stripe's test cards and their behavior.
//!
//! Invariant: a card's behavior depends only on its number.
//! Source: "Test card numbers", docs.stripe.com/testing.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;

/// The behavior of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    Pays,
    /// Declined both when it is saved and when it is charged.
    Declines(Decline),
    /// Can be saved, but every charge is declined.
    DeclinesCharges,
    /// Requires 3-D Secure, unless it was already set up with it.
    AuthenticatesOnce,
    /// Requires 3-D Secure for every payment.
    AuthenticatesAlways,
    /// Pays, and is disputed immediately.
    Disputed(Complaint),
    /// Pays; a refund is pending for a day.
    RefundsLate,
    /// Pays; a refund succeeds first and fails a day later.
    RefundsFail,
}

/// A cardholder's complaint to the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// One of Stripe's reasons, e.g. `fraudulent`.
    pub(crate) reason: &'static str,
    /// Whether the bank only inquires, without withdrawing the money.
    pub(crate) inquiry: bool,
}

/// An issuer's decline.
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

/// A decline without a specific reason.
pub(crate) const GENERIC: Decline = decline("card_declined", Some("generic_decline"), "Your card was declined.");

/// The decline of an off-session payment that requires 3-D Secure.
pub(crate) const AUTHENTICATION_REQUIRED: Decline = decline(
    "authentication_required",
    Some("authentication_required"),
    "Your card was declined. This transaction requires authentication.",
);

const fn decline(code: &'static str, decline_code: Option<&'static str>, message: &'static str) -> Decline {
    Decline { code, decline_code, message }
}

/// A card from Stripe's list of test cards.
#[derive(Debug)]
pub(crate) struct TestCard {
    pub(crate) number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) country: &'static str,
    pub(crate) behavior: Behavior,
    /// The token without its prefix: `visa` for `pm_card_visa` and `tok_visa`.
    token: &'static str,
    /// The description on the Checkout page; cards without one are not listed there.
    pub(crate) note: &'static str,
}

const fn card(number: &'static str, token: &'static str, behavior: Behavior, note: &'static str) -> TestCard {
    TestCard { number, brand: "visa", country: "US", behavior, token, note }
}

const fn disputed(reason: &'static str, inquiry: bool) -> Behavior {
    Behavior::Disputed(Complaint { reason, inquiry })
}

const fn branded(number: &'static str, token: &'static str, brand: &'static str) -> TestCard {
    TestCard { number, brand, country: "US", behavior: Behavior::Pays, token, note: "" }
}

/// The supported cards. Other valid numbers are declined, as live cards are in test mode.
pub(crate) const CARDS: &[TestCard] = &[
    card("4242424242424242", "visa", Behavior::Pays, "Pays"),
    card("4000000000000002", "chargeDeclined", Behavior::Declines(GENERIC), "Declined"),
    card("4000000000000341", "chargeCustomerFail", Behavior::DeclinesCharges, "Can be saved; every charge is declined"),
    card("4000002500003155", "authenticationRequiredOnSetup", Behavior::AuthenticatesOnce, "Requires 3-D Secure"),
    card(
        "4000000000009995",
        "chargeDeclinedInsufficientFunds",
        Behavior::Declines(decline("card_declined", Some("insufficient_funds"), "Your card has insufficient funds.")),
        "Insufficient funds",
    ),
    card(
        "4000000000000069",
        "chargeDeclinedExpiredCard",
        Behavior::Declines(decline("expired_card", None, "Your card has expired.")),
        "",
    ),
    card(
        "4000000000000127",
        "chargeDeclinedIncorrectCvc",
        Behavior::Declines(decline("incorrect_cvc", None, "Your card's security code is incorrect.")),
        "",
    ),
    card(
        "4000000000000119",
        "chargeDeclinedProcessingError",
        Behavior::Declines(decline(
            "processing_error",
            None,
            "An error occurred while processing your card. Try again in a little bit.",
        )),
        "",
    ),
    card("4000000000000259", "createDispute", disputed("fraudulent", false), "Pays; is disputed"),
    card("4000000000002685", "createDisputeProductNotReceived", disputed("product_not_received", false), ""),
    card("4000000000001976", "createDisputeInquiry", disputed("fraudulent", true), "Pays; an inquiry is opened"),
    card("4000000000007726", "pendingRefund", Behavior::RefundsLate, "Pays; refunds are pending for a day"),
    card("4000000000005126", "refundFail", Behavior::RefundsFail, "Pays; refunds fail after a day"),
    card("4000002760003184", "authenticationRequired", Behavior::AuthenticatesAlways, ""),
    card("4000000000003220", "threeDSecure2Required", Behavior::AuthenticatesAlways, ""),
    card("4000056655665556", "visa_debit", Behavior::Pays, ""),
    branded("5555555555554444", "mastercard", "mastercard"),
    branded("378282246310005", "amex", "amex"),
    branded("6011111111111117", "discover", "discover"),
];

/// Finds a card by number, given as digits only.
pub(crate) fn by_number(number: &str) -> Option<&'static TestCard> {
    CARDS.iter().find(|card| card.number == number)
}

/// Finds a card by a token: `pm_card_…` or `tok_…`.
pub(crate) fn by_token(id: &str) -> Option<&'static TestCard> {
    let token = id.strip_prefix("pm_card_").or_else(|| id.strip_prefix("tok_"))?;
    // A brand may precede the behavior: `pm_card_visa_chargeDeclined`.
    let token = token.strip_prefix("visa_charge").map_or(token, |_| &token["visa_".len()..]);
    CARDS.iter().find(|card| card.token == token)
}

/// Returns the behavior of a stored payment method.
pub(crate) fn behavior(method: &Value) -> Behavior {
    by_number(method.text("_number")).map_or(Behavior::Pays, |card| card.behavior)
}

/// Returns the decline when a payment method is saved, if any.
pub(crate) fn decline_on_save(behavior: Behavior) -> Option<Decline> {
    match behavior {
        Behavior::Declines(decline) => Some(decline),
        _ => None,
    }
}

/// Returns the decline when a payment method is charged, if any; 3-D Secure aside.
pub(crate) fn decline_on_charge(behavior: Behavior) -> Option<Decline> {
    match behavior {
        Behavior::Declines(decline) => Some(decline),
        Behavior::DeclinesCharges => Some(GENERIC),
        _ => None,
    }
}

/// Returns whether a payment requires 3-D Secure. `saved` means that the card was already set up with it.
pub(crate) fn requires_authentication(behavior: Behavior, saved: bool) -> bool {
    match behavior {
        Behavior::AuthenticatesAlways => true,
        Behavior::AuthenticatesOnce => !saved,
        _ => false,
    }
}

/// Checks the Luhn checksum of a card number.
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

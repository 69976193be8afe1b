//! Stripe's test bank accounts: a debit takes days to settle or to fail.
//!
//! Invariant: the outcome of a debit depends only on the account number.
//! Source: "Test account numbers" of ACH Direct Debit and SEPA Direct Debit, docs.stripe.com.

use serde_json::{Value, json};

use crate::cards::Decline;
use crate::clock::DAY;
use crate::fields::Fields;
use crate::ids;

/// The time until a debit settles or fails, in seconds.
pub(crate) const SETTLES_AFTER: i64 = 4 * DAY;

/// A bank account from Stripe's list of test accounts.
#[derive(Debug)]
pub(crate) struct TestAccount {
    pub(crate) number: &'static str,
    /// The type of payment method: `us_bank_account` or `sepa_debit`.
    pub(crate) kind: &'static str,
    /// The reason why a debit fails; `None` if it settles.
    pub(crate) failure: Option<Decline>,
    /// The description on the Checkout page; accounts without one are not listed there.
    pub(crate) note: &'static str,
}

const fn settles(kind: &'static str, number: &'static str, note: &'static str) -> TestAccount {
    TestAccount { number, kind, failure: None, note }
}

const fn fails(
    kind: &'static str,
    number: &'static str,
    code: &'static str,
    message: &'static str,
    note: &'static str,
) -> TestAccount {
    TestAccount { number, kind, failure: Some(Decline { code, decline_code: None, message }), note }
}

const ACH: &str = "us_bank_account";
const SEPA: &str = "sepa_debit";
const CLOSED: &str = "The customer's bank account could not be located or has been closed.";
const NO_FUNDS: &str = "The customer's account has insufficient funds to cover this payment.";
const NOT_AUTHORIZED: &str = "The customer has notified their bank that this payment was not authorized.";
const FAILED: &str = "The bank could not process this payment.";

const ACCOUNTS: &[TestAccount] = &[
    settles(ACH, "000123456789", "Settles after four days"),
    fails(ACH, "000111111116", "account_closed", CLOSED, "Fails after four days"),
    fails(ACH, "000222222227", "insufficient_funds", NO_FUNDS, ""),
    fails(ACH, "000333333335", "debit_not_authorized", NOT_AUTHORIZED, ""),
    settles(SEPA, "AT611904300234573201", "Settles after four days"),
    settles(SEPA, "AT321904300235473204", ""),
    settles(SEPA, "DE89370400440532013000", ""),
    fails(SEPA, "AT861904300235473202", "generic_decline", FAILED, "Fails after four days"),
    fails(SEPA, "DE62370400440532013001", "generic_decline", FAILED, ""),
    fails(SEPA, "IT60X0542811101000000123456", "generic_decline", FAILED, ""),
];

/// Returns the kind of bank debit that is offered in a currency.
pub(crate) fn kind_for(currency: &str) -> Option<&'static str> {
    match currency {
        "usd" => Some(ACH),
        "eur" => Some(SEPA),
        _ => None,
    }
}

/// Returns the accounts of a kind that the Checkout page lists.
pub(crate) fn offered(kind: &str) -> impl Iterator<Item = &'static TestAccount> + use<'_> {
    ACCOUNTS.iter().filter(move |account| account.kind == kind && !account.note.is_empty())
}

/// Finds an account by kind and number; spaces and dashes do not matter.
pub(crate) fn account(kind: &str, number: &str) -> Option<&'static TestAccount> {
    let number: String = number.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    ACCOUNTS.iter().find(|account| account.kind == kind && account.number.eq_ignore_ascii_case(&number))
}

/// Returns the test account behind a stored payment method.
pub(crate) fn of(method: &Value) -> Option<&'static TestAccount> {
    account(method.text("type"), method.text("_number"))
}

/// Returns the details of an account as a payment method shows them.
pub(crate) fn details(account: &TestAccount) -> Value {
    let last4 = &account.number[account.number.len() - 4..];
    let fingerprint = ids::fingerprint(account.number);
    match account.kind {
        ACH => json!({
            "account_holder_type": "individual", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": null, "fingerprint": fingerprint, "last4": last4,
            "networks": { "preferred": "ach", "supported": ["ach"] }, "routing_number": "110000000",
            "status_details": null,
        }),
        _ => json!({
            "bank_code": &account.number[4..9], "branch_code": "", "country": &account.number[..2],
            "fingerprint": fingerprint, "generated_from": { "charge": null, "setup_attempt": null },
            "last4": last4,
        }),
    }
}

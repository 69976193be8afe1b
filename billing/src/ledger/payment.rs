//! A payment: a PaymentIntent with its latest charge, its refunds and its disputes.

use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, PaymentIntentId};
use crate::ledger::dispute::Dispute;
use crate::money::Money;
use crate::stripe_enum::stripe_enum;
use crate::time::Timestamp;

stripe_enum! {
    /// The status of a PaymentIntent (Stripe docs, "The Payment Intents API").
    PaymentStatus {
        /// No payment method yet, or the last one was declined.
        RequiresPaymentMethod = "requires_payment_method",
        /// Waiting to be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// Waiting for the customer, for example for 3-D Secure.
        RequiresAction = "requires_action",
        /// Being processed, as bank debits are for days.
        Processing = "processing",
        /// Authorized but not captured.
        RequiresCapture = "requires_capture",
        /// Given up: it will not be charged.
        Canceled = "canceled",
        /// Paid.
        Succeeded = "succeeded",
    }
}

/// The card a payment was made with, as shown on receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The card network, such as `visa`.
    pub brand: String,
    /// The last four digits of the number.
    pub last4: String,
}

/// A refund of a payment or of part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Stripe's `re_…`.
    pub id: String,
    /// The refunded amount.
    pub amount: i64,
    /// Stripe's status: `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    pub status: String,
    /// When it was requested.
    pub created: Timestamp,
}

/// A PaymentIntent with its latest charge, its refunds and its disputes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Stripe's `pi_…`.
    pub id: PaymentIntentId,
    /// The customer who pays; `None` for a guest.
    pub customer: Option<CustomerId>,
    /// The status Stripe last reported.
    pub status: PaymentStatus,
    /// The amount to pay.
    pub amount: Money,
    /// Stripe's description of what it is for.
    pub description: Option<String>,
    /// Stripe's `ch_…` of the latest attempt.
    pub charge: Option<String>,
    /// The refunded total, as Stripe counts it: failed refunds are not included.
    pub amount_refunded: i64,
    /// The refunds, oldest first.
    pub refunds: Vec<Refund>,
    /// Whether it was ever disputed.
    pub is_disputed: bool,
    /// The disputes, oldest first.
    pub disputes: Vec<Dispute>,
    /// The card it was paid with.
    pub card: Option<Card>,
    /// The address of Stripe's receipt.
    pub receipt_url: Option<String>,
    /// The reason the last attempt failed, as a message for the customer.
    pub failure: Option<String>,
    /// Stripe's code for the same failure.
    pub failure_code: Option<String>,
    /// When Stripe created it.
    pub created: Timestamp,
}

/// Stripe's code for an off-session charge that the bank wants the customer to authenticate (Stripe
/// docs, "Decline codes").
const AUTHENTICATION_REQUIRED: &str = "authentication_required";

impl Payment {
    /// Returns `true` if the customer has to confirm the payment with their bank, as with 3-D Secure.
    pub fn needs_action(&self) -> bool {
        match self.status {
            PaymentStatus::RequiresAction => true,
            PaymentStatus::RequiresPaymentMethod => self.failure_code.as_deref() == Some(AUTHENTICATION_REQUIRED),
            _ => false,
        }
    }

    /// Returns `true` while the bank is working on the payment, which can take days. It has not failed.
    pub fn is_pending(&self) -> bool {
        self.status == PaymentStatus::Processing
    }

    /// Returns `true` if it was ever refunded, in part or unsuccessfully, or disputed.
    pub const fn was_reversed(&self) -> bool {
        self.is_disputed || self.amount_refunded > 0 || !self.refunds.is_empty()
    }

    /// Returns the amount that banks hold or have kept because of disputes.
    pub fn amount_disputed(&self) -> i64 {
        let taken = self.disputes.iter().filter(|dispute| dispute.status.withholds_funds());
        taken.fold(0_i64, |sum, dispute| sum.saturating_add(dispute.amount))
    }
}

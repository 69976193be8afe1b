//! What a one-time purchase is worth now: what was paid for it and not taken back.
//!
//! A function of the payment as Stripe has it, never of what happened to it: in whatever
//! order refunds and disputes are heard of, and however often, the same payment grants the
//! same. A refund takes back its share; a dispute takes back its own while it is open and when
//! it is lost, and gives it back when it is won (`tests/purchase.rs`).

use serde::{Deserialize, Serialize};

/// What is known of the payment for something bought once. Amounts are in one currency's minor unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Nothing is owed: Stripe's `payment_status` is `paid` or `no_payment_required`.
    pub is_settled: bool,
    /// What it costs.
    pub amount: i64,
    /// What was given back.
    pub refunded: i64,
    /// What banks hold back or have taken back.
    pub disputed: i64,
}

impl Payment {
    /// How many of `units` the payment is good for, rounded down. Something that costs nothing is
    /// good for all of them.
    pub fn units_of(&self, units: u64) -> u64 {
        if !self.is_settled {
            return 0;
        }
        if self.amount <= 0 {
            return units;
        }
        let kept = self.amount.saturating_sub(self.refunded).saturating_sub(self.disputed).clamp(0, self.amount);
        let share = u128::from(units) * u128::from(kept.unsigned_abs()) / u128::from(self.amount.unsigned_abs());
        // A share of a u64 fits into one.
        u64::try_from(share).unwrap_or(units)
    }
}

/// Stripe's status of a dispute, as far as it decides about money (Stripe API, the Dispute object).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DisputeStatus {
    /// An inquiry: no money was taken. Any of the `warning_…` statuses.
    Inquiry(String),
    /// The bank has the money until it has decided.
    NeedsResponse,
    /// As before; our evidence is being read.
    UnderReview,
    /// The money is back.
    Won,
    /// The money is gone.
    Lost,
    /// It was settled before it became a dispute: no money was taken.
    Prevented,
    /// A value this version does not know: the money counts as gone.
    Unknown(String),
}

impl DisputeStatus {
    /// Stripe's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Prevented => "prevented",
            Self::Inquiry(word) | Self::Unknown(word) => word,
        }
    }

    /// Whether the bank has the money.
    pub const fn takes_money(&self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Lost | Self::Unknown(_))
    }
}

impl From<String> for DisputeStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "needs_response" => Self::NeedsResponse,
            "under_review" => Self::UnderReview,
            "won" => Self::Won,
            "lost" => Self::Lost,
            "prevented" => Self::Prevented,
            _ if word.starts_with("warning_") => Self::Inquiry(word),
            _ => Self::Unknown(word),
        }
    }
}

impl From<DisputeStatus> for String {
    fn from(status: DisputeStatus) -> Self {
        status.as_str().to_owned()
    }
}

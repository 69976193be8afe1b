//! A dispute, and whether the bank holds the money.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The status of a dispute, reduced to who has the money (Stripe API, "The Dispute object").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DisputeStatus {
    /// An inquiry: no money was taken. Holds any of the `warning_…` statuses.
    Inquiry(String),
    /// The bank holds the money until it decides, and waits for evidence.
    NeedsResponse,
    /// The bank holds the money and reviews the evidence.
    UnderReview,
    /// The money was returned to us.
    Won,
    /// The money is lost.
    Lost,
    /// Resolved before it became a dispute: no money was taken.
    Prevented,
    /// A status that this version does not know; the money counts as taken.
    Unknown(String),
}

impl DisputeStatus {
    /// Returns Stripe's string for this status.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Prevented => "prevented",
            Self::Inquiry(status) | Self::Unknown(status) => status,
        }
    }

    /// Returns `true` while the bank holds the money and has not decided.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Unknown(_))
    }

    /// Returns `true` if the bank holds or has kept the money.
    pub const fn withholds_funds(&self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Lost | Self::Unknown(_))
    }
}

impl From<String> for DisputeStatus {
    fn from(status: String) -> Self {
        match status.as_str() {
            "needs_response" => Self::NeedsResponse,
            "under_review" => Self::UnderReview,
            "won" => Self::Won,
            "lost" => Self::Lost,
            "prevented" => Self::Prevented,
            _ if status.starts_with("warning_") => Self::Inquiry(status),
            _ => Self::Unknown(status),
        }
    }
}

impl From<DisputeStatus> for String {
    fn from(status: DisputeStatus) -> Self {
        status.as_str().to_owned()
    }
}

/// A payment that the customer disputed with their bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Stripe's `dp_…`.
    pub id: String,
    /// The disputed amount.
    pub amount: i64,
    /// The status Stripe last reported.
    pub status: DisputeStatus,
    /// The bank's reason, such as `fraudulent`.
    pub reason: Option<String>,
    /// When it was opened.
    pub created: Timestamp,
}

//! What an account decides about its billing, which Stripe keeps in its Dashboard.
//!
//! Invariant: settings that nobody chose are Stripe's defaults, except that renewal invoices are
//! finalized at once where Stripe leaves them open to changes for an hour: a test should not
//! have to know.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::Tx;

const SETTINGS: &str = "_settings";

/// What becomes of a subscription when the last retry has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLastRetry {
    /// It is cancelled: Stripe's default.
    Cancel,
    /// It becomes `unpaid`; further invoices stay drafts.
    Unpaid,
    /// It stays `past_due`; further invoices are tried as ever.
    PastDue,
}

impl AfterLastRetry {
    /// Its name in the control API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Unpaid => "unpaid",
            Self::PastDue => "past_due",
        }
    }
}

/// The settings in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) after_last_retry: AfterLastRetry,
    /// How long a renewal's invoice stays a draft, in seconds.
    pub(crate) draft_seconds: i64,
}

impl Settings {
    /// Reads what is stored; what is not there is the default.
    pub(crate) fn of(stored: Option<&Value>) -> Self {
        let word = stored.map_or("", |stored| stored.text("after_last_retry"));
        Self {
            after_last_retry: match word {
                "unpaid" => AfterLastRetry::Unpaid,
                "past_due" => AfterLastRetry::PastDue,
                _ => AfterLastRetry::Cancel,
            },
            draft_seconds: stored.map_or(0, |stored| stored.int("draft_seconds")),
        }
    }

    /// Those of the sandbox.
    pub(crate) fn current(tx: &Tx<'_>) -> Self {
        Self::of(tx.get(SETTINGS))
    }

    /// Keeps them.
    pub(crate) fn keep(self, tx: &mut Tx<'_>) {
        let mut stored = self.shown();
        stored.set("id", SETTINGS);
        stored.set("object", SETTINGS);
        tx.put(stored);
    }

    /// As the control API shows them.
    pub(crate) fn shown(self) -> Value {
        json!({ "after_last_retry": self.after_last_retry.name(), "draft_seconds": self.draft_seconds })
    }

    /// With what was sent in their place.
    ///
    /// # Errors
    /// A draft that lasts less than no time.
    pub(crate) fn with(self, params: &Value) -> Result<Self, ApiError> {
        let mut stored = self.shown();
        crate::fields::copy(&mut stored, params, &["after_last_retry", "draft_seconds"]);
        if stored.int("draft_seconds") < 0 {
            return Err(
                ApiError::invalid("parameter_invalid_integer", "Invalid non-negative integer").on("draft_seconds")
            );
        }
        Ok(Self::of(Some(&stored)))
    }
}

//! The account's billing settings, which in Stripe are set in the Dashboard.
//!
//! Invariant: the defaults are Stripe's, except that renewal invoices are finalized immediately.
//! Stripe keeps them as drafts for an hour, which tests should not have to handle.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::Tx;

const SETTINGS: &str = "_settings";

/// The outcome for a subscription when the last retry of a payment fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLastRetry {
    /// It is canceled: Stripe's default.
    Cancel,
    /// It becomes `unpaid`, and further invoices stay drafts.
    Unpaid,
    /// It is `paused`, and resumes when the invoice is paid.
    Pause,
    /// It stays `past_due`, and further invoices are collected as usual.
    PastDue,
}

impl AfterLastRetry {
    /// Returns the name used in the control API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Unpaid => "unpaid",
            Self::Pause => "pause",
            Self::PastDue => "past_due",
        }
    }
}

/// The account's billing settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) after_last_retry: AfterLastRetry,
    /// The time that a renewal invoice stays a draft, in seconds.
    pub(crate) draft_seconds: i64,
    /// Whether Checkout accepts `link` as a type by default. Otherwise Link is a wallet of cards.
    pub(crate) link: bool,
    /// Whether each kind of hosted page has its own origin.
    pub(crate) separate_origins: bool,
}

impl Settings {
    /// Reads stored settings; absent ones get their defaults.
    pub(crate) fn of(stored: Option<&Value>) -> Self {
        let after_last_retry = stored.map_or("", |stored| stored.text("after_last_retry"));
        Self {
            after_last_retry: match after_last_retry {
                "unpaid" => AfterLastRetry::Unpaid,
                "pause" => AfterLastRetry::Pause,
                "past_due" => AfterLastRetry::PastDue,
                _ => AfterLastRetry::Cancel,
            },
            draft_seconds: stored.map_or(0, |stored| stored.int("draft_seconds")),
            link: stored.is_some_and(|stored| stored.flag("link")),
            separate_origins: stored.is_some_and(|stored| stored.flag("separate_origins")),
        }
    }

    /// Returns the current settings.
    pub(crate) fn current(tx: &Tx<'_>) -> Self {
        Self::of(tx.get(SETTINGS))
    }

    /// Stores the settings.
    pub(crate) fn store(self, tx: &mut Tx<'_>) {
        let mut stored = self.shown();
        stored.set("id", SETTINGS);
        stored.set("object", SETTINGS);
        tx.put(stored);
    }

    /// Returns the settings as the control API shows them.
    pub(crate) fn shown(self) -> Value {
        json!({
            "after_last_retry": self.after_last_retry.name(),
            "draft_seconds": self.draft_seconds,
            "link": self.link,
            "separate_origins": self.separate_origins,
        })
    }

    /// Returns the settings with the given parameters applied.
    ///
    /// # Errors
    /// The draft time is negative.
    pub(crate) fn with(self, params: &Value) -> Result<Self, ApiError> {
        let mut stored = self.shown();
        crate::fields::copy(&mut stored, params, &["after_last_retry", "draft_seconds", "link", "separate_origins"]);
        if stored.int("draft_seconds") < 0 {
            return Err(
                ApiError::invalid("parameter_invalid_integer", "Invalid non-negative integer").on("draft_seconds")
            );
        }
        Ok(Self::of(Some(&stored)))
    }
}

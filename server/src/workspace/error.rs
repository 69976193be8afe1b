//! The errors of the workspace, and the limits on text fields.

use billing::money::grouped;
use engine::StoreError;

/// The reason something was not stored.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The input is invalid.
    #[error("{message}")]
    Invalid {
        /// The name of the form field to show the message at.
        field: &'static str,
        /// The message for the person who typed it.
        message: String,
    },
    /// No secret could be created.
    #[error("random numbers are unavailable: {0}")]
    Random(#[from] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WorkspaceError {
    pub(super) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}

/// A text that must have between one and `max` characters.
pub(super) struct Text {
    pub(super) field: &'static str,
    /// The message when it is empty.
    pub(super) required: &'static str,
    pub(super) max: usize,
}

impl Text {
    /// Returns the text, trimmed.
    pub(super) fn check<'a>(&self, text: &'a str) -> Result<&'a str, WorkspaceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(WorkspaceError::invalid(self.field, self.required));
        }
        if text.chars().count() > self.max {
            return Err(WorkspaceError::invalid(
                self.field,
                format!("Use at most {} characters.", grouped(self.max as u64)),
            ));
        }
        Ok(text)
    }
}

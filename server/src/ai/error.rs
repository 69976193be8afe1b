//! The result of generating text.

use std::pin::Pin;

use futures::Stream;

/// A text, chunk by chunk.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<String, AiError>> + Send>>;

/// The reason no text was generated.
#[derive(Debug, thiserror::Error)]
pub enum AiError {
    /// The provider could not be reached, or the connection was lost.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The provider returned an error.
    #[error("the provider returned status {0}")]
    Status(u16),
    /// The provider's response is malformed or incomplete.
    #[error("the provider's response is invalid: {0}")]
    Invalid(&'static str),
    /// The provider took too long.
    #[error("the provider timed out")]
    TimedOut,
}

//! What writes texts: any endpoint that speaks OpenAI's chat completions, or, without one, a
//! few lines of our own that need no network and say so in their name.

mod local;
mod openai;

use std::pin::Pin;

use futures::Stream;

use crate::config::AiConfig;

/// A text, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<String, AiError>> + Send>>;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum AiError {
    /// The provider could not be reached, or the line was lost.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The provider said no.
    #[error("the provider answered {0}")]
    Refused(u16),
    /// The provider's answer is none, or ends before its end.
    #[error("the provider's answer is not understood: {0}")]
    NotUnderstood(&'static str),
    /// It took too long.
    #[error("the provider was too slow")]
    Late,
}

/// What writes texts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ai {
    model: String,
    openai: Option<openai::OpenAi>,
}

impl Ai {
    /// The configured provider; the embedded one without configuration.
    ///
    /// # Errors
    /// The key cannot be sent as a header.
    pub fn new(config: Option<&AiConfig>) -> Result<Self, AiError> {
        Ok(match config {
            None => Self { model: local::MODEL.to_owned(), openai: None },
            Some(config) => Self { model: config.model.clone(), openai: Some(openai::OpenAi::new(config)?) },
        })
    }

    /// Its name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Begins a text.
    ///
    /// # Errors
    /// See [`AiError`].
    pub async fn write(&self, prompt: &str) -> Result<Pieces, AiError> {
        match &self.openai {
            None => Ok(Box::pin(futures::stream::iter(local::write(prompt).into_iter().map(Ok)))),
            Some(openai) => openai.write(&self.model, prompt).await,
        }
    }
}

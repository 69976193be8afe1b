//! The configured provider, or the local placeholder.

use super::error::{AiError, Chunks};
use super::{local, openai};
use crate::config::AiConfig;

/// A text generator. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ai {
    model: String,
    openai: Option<openai::OpenAi>,
}

impl Ai {
    /// Creates the configured provider, or the local placeholder. Fails if the key cannot be sent as a header.
    pub fn new(config: Option<&AiConfig>) -> Result<Self, AiError> {
        Ok(match config {
            None => Self { model: local::MODEL.to_owned(), openai: None },
            Some(config) => Self { model: config.model.clone(), openai: Some(openai::OpenAi::new(config)?) },
        })
    }

    /// Returns the model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Starts generating text.
    pub async fn generate(&self, prompt: &str) -> Result<Chunks, AiError> {
        match &self.openai {
            None => Ok(Box::pin(futures::stream::iter(local::generate(prompt).into_iter().map(Ok)))),
            Some(openai) => openai.generate(&self.model, prompt).await,
        }
    }
}

//! Generating text: with any endpoint that has OpenAI's chat completions API or, if none is configured,
//! with a local placeholder.

mod error;
mod local;
mod openai;
mod provider;

pub use error::{AiError, Chunks};
pub use provider::Ai;

//! What a caller of a server function hears when it fails: a code and a sentence, and no
//! internal text.
//!
//! A script gets this as JSON. A form post gets a page made of it ([`crate::endpoints`]).

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Why a server function did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// The kind of failure.
    pub code: Failure,
    /// What happened and what to do, for a person: the code's own sentence, or one about this form.
    pub sentence: String,
    /// The field to correct, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds until it is worth trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// A failure with a sentence about the form as a whole.
    pub fn about_the_form(code: Failure, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), field: None, retry_after: None }
    }

    /// A failure with a sentence about one field.
    pub fn at(field: &str, code: Failure, sentence: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::about_the_form(code, sentence) }
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Whether it says something about the form, which is then shown again.
    pub fn is_about_the_form(&self) -> bool {
        self.field.is_some() || self.sentence != self.code.sentence()
    }
}

impl From<Failure> for ApiError {
    fn from(code: Failure) -> Self {
        Self::about_the_form(code, code.sentence())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        error.code
    }
}

/// Errors of the transport. What they say is about code, so only their kind is passed on.
impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => Failure::Malformed,
            // The browser is offline, or the server is.
            ServerFnErrorErr::Request(_) => Failure::Unavailable,
            ServerFnErrorErr::Registration(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_)
            | ServerFnErrorErr::ServerError(_)
            | ServerFnErrorErr::MiddlewareError(_)
            | ServerFnErrorErr::Deserialization(_)
            | ServerFnErrorErr::Serialization(_)
            | ServerFnErrorErr::Response(_) => Failure::Broken,
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_a_code_and_a_sentence() {
        let plain = serde_json::to_value(ApiError::from(Failure::NotFound)).unwrap();
        assert_eq!(plain, serde_json::json!({ "code": "not_found", "sentence": Failure::NotFound.sentence() }));
        let at_field = ApiError::at("password", Failure::TooManyAttempts, "Wait a minute.").retry_after(60);
        let json = serde_json::json!({
            "code": "too_many_attempts", "sentence": "Wait a minute.", "field": "password", "retry_after": 60,
        });
        assert_eq!(serde_json::to_value(at_field).unwrap(), json);
    }

    #[test]
    fn what_the_transport_says_stays_inside() {
        let error = ApiError::from_server_fn_error(ServerFnErrorErr::ServerError("at line 7".to_owned()));
        assert_eq!(error, Failure::Broken.into());
    }
}

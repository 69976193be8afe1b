//! The error of a server function: a code and a message, without internal details.
//!
//! A script gets it as JSON, a form post as a page ([`crate::endpoints`]).

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The error of a server function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// The kind of failure.
    pub code: Failure,
    /// What happened and what to do: the code's own message, or one about the form.
    pub message: String,
    /// The field with the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds to wait before the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// Returns an error about the form as a whole.
    pub fn form_error(code: Failure, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, retry_after: None }
    }

    /// Returns an error about one field.
    pub fn at(field: &str, code: Failure, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::form_error(code, message) }
    }

    /// Adds the seconds to wait before the next attempt.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Returns whether it is about the form, which is then shown again.
    pub fn is_form_error(&self) -> bool {
        self.field.is_some() || self.message != self.code.message()
    }
}

impl From<Failure> for ApiError {
    fn from(code: Failure) -> Self {
        Self::form_error(code, code.message())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        error.code
    }
}

/// Errors of the transport. Their messages are internal, so only the kind is kept.
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
    fn the_json_has_a_code_and_a_message() {
        let plain = serde_json::to_value(ApiError::from(Failure::NotFound)).unwrap();
        assert_eq!(plain, serde_json::json!({ "code": "not_found", "message": Failure::NotFound.message() }));
        let at_field = ApiError::at("password", Failure::TooManyAttempts, "Wait a minute.").retry_after(60);
        let json = serde_json::json!({
            "code": "too_many_attempts", "message": "Wait a minute.", "field": "password", "retry_after": 60,
        });
        assert_eq!(serde_json::to_value(at_field).unwrap(), json);
    }

    #[test]
    fn transport_messages_are_not_shown() {
        let error = ApiError::from_server_fn_error(ServerFnErrorErr::ServerError("at line 7".to_owned()));
        assert_eq!(error, Failure::Broken.into());
    }
}

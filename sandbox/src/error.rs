//! Startup errors, and API errors in Stripe's format.
//!
//! Invariant: an error rolls its transaction back, except a card error. A declined attempt must leave a failed
//! charge and its event, so its transaction is committed.

use serde_json::{Value, json};

/// A startup error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is in use, or may not be bound.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The configured address.
        addr: std::net::SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The journal cannot be read or written.
    #[error("cannot use the state file {path}: {source}")]
    State {
        /// The state file.
        path: std::path::PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A line of the journal is not a commit. A torn last line is not an error.
    #[error("{path} is not a state file of the sandbox: cannot read line {line}: {source}")]
    Journal {
        /// The state file.
        path: std::path::PathBuf,
        /// The line number, starting at 1.
        line: usize,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The HTTP client that delivers webhooks cannot be built.
    #[error("cannot build the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// An error response of the API.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    kind: &'static str,
    /// Empty where Stripe sends no code.
    code: &'static str,
    pub(crate) message: Box<str>,
    param: Option<Box<str>>,
    decline_code: Option<&'static str>,
    charge: Option<Box<str>>,
    /// The id of the PaymentIntent or SetupIntent to embed in the response.
    intent: Option<Box<str>>,
    traceless: bool,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, code: &'static str, message: impl Into<Box<str>>) -> Self {
        Self {
            status,
            kind,
            code,
            message: message.into(),
            param: None,
            decline_code: None,
            charge: None,
            intent: None,
            traceless: false,
        }
    }

    /// Creates an error for an invalid request, with one of Stripe's error codes or `""`.
    pub(crate) fn invalid(code: &'static str, message: impl Into<Box<str>>) -> Self {
        Self::new(400, "invalid_request_error", code, message)
    }

    /// Creates an error for a parameter that Stripe accepts but the sandbox does not simulate.
    pub(crate) fn unsupported(param: &str) -> Self {
        Self::invalid(
            "sandbox_unsupported",
            format!("{param}: Stripe accepts this parameter or value, but this sandbox does not support it."),
        )
        .on(param)
    }

    /// Creates the 404 for an object in the path that does not exist.
    pub(crate) fn missing(kind: &str, id: &str) -> Self {
        let mut error = Self::invalid("resource_missing", format!("No such {kind}: '{id}'"));
        error.status = 404;
        error.on("id")
    }

    /// Creates the 400 for an object in a parameter that does not exist.
    pub(crate) fn missing_param(kind: &str, id: &str, param: &str) -> Self {
        Self::invalid("resource_missing", format!("No such {kind}: '{id}'")).on(param)
    }

    pub(crate) fn unauthorized(message: impl Into<Box<str>>) -> Self {
        Self::new(401, "invalid_request_error", "", message)
    }

    /// Creates an error for a call that the restricted key may not make.
    pub(crate) fn forbidden(message: impl Into<Box<str>>) -> Self {
        Self::new(403, "invalid_request_error", "", message)
    }

    pub(crate) fn unknown_route(method: &str, path: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            "",
            format!(
                "Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code. This sandbox implements only a part of Stripe's API."
            ),
        )
    }

    pub(crate) fn idempotency(status: u16, code: &'static str, message: impl Into<Box<str>>) -> Self {
        Self::new(status, "idempotency_error", code, message)
    }

    /// Creates an injected outage or rate limit.
    pub(crate) fn outage(status: u16) -> Self {
        let (kind, code) = match status {
            429 => ("invalid_request_error", "rate_limit"),
            _ => ("api_error", ""),
        };
        Self::new(status, kind, code, "An unknown error occurred (injected by the sandbox).")
    }

    /// Creates an error for too many concurrent calls.
    pub(crate) fn rate_limited(message: impl Into<Box<str>>) -> Self {
        Self::new(429, "invalid_request_error", "rate_limit", message)
    }

    /// Creates an internal error of the sandbox.
    pub(crate) fn internal(message: impl Into<Box<str>>) -> Self {
        Self::new(500, "api_error", "", message)
    }

    /// Creates an error for a declined card, with Stripe's `code` and `decline_code`.
    pub(crate) fn card(code: &'static str, decline_code: Option<&'static str>, message: &str) -> Self {
        let mut error = Self::new(402, "card_error", code, message);
        error.decline_code = decline_code;
        error
    }

    /// Sets the parameter that caused the error.
    pub(crate) fn on(mut self, param: &str) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn charged(mut self, charge: Option<&str>) -> Self {
        self.charge = charge.map(Box::from);
        self
    }

    pub(crate) fn of_intent(mut self, id: &str) -> Self {
        self.intent = Some(id.into());
        self
    }

    /// Makes a card error roll back everything, as `error_if_incomplete` requires.
    pub(crate) fn without_trace(mut self) -> Self {
        self.traceless = true;
        self.intent = None;
        self.charge = None;
        self
    }

    /// Returns whether the card was declined.
    pub(crate) fn is_card_error(&self) -> bool {
        self.kind == "card_error"
    }

    /// Returns whether the card was declined because the payment needs 3-D Secure.
    pub(crate) fn requires_authentication(&self) -> bool {
        self.code == "authentication_required"
    }

    /// Returns whether the writes made before the error are committed.
    pub(crate) fn keeps_writes(&self) -> bool {
        self.is_card_error() && !self.traceless
    }

    /// Returns the `error` object, without embedded objects.
    pub(crate) fn fields(&self) -> Value {
        let mut error = json!({ "message": self.message, "type": self.kind });
        let optional = [
            ("code", Some(self.code).filter(|code| !code.is_empty())),
            ("param", self.param.as_deref()),
            ("decline_code", self.decline_code),
            ("charge", self.charge.as_deref()),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                error[key] = json!(value);
            }
        }
        if !self.code.is_empty() {
            let page = self.code.replace('_', "-");
            error["doc_url"] = json!(format!("https://stripe.com/docs/error-codes/{page}"));
        }
        error
    }

    /// Returns the key and the id of the intent to embed in the response.
    pub(crate) fn intent(&self) -> Option<(&'static str, &str)> {
        let id = self.intent.as_deref()?;
        Some(if id.starts_with("seti_") { ("setup_intent", id) } else { ("payment_intent", id) })
    }
}

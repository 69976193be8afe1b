//! `Idempotency-Key`: repeating a request returns the first response.
//!
//! Invariant: the record is in the same journal line as the request's writes, so that a crash
//! leaves both or neither. Source: "Idempotent requests", docs.stripe.com/api: keys apply to POST and
//! last 24 hours; requests that fail validation are not recorded.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::{IDEMPOTENCY_TTL, Tx};

/// A key and the request that it was sent with.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey {
    pub(crate) key: String,
    path: String,
    fingerprint: String,
}

/// The response to an earlier request with the same key.
pub(crate) struct Replay {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) request: String,
}

impl IdempotencyKey {
    /// Creates a key. `params` are the parsed parameters, so that their original order does not matter.
    pub(crate) fn new(key: String, path: &str, params: &Value) -> Self {
        Self { key, path: path.to_owned(), fingerprint: hex::encode(Sha256::digest(params.to_string())) }
    }

    fn id(&self) -> String {
        format!("_idempotency:{}", self.key)
    }

    /// Returns the response to an earlier request with the same key.
    ///
    /// # Errors
    /// The key was used for a different request.
    pub(crate) fn earlier(&self, tx: &Tx<'_>) -> Result<Option<Replay>, ApiError> {
        let record = tx.get(&self.id()).filter(|record| record.int("created") + IDEMPOTENCY_TTL > tx.now());
        let Some(record) = record else {
            return Ok(None);
        };
        if record.text("path") != self.path {
            let message = format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{}' vs '{}'). Try using a key other than '{}' if you meant to execute a different request.",
                self.path,
                record.text("path"),
                self.key
            );
            return Err(ApiError::idempotency(400, "", message));
        }
        if record.text("fingerprint") != self.fingerprint {
            let message = format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{}' if you meant to execute a different request.",
                self.key
            );
            return Err(ApiError::idempotency(400, "", message));
        }
        Ok(Some(Replay {
            status: u16::try_from(record.int("status")).unwrap_or(200),
            body: record["body"].clone(),
            request: record.text("request").to_owned(),
        }))
    }

    /// Records the response.
    pub(crate) fn store(&self, tx: &mut Tx<'_>, status: u16, body: &Value) {
        tx.put(json!({
            "id": self.id(),
            "object": "_idempotency",
            "path": self.path,
            "fingerprint": self.fingerprint,
            "status": status,
            "body": body,
            "request": tx.origin.request,
            "created": tx.now(),
        }));
    }

    /// Checks that a key has at most 255 characters.
    pub(crate) fn check(key: &str) -> Result<(), ApiError> {
        match key.chars().count() {
            ..=255 => Ok(()),
            length => {
                let message =
                    format!("Idempotency keys may have up to 255 characters; the one you passed has {length}.");
                Err(ApiError::idempotency(400, "", message))
            }
        }
    }

    /// Returns the error for a key whose first request is still in progress.
    pub(crate) fn in_use(key: &str) -> ApiError {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): {key}. Please try again later."
        );
        ApiError::idempotency(409, "idempotency_key_in_use", message)
    }
}

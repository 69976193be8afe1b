//! A password on its way from a form to the hash it is compared with.

use serde::{Deserialize, Serialize};

/// A password. Printing it for debugging shows nothing of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

//! The results of server functions.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The result of a server function: data or a redirect.
pub trait Reply: Serialize + DeserializeOwned + Send {
    /// Returns the address to redirect to. A form post is redirected; a script gets it as JSON.
    fn location(&self) -> Option<&str> {
        None
    }
}

/// A redirect to one of our pages or Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeeOther {
    /// An absolute path, or a Stripe URL.
    pub to: String,
}

impl SeeOther {
    /// Redirects to `address`.
    pub fn to(address: impl Into<String>) -> Self {
        Self { to: address.into() }
    }
}

impl Reply for SeeOther {
    fn location(&self) -> Option<&str> {
        Some(&self.to)
    }
}

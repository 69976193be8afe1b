//! The results of server functions.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The result of a server function: data, or where to go next.
pub trait Reply: Serialize + DeserializeOwned + Send {
    /// Returns where to go next. A form post is redirected there; a script decides for itself.
    fn leads_to(&self) -> Option<&str> {
        None
    }
}

/// A redirect: to a page of ours, or one of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeeOther {
    /// An absolute path, or a URL at Stripe.
    pub to: String,
}

impl SeeOther {
    /// Redirects to `address`.
    pub fn to(address: impl Into<String>) -> Self {
        Self { to: address.into() }
    }
}

impl Reply for SeeOther {
    fn leads_to(&self) -> Option<&str> {
        Some(&self.to)
    }
}

//! What a server function returns.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The answer of a server function: data for whoever called it, or where to go next.
pub trait Reply: Serialize + DeserializeOwned + Send {
    /// Where to go next. A form post is redirected there (303); a script decides for itself.
    fn leads_to(&self) -> Option<&str> {
        None
    }
}

/// Where to go next: a page of ours, or one of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeeOther {
    /// An absolute path, or a URL at Stripe.
    pub to: String,
}

impl SeeOther {
    /// Leads to `address`.
    pub fn to(address: impl Into<String>) -> Self {
        Self { to: address.into() }
    }
}

impl Reply for SeeOther {
    fn leads_to(&self) -> Option<&str> {
        Some(&self.to)
    }
}

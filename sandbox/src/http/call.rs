//! Calls, handlers and routes.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::store::Tx;

/// A parsed request.
pub(crate) struct Call {
    /// The `:id` of the path, or `""` if it has none.
    pub(crate) id: String,
    pub(crate) params: Value,
    pub(crate) path: String,
    /// The caller's API version.
    pub(crate) version: String,
}

type Handler = fn(&mut Tx<'_>, &Call) -> Result<Value, ApiError>;

/// An endpoint, in the notation of the `.params` files, and its handler.
pub(crate) struct Route {
    pub(crate) endpoint: &'static str,
    pub(crate) run: Handler,
}

pub(crate) const fn route(endpoint: &'static str, run: Handler) -> Route {
    Route { endpoint, run }
}

/// Returns Stripe's response to a deletion.
pub(crate) fn deleted(kind: &str, id: &str) -> Value {
    json!({ "id": id, "object": kind, "deleted": true })
}

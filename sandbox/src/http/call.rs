//! What every endpoint is made of: a call, a handler, a route.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::store::Tx;

/// One request, taken apart.
pub(crate) struct Call {
    /// The `:id` of the path, `""` where there is none.
    pub(crate) id: String,
    pub(crate) params: Value,
    pub(crate) path: String,
    /// The API version of the caller.
    pub(crate) version: String,
}

type Handler = fn(&mut Tx<'_>, &Call) -> Result<Value, ApiError>;

/// An endpoint, written like the sections of the parameter trees.
pub(crate) struct Route {
    pub(crate) endpoint: &'static str,
    pub(crate) run: Handler,
}

pub(crate) const fn route(endpoint: &'static str, run: Handler) -> Route {
    Route { endpoint, run }
}

/// Stripe's answer to a deletion.
pub(crate) fn deleted(kind: &str, id: &str) -> Value {
    json!({ "id": id, "object": kind, "deleted": true })
}

//! The control page: the sandbox's history, and its controls.
//!
//! Invariant: the pages read through the control API and their forms post to it, so they can do nothing
//! that the API cannot. They need no JavaScript. Proved by `end2end/tests/sandbox.spec.ts`.

pub(crate) mod api;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod objects;
pub(crate) mod overview;
pub(crate) mod requests;
mod view;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::controls;
use crate::hosted::{App, esc, page};

/// `GET /`
pub(crate) async fn home(State(shared): App) -> Response {
    let main = format!(
        r#"<div class="card narrow">
<h1>Offline Stripe</h1>
<p>To connect an application, set <code>STRIPE_API_BASE={base}</code>. API version {version}.</p>
<p><a class="button" href="/_sandbox">Open the control page</a></p>
</div>"#,
        base = esc(&shared.base),
        version = crate::api_version::DEFAULT_VERSION,
    );
    page(StatusCode::OK, "Offline Stripe", &main)
}

/// `GET /_sandbox/state`
pub(crate) async fn state(State(shared): App) -> Json<Value> {
    shared.catch_up();
    Json(controls::summary(&shared.lock()))
}

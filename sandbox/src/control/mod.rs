//! The control page: what has happened in the sandbox, and everything that can be done to it.
//!
//! Invariant: the pages show and do nothing that `controls.rs` does not; they read through the
//! control API and their forms post to it. They need no script. Proved by
//! `end2end/tests/sandbox.spec.ts`.

pub(crate) mod api;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod objects;
pub(crate) mod overview;
pub(crate) mod requests;
pub(crate) mod trouble;
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
<p>Point an application here with <code>STRIPE_API_BASE={base}</code>. API version {version}.</p>
<p><a class="button" href="/_sandbox">See and steer what happens</a></p>
</div>"#,
        base = esc(&shared.base),
        version = crate::shape::DEFAULT_VERSION,
    );
    page(StatusCode::OK, "Offline Stripe", &main)
}

/// `GET /_sandbox/state`
pub(crate) async fn state(State(shared): App) -> Json<Value> {
    shared.catch_up();
    Json(controls::summary(&shared.lock()))
}

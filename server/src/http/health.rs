//! For load balancers: whether the process lives, and whether it can serve.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::tollgate::Tollgate;

/// `/healthz`: the process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `/readyz`: the database answers and has every migration.
pub async fn ready(State(tollgate): State<Tollgate>) -> Response {
    let (status, database) = match tollgate.db().is_ready().await {
        Ok(true) => (StatusCode::OK, "ok"),
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, "migrations are missing: run `tollgate migrate`"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "unreachable")
        }
    };
    (status, Json(json!({ "ready": status == StatusCode::OK, "database": database }))).into_response()
}

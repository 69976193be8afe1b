//! Liveness and readiness checks for load balancers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::store;
use crate::tollgate::Tollgate;

/// `/healthz`: the process is alive.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `/readyz`: the database has every migration and can be written to, and all background tasks run. An outage
/// of Stripe is shown, but the app still serves everything else.
pub async fn ready(State(tollgate): State<Tollgate>) -> Response {
    let (is_ready, database) = database(&tollgate).await;
    let health = tollgate.tasks().health();
    let is_ready = is_ready && health.iter().all(|task| task.is_running);
    let tasks = health.iter().map(|task| {
        let state = if task.is_running { "running" } else { "restarting" };
        (task.name.to_owned(), json!({ "state": state, "restarts": task.restarts }))
    });
    let tasks: serde_json::Map<_, _> = tasks.collect();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let stripe = match tollgate.circuit_breaker().outage() {
        None => json!({ "state": "ok" }),
        Some(outage) => json!({ "state": "unavailable", "since": outage.since.to_string() }),
    };
    let body = json!({ "ready": is_ready, "database": database, "stripe": stripe, "tasks": tasks });
    (status, Json(body)).into_response()
}

/// Returns whether the database works, and its state as shown in the response.
async fn database(tollgate: &Tollgate) -> (bool, &'static str) {
    let problem = match store::is_migrated(tollgate.db()).await {
        Ok(true) => match tollgate.write_probe().check().await {
            Ok(()) => return (true, "ok"),
            Err(error) if error.needs_restart() => "a file of the database was deleted or replaced: restart",
            Err(error) => {
                tracing::error!(%error, "not ready");
                "not writable"
            }
        },
        Ok(false) => "migrations are missing: run `tollgate migrate`",
        Err(error) => {
            tracing::error!(%error, "not ready");
            "unreachable"
        }
    };
    (false, problem)
}

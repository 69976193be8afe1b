//! `GET /api/v1/usage`

use axum::Json;
use axum::extract::State;
use billing::{Limit, Meter, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, IdempotencyKey};
use super::problem::{Problem, Refusals};
use crate::tollgate::Tollgate;
use crate::usage::MeterReading;

/// How every meter stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    meters: Vec<MeterUsage>,
}

/// How one meter stands in its current window.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MeterUsage {
    /// Which meter.
    #[schema(value_type = String, example = "apiCallsPerMonth")]
    meter: Meter,
    /// How much of the limit is used.
    #[schema(minimum = 0)]
    used: u64,
    /// How much of it is held by work that has not ended.
    #[schema(minimum = 0)]
    reserved: u64,
    /// The limit; null where there is none.
    #[schema(minimum = 0)]
    limit: Option<u64>,
    /// Credits left, which last from window to window; below zero when used ones were refunded.
    credits: i64,
    /// Used beyond the limit, out of credits.
    #[schema(minimum = 0)]
    from_credits: u64,
    /// Used beyond limit and credits, and billed.
    #[schema(minimum = 0)]
    overage: u64,
    /// When the window began, in seconds since 1970.
    #[schema(value_type = i64)]
    window_start: Timestamp,
    /// When the count begins anew, in seconds since 1970.
    #[schema(value_type = i64)]
    resets_at: Timestamp,
}

impl From<MeterReading> for MeterUsage {
    fn from(reading: MeterReading) -> Self {
        Self {
            meter: reading.meter,
            used: reading.used,
            reserved: reading.reserved,
            limit: number(reading.limit),
            credits: reading.credits,
            from_credits: reading.from_credits,
            overage: reading.overage,
            window_start: reading.window.start,
            resets_at: reading.window.end,
        }
    }
}

/// A number, or nothing where there is no limit.
pub(super) fn number(limit: Limit) -> Option<u64> {
    match limit {
        Limit::Finite(limit) => Some(limit),
        Limit::Unlimited => None,
    }
}

/// What is used
///
/// Every meter in its current window. The call itself is counted first.
#[utoipa::path(
    get,
    path = "/api/v1/usage",
    operation_id = "usage",
    params(IdempotencyKey),
    responses((status = 200, description = "How every meter stands", body = Usage), Refusals),
    security(("key" = []), ("session" = [])),
)]
pub(super) async fn usage(State(tollgate): State<Tollgate>, caller: Caller) -> Result<Json<Usage>, Problem> {
    caller.count(&tollgate, b"").await?;
    let readings = tollgate.usage(&caller.account).await.map_err(|error| Problem::unavailable(&error))?;
    Ok(Json(Usage { meters: readings.into_iter().map(MeterUsage::from).collect() }))
}

//! `GET /api/v1/usage`

use axum::Json;
use axum::extract::State;
use billing::{Limit, Meter, Timestamp};
use engine::metering::MeterReading;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, IdempotencyKey};
use super::problem::{Errors, Problem};
use crate::tollgate::Tollgate;

/// All meters in their current windows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    meters: Vec<MeterUsage>,
}

/// A meter in its current window.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MeterUsage {
    /// The key of the meter, such as `apiCallsPerMonth`.
    #[schema(value_type = String, example = "apiCallsPerMonth")]
    meter: Meter,
    /// Units of the limit that are used.
    #[schema(minimum = 0)]
    used: u64,
    /// Units of the limit that are reserved by work in progress.
    #[schema(minimum = 0)]
    reserved: u64,
    /// The limit; null if unlimited.
    #[schema(minimum = 0)]
    limit: Option<u64>,
    /// Remaining credits, which do not expire with the window; below zero if used credits were refunded.
    credits: i64,
    /// Units beyond the limit that were paid from credits.
    #[schema(minimum = 0)]
    from_credits: u64,
    /// Units beyond limit and credits, which are billed.
    #[schema(minimum = 0)]
    overage: u64,
    /// When the window began, in epoch seconds.
    #[schema(value_type = i64)]
    window_start: Timestamp,
    /// When the window ends and the meter resets, in epoch seconds.
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

/// Returns the limit; `None` if unlimited.
pub(super) fn number(limit: Limit) -> Option<u64> {
    match limit {
        Limit::Finite(limit) => Some(limit),
        Limit::Unlimited => None,
    }
}

/// Usage
///
/// All meters in their current windows. The call itself is counted first.
#[utoipa::path(
    get,
    path = "/api/v1/usage",
    operation_id = "usage",
    params(IdempotencyKey),
    responses((status = 200, description = "All meters", body = Usage), Errors),
    security(("key" = []), ("session" = [])),
)]
pub(super) async fn usage(State(tollgate): State<Tollgate>, caller: Caller) -> Result<Json<Usage>, Problem> {
    let readings = caller.count_and_read(&tollgate).await?;
    Ok(Json(Usage { meters: readings.into_iter().map(MeterUsage::from).collect() }))
}

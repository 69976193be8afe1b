//! `GET /api/v1/entitlements`

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use billing::{Feature, Meter, Rule, Status, SubscriptionId, Tier, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, IdempotencyKey};
use super::problem::{Problem, Refusals};
use super::usage::number;
use crate::tollgate::Tollgate;

/// What the account may do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entitlements {
    /// The plan.
    #[schema(value_type = String, example = "PRO")]
    tier: Tier,
    /// What it opens.
    #[schema(value_type = Vec<String>)]
    features: BTreeSet<Feature>,
    /// What it includes of each meter; null where there is no limit.
    #[schema(value_type = BTreeMap<String, Option<u64>>)]
    limits: BTreeMap<Meter, Option<u64>>,
    /// Until when, if nothing more is heard; null on the free plan.
    #[schema(value_type = Option<i64>)]
    until: Option<Timestamp>,
    /// Which subscription and which rule say so; null without one.
    because: Option<Reason>,
}

/// Why the plan is what it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reason {
    /// The subscription that decided.
    #[schema(value_type = String)]
    subscription: SubscriptionId,
    /// Its status at Stripe.
    #[schema(value_type = String)]
    status: Status,
    /// The rule that decided.
    #[schema(value_type = String)]
    rule: Rule,
}

/// What the plan includes
///
/// The plan, its features and limits, and why. The call itself is counted first.
#[utoipa::path(
    get,
    path = "/api/v1/entitlements",
    operation_id = "entitlements",
    params(IdempotencyKey),
    responses((status = 200, description = "What the account may do", body = Entitlements), Refusals),
    security(("key" = []), ("session" = [])),
)]
pub(super) async fn entitlements(
    State(tollgate): State<Tollgate>,
    caller: Caller,
) -> Result<Json<Entitlements>, Problem> {
    caller.count(&tollgate, b"").await?;
    let entitlement = tollgate.entitlement(&caller.account).await.map_err(|error| Problem::unavailable(&error))?;
    let because = match entitlement.reason {
        billing::Reason::NoSubscription => None,
        billing::Reason::Subscription { id, status, rule } => Some(Reason { subscription: id, status, rule }),
    };
    Ok(Json(Entitlements {
        limits: entitlement.limits.iter().map(|(meter, limit)| (*meter, number(*limit))).collect(),
        tier: entitlement.tier,
        features: entitlement.features,
        until: entitlement.until,
        because,
    }))
}

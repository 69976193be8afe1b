//! `GET /api/v1/entitlements`

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use billing::{Feature, Meter, Rule, Status, SubscriptionId, Tier, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, IdempotencyKey};
use super::problem::{Errors, Problem};
use super::usage::number;
use crate::tollgate::Tollgate;

/// The account's entitlements.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entitlements {
    /// The plan.
    #[schema(value_type = String, example = "PRO")]
    tier: Tier,
    /// The features it includes.
    #[schema(value_type = Vec<String>)]
    features: BTreeSet<Feature>,
    /// The limit of each meter; null if unlimited.
    #[schema(value_type = BTreeMap<String, Option<u64>>)]
    limits: BTreeMap<Meter, Option<u64>>,
    /// When it ends unless it is renewed, in epoch seconds; null on the free plan.
    #[schema(value_type = Option<i64>)]
    until: Option<Timestamp>,
    /// The subscription and rule that determine it; null without a subscription.
    reason: Option<Reason>,
}

/// The subscription and rule that determine an entitlement.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reason {
    /// The id of the subscription in Stripe.
    #[schema(value_type = String)]
    subscription: SubscriptionId,
    /// Its status in Stripe.
    #[schema(value_type = String)]
    status: Status,
    /// The name of the rule that was applied to it.
    #[schema(value_type = String)]
    rule: Rule,
}

/// Entitlements
///
/// The plan, its features and limits, and the reason. The call itself is counted first.
#[utoipa::path(
    get,
    path = "/api/v1/entitlements",
    operation_id = "entitlements",
    params(IdempotencyKey),
    responses((status = 200, description = "The entitlements", body = Entitlements), Errors),
    security(("key" = []), ("session" = [])),
)]
pub(super) async fn entitlements(
    State(tollgate): State<Tollgate>,
    caller: Caller,
) -> Result<Json<Entitlements>, Problem> {
    caller.count(&tollgate).await?;
    let entitlement = tollgate.entitlement(&caller.account).await.map_err(|error| Problem::unavailable(&error))?;
    let reason = match entitlement.reason {
        billing::Reason::NoSubscription => None,
        billing::Reason::Subscription { id, status, rule } => Some(Reason { subscription: id, status, rule }),
    };
    Ok(Json(Entitlements {
        limits: entitlement.limits.iter().map(|(meter, limit)| (*meter, number(*limit))).collect(),
        tier: entitlement.tier,
        features: entitlement.features,
        until: entitlement.until,
        reason,
    }))
}

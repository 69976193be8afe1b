//! The caller of a page, a server function or a form handler, and their permissions.
//!
//! The gate has checked the policy of the address. The code behind it checks its own policy again
//! here, with the entitlement that the gate computed, so that it is safe wherever it is mounted
//! (`a_function_checks_its_caller_without_the_gate`).

use axum::http::request::Parts;
use billing::{Policy, Tier};
use engine::{Permit, PermitDenied};
use leptos::prelude::*;
use server::Tollgate;
use server::admin::{NotAnOperator, OperatorPermit, require_operator};
use server::auth::{Client, Device, Session, SignedIn, Visitor};
use server::http::ClientAddress;
use server::quota::QuotaUsedUp;

use crate::api::error::ApiError;
use crate::failure::Failure;

/// A signed-in visitor who meets a policy.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tollgate: Tollgate,
    pub who: SignedIn,
    /// Proof that they meet the policy, with their account and entitlement.
    pub permit: Permit,
}

impl Caller {
    /// Returns the caller of the current page or server function.
    pub fn require(policy: Policy) -> Result<Self, Denied> {
        Self::of(&expect_context::<Tollgate>(), &expect_context::<Parts>(), policy)
    }

    /// Returns the signed-in caller of a server function that sends requests to Stripe, and uses one unit of the
    /// account's quota: one account must not use up Stripe's rate limit for all.
    pub fn calling_stripe() -> Result<Self, ApiError> {
        let caller = Self::require(Policy::SignedIn)?;
        let taken = caller.tollgate.stripe_quota().take(caller.permit.account_id(), caller.tollgate.now());
        taken.map_err(|QuotaUsedUp { retry_after }| {
            tracing::warn!(account = %caller.permit.account_id(), "the account's quota of requests to Stripe is used up");
            ApiError::from(Failure::TooManyAttempts).retry_after(retry_after)
        })?;
        Ok(caller)
    }

    /// Returns the caller who sent a request.
    pub fn of(tollgate: &Tollgate, parts: &Parts, policy: Policy) -> Result<Self, Denied> {
        let who = signed_in(parts)?;
        let visitor = parts.extensions.get::<engine::axum::Visitor>().and_then(|visitor| visitor.0.as_ref());
        let (billable, entitlement) = visitor.ok_or(Denied::Failed(Failure::Unavailable))?;
        let permit = engine::permit(tollgate.catalog(), billable, entitlement.as_ref().clone(), policy)?;
        Ok(Self { tollgate: tollgate.clone(), who, permit })
    }
}

/// A signed-in visitor who may see and repair everyone's billing.
#[derive(Clone, Debug)]
pub struct Operator {
    pub tollgate: Tollgate,
    /// Proof that they are an operator.
    pub permit: OperatorPermit,
}

impl Operator {
    /// Returns the operator who requested the page or server function.
    pub fn require() -> Result<Self, Denied> {
        let permit = require_operator(&signed_in(&expect_context::<Parts>())?)?;
        Ok(Self { tollgate: expect_context(), permit })
    }
}

/// The reason a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The visitor is not signed in.
    SignedOut,
    /// The plan doesn't include it.
    TooLow {
        /// The lowest tier that does.
        needed: Tier,
    },
    /// No plan includes it, or it can't be checked.
    Failed(Failure),
}

impl From<PermitDenied> for Denied {
    fn from(denied: PermitDenied) -> Self {
        match denied {
            PermitDenied::UpgradeRequired { needed } => Self::TooLow { needed },
            PermitDenied::Forbidden => Self::Failed(Failure::NotFound),
        }
    }
}

impl From<NotAnOperator> for Denied {
    fn from(_: NotAnOperator) -> Self {
        Self::Failed(Failure::NotFound)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::SignedOut => Failure::SignedOut,
            Denied::TooLow { .. } => Failure::PlanTooLow,
            Denied::Failed(failure) => failure,
        }
        .into()
    }
}

fn signed_in(parts: &Parts) -> Result<SignedIn, Denied> {
    parts.extensions.get::<Visitor>().and_then(|visitor| visitor.signed_in.clone()).ok_or(Denied::SignedOut)
}

/// Returns the session of the request to a server function.
pub async fn session() -> Result<Session, Failure> {
    leptos_axum::extract().await.map_err(|error| {
        tracing::error!(%error, "a server function was called without a session");
        Failure::Broken
    })
}

/// Returns the client that sent a request, for the limit on password attempts.
pub fn client(tollgate: &Tollgate, parts: &Parts) -> Client {
    Client {
        address: parts.extensions.get::<ClientAddress>().map(|client| client.0),
        device: Device::of_request(&parts.headers, tollgate.config().is_https()),
    }
}

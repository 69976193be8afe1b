//! Everything that a request needs, in one handle.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use engine::clock::Clock;
use engine::metering::rate_limit::RateLimiter;
use engine::{BillingChange, BuildError, Db, Engine};
use serde_json::Value;

use crate::ai::{Ai, AiError};
use crate::assets::Assets;
use crate::config::Config;
use crate::hashing::Hashing;
use crate::product;
use crate::quota::Quota;
use crate::user_cache::UserCache;

/// The app: its configuration, the billing engine, and the rest of what the pages and the API need. Cheap
/// to clone; the state of every axum handler and the context of every page. It dereferences to [`Engine`].
#[derive(Clone, Debug)]
pub struct Tollgate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    engine: Engine,
    assets: Assets,
    ai: Ai,
    hashing: Hashing,
    limiter: RateLimiter,
    stripe_quota: Quota,
    user_cache: UserCache,
    api_document: OnceLock<Value>,
}

impl Deref for Tollgate {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0.engine
    }
}

/// The reason the app could not be built.
#[derive(Debug, thiserror::Error)]
pub enum TollgateError {
    /// The engine could not be built.
    #[error(transparent)]
    Engine(#[from] BuildError),
    /// The AI provider's key cannot be sent as a header.
    #[error(transparent)]
    Ai(#[from] AiError),
}

impl Tollgate {
    /// Builds the app. Nothing runs before [`crate::http::router`] is served and [`Engine::spawn`] is
    /// called.
    pub fn new(config: Config, db: Db, clock: Clock, assets: Assets) -> Result<Self, TollgateError> {
        let engine = Engine::builder()
            .catalog(Arc::clone(&config.catalog))
            .stripe(config.stripe.clone())
            .urls(config.urls())
            .clock(clock)
            .retention(config.retention)
            .reconcile(config.reconcile)
            .features(product::FEATURES)
            .meters(product::METERS)
            .on_change(billing_changed)
            .build_on(db)?;
        let ai = Ai::new(config.ai.as_ref())?;
        let hashing = Hashing::new(config.hashing);
        let limiter = RateLimiter::new(config.api_calls_per_second);
        let stripe_quota = Quota::new(config.stripe_calls_per_minute);
        let user_cache = UserCache::new(engine.cache().invalidation());
        let api_document = OnceLock::new();
        Ok(Self(Arc::new(Inner {
            config,
            engine,
            assets,
            ai,
            hashing,
            limiter,
            stripe_quota,
            user_cache,
            api_document,
        })))
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Stylesheet, scripts and icons.
    pub fn assets(&self) -> &Assets {
        &self.0.assets
    }

    /// Returns the text generator.
    pub(crate) fn ai(&self) -> &Ai {
        &self.0.ai
    }

    /// Returns the slots for password hashing.
    pub(crate) fn hashing(&self) -> &Hashing {
        &self.0.hashing
    }

    /// Returns the cache of sessions, users and API keys.
    pub(crate) fn user_cache(&self) -> &UserCache {
        &self.0.user_cache
    }

    /// Returns the limit on bursts of API calls.
    pub(crate) fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    /// Returns the quota of pages and actions that send requests to Stripe.
    pub fn stripe_quota(&self) -> &Quota {
        &self.0.stripe_quota
    }

    /// Returns the OpenAPI document, once it has been requested.
    pub(crate) fn api_document(&self) -> &OnceLock<Value> {
        &self.0.api_document
    }
}

/// Called for every change of a subscription, in order for each account, and retried until it succeeds.
/// This is the place to provision what a plan includes outside this app. [`BillingChange::id`] is the
/// same at every delivery.
async fn billing_changed(change: BillingChange) -> Result<(), engine::changes::ChangeError> {
    let (before, after) = (change.before.as_ref().map(|before| before.status.as_str()), change.after.status.as_str());
    tracing::info!(change = change.id(), subscription = %change.after.id, before, after, "billing changed");
    Ok(())
}

//! Everything a request needs, in one handle.

use std::sync::Arc;

use billing::{AccountId, Catalog, CatalogErrors, Entitlement, Timestamp};
use tokio::sync::Notify;

use crate::access::Access;
use crate::ai::{Ai, AiError};
use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::api::Limiter;
use crate::product;
use crate::store::{Db, StoreError};
use crate::stripe::{Gateway, GatewayError};
use crate::usage::Counting;
use crate::webhook::intake::Intake;

/// The application: configuration, database, Stripe, clock and caches. Cheap to clone;
/// the state of every axum handler and the context of every page.
#[derive(Clone, Debug)]
pub struct Tollgate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    db: Db,
    gateway: Gateway,
    clock: Clock,
    access: Access,
    assets: Assets,
    intake: Intake,
    counting: Counting,
    ai: Ai,
    limiter: Limiter,
    inbox_filled: Notify,
}

/// Why the parts do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The Stripe key cannot be sent as a header.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The AI provider cannot be spoken to.
    #[error(transparent)]
    Ai(#[from] AiError),
    /// `plans.toml` does not declare a feature or meter that code names.
    #[error(transparent)]
    Catalog(#[from] CatalogErrors),
}

impl Tollgate {
    /// Puts the parts together. Nothing runs yet: see [`crate::http::router`] and
    /// [`crate::webhook::worker`].
    ///
    /// # Errors
    /// See [`PartsError`].
    pub fn new(config: Config, db: Db, clock: Clock, assets: Assets) -> Result<Self, PartsError> {
        product::check(&config.catalog)?;
        let gateway = Gateway::new(&config.stripe)?;
        let ai = Ai::new(config.ai.as_ref())?;
        let limiter = Limiter::new(config.api_calls_per_second);
        let access = Access::new(&db);
        Ok(Self(Arc::new(Inner {
            config,
            db,
            gateway,
            clock,
            access,
            assets,
            intake: Intake::default(),
            counting: Counting::default(),
            ai,
            limiter,
            inbox_filled: Notify::new(),
        })))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// What is sold.
    pub fn catalog(&self) -> &Catalog {
        &self.0.config.catalog
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Stripe.
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    /// The clock, by which all rules go.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// This instant.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Style, scripts and icons.
    pub fn assets(&self) -> &Assets {
        &self.0.assets
    }

    /// The cache of who may do what.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// Where events are written down together.
    pub(crate) fn intake(&self) -> &Intake {
        &self.0.intake
    }

    /// What writes texts.
    pub(crate) fn ai(&self) -> &Ai {
        &self.0.ai
    }

    /// The limit on API calls at once.
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// Where uses are counted together.
    pub(crate) fn counting(&self) -> &Counting {
        &self.0.counting
    }

    /// Rung when an event was written down, so that the worker need not wait.
    pub(crate) fn inbox_filled(&self) -> &Notify {
        &self.0.inbox_filled
    }

    /// What the account may do now, and why.
    ///
    /// # Errors
    /// The database failed.
    pub async fn entitlement(&self, account: &AccountId) -> Result<Entitlement, StoreError> {
        let subscriptions = self.access().subscriptions(self.db(), account).await?;
        Ok(billing::entitlement(&subscriptions, self.catalog(), self.now()))
    }
}

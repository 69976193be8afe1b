//! The shared parts that the engine's functions use.
//!
//! None of the parts depends on this struct, and no function that takes it depends on the host's handle
//! ([`crate::Engine`]).

use std::sync::{Arc, OnceLock};

use billing::{AccountId, Catalog, Entitlement, Timestamp};
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::inbox::circuit_breaker::CircuitBreaker;
use crate::inbox::intake::Intake;
use crate::metering::MeterWriter;
use crate::settings::{Retention, StripeSettings, Urls};
use crate::store::stripe_account::StripeAccount;
use crate::store::{Db, StoreError, WriteProbe};
use crate::stripe::{Gateway, GatewayError};

/// Everything that checkout, sync, metering and the other modules need.
#[derive(Debug)]
pub struct Core {
    catalog: Arc<Catalog>,
    stripe: StripeSettings,
    urls: Urls,
    retention: Retention,
    db: Db,
    gateway: Gateway,
    clock: Clock,
    cache: Cache,
    intake: Intake,
    circuit_breaker: CircuitBreaker,
    stripe_account: OnceLock<StripeAccount>,
    meter: MeterWriter,
    write_probe: WriteProbe,
    wake_worker: Notify,
    wake_changes: Notify,
}

impl Core {
    /// Assembles the parts.
    ///
    /// # Errors
    /// If Stripe's key cannot be sent as a header.
    pub fn new(
        catalog: Arc<Catalog>,
        stripe: StripeSettings,
        urls: Urls,
        retention: Retention,
        db: Db,
        clock: Clock,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            gateway: Gateway::new(&stripe)?,
            cache: Cache::new(&db),
            intake: Intake::new(&db),
            circuit_breaker: CircuitBreaker::default(),
            stripe_account: OnceLock::new(),
            meter: MeterWriter::new(&db),
            write_probe: WriteProbe::new(&db),
            wake_worker: Notify::new(),
            wake_changes: Notify::new(),
            catalog,
            stripe,
            urls,
            retention,
            db,
            clock,
        })
    }

    /// Returns the plans and products.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the settings for Stripe.
    pub const fn stripe_settings(&self) -> &StripeSettings {
        &self.stripe
    }

    /// Returns the host's pages.
    pub const fn urls(&self) -> &Urls {
        &self.urls
    }

    /// How long usage records are kept.
    pub const fn retention(&self) -> Retention {
        self.retention
    }

    /// Returns the database.
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// Returns the client for Stripe's API.
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Returns the clock that all rules use.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the cache of subscriptions and contacts.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the batched writer of events.
    pub const fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Returns the account of the API key, once it has been compared with that of the stored objects.
    pub(crate) const fn stripe_account(&self) -> &OnceLock<StripeAccount> {
        &self.stripe_account
    }

    /// Returns the circuit breaker that decides whether this node applies events, or waits for Stripe.
    pub const fn circuit_breaker(&self) -> &CircuitBreaker {
        &self.circuit_breaker
    }

    /// Returns the batched writer of usage.
    pub const fn meter(&self) -> &MeterWriter {
        &self.meter
    }

    /// Returns the probe that checks whether the database can be written to.
    pub const fn write_probe(&self) -> &WriteProbe {
        &self.write_probe
    }

    /// Notified after a due event is committed.
    pub const fn wake_worker(&self) -> &Notify {
        &self.wake_worker
    }

    /// Notified after a billing change is committed.
    pub const fn wake_changes(&self) -> &Notify {
        &self.wake_changes
    }

    /// Returns the account's current entitlement.
    pub async fn entitlement(&self, account: &AccountId) -> Result<Entitlement, StoreError> {
        let subscriptions = self.cache.subscriptions(&self.db, account).await?;
        Ok(billing::entitlement(&subscriptions, &self.catalog, self.now()))
    }
}

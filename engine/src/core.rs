//! The parts that the engine's functions work with.
//!
//! None of them knows this struct, and no function that takes it knows the handle that hosts hold
//! ([`crate::Engine`]).

use std::sync::Arc;

use billing::{AccountId, Catalog, Entitlement, Timestamp};
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::inbox::intake::Intake;
use crate::metering::MeterWriter;
use crate::settings::{Retention, StripeSettings, Urls};
use crate::store::{Db, StoreError};
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
    meter: MeterWriter,
    wake_worker: Notify,
    wake_changes: Notify,
}

impl Core {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Stripe's key cannot be sent as a header.
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
            meter: MeterWriter::new(&db),
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

    /// What is sold.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// How Stripe is reached.
    pub const fn stripe_settings(&self) -> &StripeSettings {
        &self.stripe
    }

    /// The host's pages.
    pub const fn urls(&self) -> &Urls {
        &self.urls
    }

    /// How long usage is remembered.
    pub const fn retention(&self) -> Retention {
        self.retention
    }

    /// The database.
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// Stripe.
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The clock that all rules use.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The cache of subscriptions and contacts.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Where events are stored together.
    pub const fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Where usage is decided together.
    pub const fn meter(&self) -> &MeterWriter {
        &self.meter
    }

    /// Notified after an event that is due was committed.
    pub const fn wake_worker(&self) -> &Notify {
        &self.wake_worker
    }

    /// Notified after a billing change was committed.
    pub const fn wake_changes(&self) -> &Notify {
        &self.wake_changes
    }

    /// What the account may do now, and why.
    pub async fn entitlement(&self, account: &AccountId) -> Result<Entitlement, StoreError> {
        let subscriptions = self.cache.subscriptions(&self.db, account).await?;
        Ok(billing::entitlement(&subscriptions, &self.catalog, self.now()))
    }
}

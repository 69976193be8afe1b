//! The host's handle to the engine.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use billing::{Catalog, CatalogErrors, Feature, Meter};
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, AccountError, Billable};
use crate::changes::{BillingChange, ChangeError, ChangeHandler};
use crate::clock::Clock;
use crate::core::Core;
use crate::settings::{DatabaseUrl, Retention, StripeSettings, Urls};
use crate::store::{Db, MIGRATIONS, StoreError};
use crate::stripe::{GatewayError, in_background};
use crate::tasks::reconciler::Schedule;
use crate::tasks::supervisor::Tasks;
use crate::tasks::{cache_listener, changes, outbox, reconciler, sweeper, worker};

/// Stripe billing for an app. Cheap to clone; clones share one engine.
///
/// Its operations are functions that take a [`Core`], which an engine dereferences to:
/// `checkout::start_subscription(&engine, …)`, `metering::record(&engine, …)`.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    core: Arc<Core>,
    on_change: ChangeHandler,
    schedule: Option<Schedule>,
    tasks: Tasks,
}

impl Deref for Engine {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0.core
    }
}

/// Why an engine could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A required part is missing.
    #[error("the engine needs {0}")]
    Missing(&'static str),
    /// `plans.toml` does not declare a feature or meter that code names.
    #[error(transparent)]
    Catalog(#[from] CatalogErrors),
    /// Stripe's key cannot be sent as a header.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database cannot be connected to or migrated.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Starts building an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder { schedule: Some(Schedule::default()), ..EngineBuilder::default() }
    }

    /// Starts the background tasks: applying events, delivering billing changes, reporting overage,
    /// releasing reservations, comparing with Stripe, and listening for other nodes' writes. They run
    /// until `stop`, and are restarted if they end early. [`Tasks::wait`] waits until they have ended.
    pub fn spawn(&self, stop: &CancellationToken) -> Tasks {
        let tasks = &self.0.tasks;
        let core = || Arc::clone(&self.0.core);
        supervise(tasks, "events", stop, core(), worker::run);
        supervise(tasks, "cache listener", stop, core(), |core, stop| {
            cache_listener::run(core, cache_listener::HEARTBEAT, stop)
        });
        supervise(tasks, "sweeper", stop, core(), sweeper::run);
        supervise(tasks, "overage", stop, core(), outbox::run);
        if let Some(schedule) = self.0.schedule {
            supervise(tasks, "reconciliation", stop, core(), move |core, stop| reconciler::run(core, schedule, stop));
        }
        let handler = self.0.on_change.clone();
        supervise(tasks, "billing changes", stop, core(), move |core, stop| changes::run(core, handler.clone(), stop));
        tasks.clone()
    }

    /// Returns the background tasks: none before [`Engine::spawn`]. A host can add its own.
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Applies events until none is due: for a command, which may run alongside a server.
    pub async fn drain(&self) {
        worker::drain(&self.0.core).await;
    }

    /// Delivers the oldest due billing change of each account, and returns the number of deliveries.
    pub async fn deliver_changes(&self) -> Result<usize, StoreError> {
        changes::deliver_due(&self.0.core, &self.0.on_change).await
    }

    /// Creates the account on first use, and keeps its contact address and name up to date.
    pub async fn ensure_account(&self, billable: &Billable) -> Result<(), AccountError> {
        accounts::ensure(self, billable).await
    }
}

fn supervise<F>(
    tasks: &Tasks,
    name: &'static str,
    stop: &CancellationToken,
    core: Arc<Core>,
    run: impl Fn(Arc<Core>, CancellationToken) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let until = stop.clone();
    tasks.supervise(name, stop, move || in_background(run(Arc::clone(&core), until.clone())));
}

/// Builds an [`Engine`]. The catalog, the database, Stripe's settings and the URLs are required.
#[derive(Debug, Default)]
pub struct EngineBuilder {
    catalog: Option<Arc<Catalog>>,
    database: Option<DatabaseUrl>,
    stripe: Option<StripeSettings>,
    urls: Option<Urls>,
    clock: Option<Clock>,
    retention: Retention,
    schedule: Option<Schedule>,
    on_change: ChangeHandler,
    features: Vec<Feature>,
    meters: Vec<Meter>,
}

impl EngineBuilder {
    /// Sets the plans and products.
    #[must_use]
    pub fn catalog(mut self, catalog: impl Into<Arc<Catalog>>) -> Self {
        self.catalog = Some(catalog.into());
        self
    }

    /// Sets the database of the engine's tables. [`EngineBuilder::build`] connects to it and migrates it.
    #[must_use]
    pub fn database(mut self, url: DatabaseUrl) -> Self {
        self.database = Some(url);
        self
    }

    /// Sets the settings for Stripe.
    #[must_use]
    pub fn stripe(mut self, stripe: StripeSettings) -> Self {
        self.stripe = Some(stripe);
        self
    }

    /// Sets the host's pages.
    #[must_use]
    pub fn urls(mut self, urls: Urls) -> Self {
        self.urls = Some(urls);
        self
    }

    /// Sets the clock that all rules use. The default is the system clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How long usage records are kept; 90 days by default.
    #[must_use]
    pub const fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// When to compare with Stripe: every hour by default. `None` leaves that to [`crate::reconcile::reconcile`].
    #[must_use]
    pub const fn reconcile(mut self, schedule: Option<Schedule>) -> Self {
        self.schedule = schedule;
        self
    }

    /// Calls this function for every change of a subscription: at least once, in order per account, and
    /// with backoff until it succeeds. See [`BillingChange::id`].
    #[must_use]
    pub fn on_change<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(BillingChange) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ChangeError>> + Send + 'static,
    {
        self.on_change = ChangeHandler::new(handler);
        self
    }

    /// Sets the features that the host's code refers to. The catalog must declare them.
    #[must_use]
    pub fn features(mut self, features: &[Feature]) -> Self {
        self.features.extend(features);
        self
    }

    /// Sets the meters that the host's code refers to. The catalog must declare them.
    #[must_use]
    pub fn meters(mut self, meters: &[Meter]) -> Self {
        self.meters.extend(meters);
        self
    }

    /// Connects to the database, migrates it, and builds the engine. Nothing runs in the background
    /// before [`Engine::spawn`].
    pub async fn build(mut self) -> Result<Engine, BuildError> {
        let url = self.database.take().ok_or(BuildError::Missing("a database"))?;
        let db = Db::connect(&url).await?;
        db.migrate(MIGRATIONS).await?;
        self.build_on(db)
    }

    /// Builds the engine on a database that the host has connected to and migrated, with
    /// [`MIGRATIONS`] among its own.
    pub fn build_on(self, db: Db) -> Result<Engine, BuildError> {
        let catalog = self.catalog.ok_or(BuildError::Missing("a catalog"))?;
        catalog.check_declared(&self.features, &self.meters)?;
        let stripe = self.stripe.ok_or(BuildError::Missing("Stripe's settings"))?;
        let urls = self.urls.ok_or(BuildError::Missing("the host's URLs"))?;
        let clock = self.clock.unwrap_or_else(Clock::system);
        let core = Core::new(catalog, stripe, urls, self.retention, db, clock)?;
        Ok(Engine(Arc::new(Inner {
            core: Arc::new(core),
            on_change: self.on_change,
            schedule: self.schedule,
            tasks: Tasks::default(),
        })))
    }
}

//! The one place that asks what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use billing::Timestamp;

/// Where "now" comes from. Cheap to clone; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Ahead(Arc<AtomicI64>),
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The machine's clock, as many seconds ahead as `offset` says at that moment: an app whose
    /// Stripe's clock can be moved goes with it.
    pub const fn ahead(offset: Arc<AtomicI64>) -> Self {
        Self(Source::Ahead(offset))
    }

    /// A clock that stands at `start` until it is moved with [`Clock::set`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// This instant, in whole seconds.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Ahead(offset) => system_now().plus_seconds(offset.load(Ordering::SeqCst)),
            Source::Manual(seconds) => Timestamp(seconds.load(Ordering::SeqCst)),
        }
    }

    /// What the machine's clock says, whatever the rules go by: signatures are made by real time.
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Source::System | Source::Ahead(_) => system_now(),
            Source::Manual(_) => self.now(),
        }
    }

    /// Moves a manual clock; any other cannot be moved from here and stays as it is.
    pub fn set(&self, now: Timestamp) {
        if let Source::Manual(seconds) = &self.0 {
            seconds.store(now.0, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now() -> Timestamp {
    Timestamp::from(time::OffsetDateTime::now_utc())
}

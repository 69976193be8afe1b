//! The only module that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use billing::Timestamp;

/// The source of the current time. Cheap to clone; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Ahead(Arc<AtomicI64>),
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the system clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Returns the system clock plus `offset` seconds, read each time: for an app that follows the clock of a
    /// Stripe sandbox, which can be advanced.
    pub const fn ahead(offset: Arc<AtomicI64>) -> Self {
        Self(Source::Ahead(offset))
    }

    /// Creates a clock that stays at `start` until [`Clock::set`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// Returns the current time, in whole seconds.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Ahead(offset) => system_now().plus_seconds(offset.load(Ordering::SeqCst)),
            Source::Manual(seconds) => Timestamp(seconds.load(Ordering::SeqCst)),
        }
    }

    /// Returns the system time, whatever clock the rules use: signatures are made in real time.
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Source::System | Source::Ahead(_) => system_now(),
            Source::Manual(_) => self.now(),
        }
    }

    /// Sets a manual clock; has no effect on any other.
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

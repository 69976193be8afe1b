//! Metering requests, and their outcomes.

use billing::Meter;
use billing::allowance::MAX_UNITS;

use super::decide::HeldUnits;
use super::reading::MeterReading;
use super::scope::CounterScope;
use crate::store::StoreError;

/// One usage event.
#[derive(Clone, Debug)]
pub struct UsageEvent<'a> {
    /// The meter to count on.
    pub meter: Meter,
    /// The number of units, from 1.
    pub quantity: u64,
    /// The idempotency key: an event counts once, however often it is sent.
    pub key: &'a str,
    /// Whether the key was generated for this event, so that it need not be looked up. If it exists anyway,
    /// recording fails.
    pub is_new_key: bool,
    /// The fingerprint of the request: the same key with a different fingerprint is an error. May be
    /// empty.
    pub fingerprint: &'a str,
    /// The source of the usage, such as an API key's id.
    pub source: Option<&'a str>,
    /// JSON about the work, stored with the record.
    pub metadata: Option<String>,
}

impl<'a> UsageEvent<'a> {
    /// Creates a usage event without details.
    pub const fn new(meter: Meter, quantity: u64, key: &'a str) -> Self {
        Self { meter, quantity, key, is_new_key: false, fingerprint: "", source: None, metadata: None }
    }
}

/// The outcome of recording usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Counted; the reading includes it.
    Counted(MeterReading),
    /// Already counted under the same key; nothing changed.
    Repeated(MeterReading),
    /// Not enough is left; nothing changed.
    Denied(MeterReading),
}

/// Units held for work in progress.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub(super) scope: Box<CounterScope>,
    pub(super) key: String,
    pub(super) id: String,
    pub(super) held: HeldUnits,
}

/// The outcome of reserving usage.
#[derive(Clone, Debug)]
pub enum Reserved {
    /// Units are held: the work can start.
    Held(Reservation, MeterReading),
    /// The same work has already succeeded and was counted.
    Repeated(MeterReading),
    /// The same work is in progress.
    InProgress(MeterReading),
    /// Not enough is left; nothing changed.
    Denied(MeterReading),
}

/// The outcome of recording one event and reserving units for another.
#[derive(Clone, Debug)]
pub struct RecordedAndReserved {
    /// The reading of the event's meter. It includes the event if units are held.
    pub event: MeterReading,
    /// The outcome of reserving; `None` if not enough is left of the event's meter, and nothing changed.
    pub work: Option<Reserved>,
}

/// The reason usage could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The quantity is zero or too large.
    #[error("a quantity must be from 1 to {MAX_UNITS}")]
    Quantity,
    /// The database failed; nothing was counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

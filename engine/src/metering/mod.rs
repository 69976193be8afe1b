//! Counting usage against limits: exact under any concurrency, once per key, in time independent of the
//! usage so far.
//!
//! [`record`] counts immediately. Work that can fail calls [`reserve`] first and [`commit`] or [`release`] at
//! the end; a reservation whose work was abandoned is released when it expires. Requests that arrive at the
//! same time are decided in one transaction (`decide.rs`). A key identifies one request: the same key with
//! another meter, quantity or fingerprint is an error (`tests/store/usage.rs`, `tests/store/reservations.rs`).

mod counted;
pub mod credits;
mod decide;
mod meters;
mod notices;
pub mod outbox;
mod overview;
pub mod rate_limit;
mod reading;
mod request;
mod scope;
mod threshold;
mod usage;
mod window;

pub use decide::MeterWriter;
pub use meters::readings;
pub use notices::{Notice, dismiss_notice};
pub use overview::{UsageOverview, overview};
pub use reading::{MeterReading, midnight};
pub use request::{Recorded, RecordedAndReserved, Reservation, Reserved, UsageError, UsageEvent};
pub use threshold::Threshold;
pub use usage::{
    RESERVATION_SECONDS, check, commit, kept_response, read, record, record_and_read, record_and_reserve, release,
    release_expired, reserve,
};

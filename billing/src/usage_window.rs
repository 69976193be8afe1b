//! The window in which usage is counted against a limit, always in UTC.
//!
//! Without an anchor (the free plan) a window is a calendar month. With one it is a month
//! counted from the billing anchor, on yearly plans too: 31 January, 28 February, 31 March. Each
//! window is computed from the anchor itself, so a short month does not shorten the ones after
//! it. Stripe computes billing dates the same way (Stripe docs, "Set the subscription billing
//! renewal date").
//! Windows are adjacent and never overlap (`tests/usage_window.rs`).

use time::{Date, Month, OffsetDateTime, Time};

use crate::time::Timestamp;

/// A span of time from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageWindow {
    /// The first second, which also identifies the window in the database.
    pub start: Timestamp,
    /// The first second after the window, when the count resets.
    pub end: Timestamp,
}

/// Returns the window that contains `now`.
pub fn usage_window(anchor: Option<Timestamp>, now: Timestamp) -> UsageWindow {
    let anchor = anchor.map_or_else(|| first_of_month(now), |anchor| anchor.utc());
    let at = now.utc();
    let mut months =
        (at.year() - anchor.year()) * 12 + i32::from(u8::from(at.month())) - i32::from(u8::from(anchor.month()));
    // The difference in calendar months is exact or one too many.
    if months_after(anchor, months) > now {
        months -= 1;
    }
    UsageWindow { start: months_after(anchor, months), end: months_after(anchor, months + 1) }
}

fn first_of_month(now: Timestamp) -> OffsetDateTime {
    let date = now.utc().date();
    date.replace_day(1).unwrap_or(date).with_time(Time::MIDNIGHT).assume_utc()
}

/// Returns `anchor` moved by whole months, with its day clamped to the length of the month. Outside the
/// calendar this is the end of time, so that the last window contains everything beyond.
fn months_after(anchor: OffsetDateTime, months: i32) -> Timestamp {
    let index = anchor.year() * 12 + i32::from(u8::from(anchor.month())) - 1 + months;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let month = u8::try_from(month).ok().and_then(|number| Month::try_from(number).ok()).unwrap_or(Month::January);
    let day = anchor.day().min(month.length(year));
    match Date::from_calendar_date(year, month, day) {
        Ok(date) => Timestamp::from(date.with_time(anchor.time()).assume_utc()),
        Err(_) if year < 0 => Timestamp(i64::MIN),
        Err(_) => Timestamp(i64::MAX),
    }
}

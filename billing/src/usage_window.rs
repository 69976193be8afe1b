//! The span over which usage is counted against a limit. Always UTC.
//!
//! Calendar months without an anchor (the free plan). With one, months counted
//! from the billing anchor, also inside yearly plans: 31 January, 28 February,
//! 31 March. Each window is counted from the anchor itself, so a short month
//! does not shorten the ones after it. Windows touch and never overlap
//! (`tests/usage_window.rs`).

use time::{Date, Month, OffsetDateTime, Time};

use crate::time::Timestamp;

/// From `start`, up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageWindow {
    /// First instant; the name of the window in the store.
    pub start: Timestamp,
    /// First instant after: when the count begins anew.
    pub end: Timestamp,
}

/// The window that `now` lies in.
pub fn usage_window(anchor: Option<Timestamp>, now: Timestamp) -> UsageWindow {
    let anchor = anchor.map_or_else(|| first_of_month(now), |anchor| anchor.utc());
    let at = now.utc();
    let mut months =
        (at.year() - anchor.year()) * 12 + i32::from(u8::from(at.month())) - i32::from(u8::from(anchor.month()));
    // The difference in calendar months is right or one too many.
    if months_after(anchor, months) > now {
        months -= 1;
    }
    UsageWindow { start: months_after(anchor, months), end: months_after(anchor, months + 1) }
}

fn first_of_month(now: Timestamp) -> OffsetDateTime {
    let date = now.utc().date();
    date.replace_day(1).unwrap_or(date).with_time(Time::MIDNIGHT).assume_utc()
}

/// `anchor` moved by whole months, its day cut to what the month has; the end of time
/// where the calendar ends, so that its last windows still hold what lies beyond.
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

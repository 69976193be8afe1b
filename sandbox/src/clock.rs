//! The sandbox's clock: real time plus a stored offset.
//!
//! Invariant: nothing else in this crate reads a clock, so that changing the offset moves all of
//! Stripe's time: trials, renewals, expiries and retries.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{Date, Month, OffsetDateTime, Time};

/// Seconds in an hour.
pub(crate) const HOUR: i64 = 3_600;
/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// Returns the real time in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
pub(crate) fn real_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the time `count` intervals after `anchor`, as Stripe counts them: months and years keep the
/// anchor's day of the month, or use the last day of a shorter month.
pub(crate) fn add_interval(anchor: i64, interval: &str, count: i64) -> i64 {
    let months = match interval {
        "day" => return anchor + count * DAY,
        "week" => return anchor + count * 7 * DAY,
        "year" => count * 12,
        _ => count,
    };
    let Ok(start) = OffsetDateTime::from_unix_timestamp(anchor) else {
        return anchor;
    };
    let index = i64::from(start.year()) * 12 + i64::from(u8::from(start.month())) - 1 + months;
    let year = i32::try_from(index.div_euclid(12)).unwrap_or(9999);
    let month = u8::try_from(index.rem_euclid(12) + 1)
        .ok()
        .and_then(|month| Month::try_from(month).ok())
        .unwrap_or(Month::January);
    let day = start.day().min(month.length(year));
    Date::from_calendar_date(year, month, day)
        .map_or(anchor, |date| date.with_time(start.time()).assume_utc().unix_timestamp())
}

/// Formats a date in UTC: "December 7, 2026".
pub(crate) fn long_date(timestamp: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(timestamp).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("{} {}, {}", date.month(), date.day(), date.year())
}

/// Formats a date in UTC as invoice lines do: "7 Dec 2026".
pub(crate) fn short_date(timestamp: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(timestamp).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = date.month().to_string();
    format!("{} {} {}", date.day(), &month[..3], date.year())
}

/// Formats a time: "2026-12-07 14:03:09 UTC".
pub(crate) fn stamp(timestamp: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(timestamp).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = moment.time().as_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", moment.date())
}

/// Formats a time in ISO 8601: "2026-12-07T14:03:09Z".
pub(crate) fn iso(timestamp: i64) -> String {
    stamp(timestamp).replacen(' ', "T", 1).replace(" UTC", "Z")
}

/// Returns whether a card with the given expiry has expired at `now`.
pub(crate) fn card_expired(year: i64, month: i64, now: i64) -> bool {
    let today =
        OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH).replace_time(Time::MIDNIGHT);
    (year, month) < (i64::from(today.year()), i64::from(u8::from(today.month())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn months_keep_the_anchor_day_unless_they_are_shorter() {
        let anchor = datetime!(2026-01-31 10:00 UTC).unix_timestamp();
        let days: Vec<u8> = (1..=3)
            .map(|count| {
                OffsetDateTime::from_unix_timestamp(add_interval(anchor, "month", count)).expect("in range").day()
            })
            .collect();
        assert_eq!(days, [28, 31, 30]);
    }

    #[test]
    fn a_leap_day_anchor_renews_on_the_28th() {
        let anchor = datetime!(2028-02-29 00:00 UTC).unix_timestamp();
        assert_eq!(add_interval(anchor, "year", 1), datetime!(2029-02-28 00:00 UTC).unix_timestamp());
    }

    #[test]
    fn a_card_is_valid_until_the_end_of_its_expiry_month() {
        let now = datetime!(2026-11-30 23:59 UTC).unix_timestamp();
        assert!(!card_expired(2026, 11, now));
        assert!(card_expired(2026, 10, now));
        assert!(!card_expired(2027, 1, now));
    }
}

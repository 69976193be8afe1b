//! Usage windows: UTC months, counted from the calendar or from the billing anchor.

use billing::time::DAY;
use billing::{Timestamp, UsageWindow, usage_window};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

fn at(date: OffsetDateTime) -> Timestamp {
    Timestamp::from(date)
}

#[track_caller]
fn assert_window(anchor: Option<OffsetDateTime>, now: OffsetDateTime, start: OffsetDateTime, end: OffsetDateTime) {
    let window = usage_window(anchor.map(at), at(now));
    assert_eq!((window.start.utc(), window.end.utc()), (start, end), "at {now}");
}

/// The starts of `count` windows, beginning with the one that contains `first`.
fn starts(anchor: OffsetDateTime, first: OffsetDateTime, count: usize) -> Vec<OffsetDateTime> {
    std::iter::successors(Some(usage_window(Some(at(anchor)), at(first))), |window| {
        Some(usage_window(Some(at(anchor)), window.end))
    })
    .take(count)
    .map(|window| window.start.utc())
    .collect()
}

#[test]
fn without_an_anchor_a_window_is_the_calendar_month_in_utc() {
    assert_window(
        None,
        datetime!(2026-02-14 13:37 UTC),
        datetime!(2026-02-01 0:00 UTC),
        datetime!(2026-03-01 0:00 UTC),
    );
    assert_window(
        None,
        datetime!(2026-12-31 23:59:59 UTC),
        datetime!(2026-12-01 0:00 UTC),
        datetime!(2027-01-01 0:00 UTC),
    );
}

#[test]
fn a_calendar_window_starts_at_midnight_utc() {
    let midnight = at(datetime!(2026-03-01 0:00 UTC));
    assert_eq!(usage_window(None, midnight).start, midnight);
    assert_eq!(usage_window(None, midnight.plus_seconds(-1)).end, midnight);
}

#[test]
fn the_window_does_not_depend_on_the_offset_of_now() {
    assert_window(None, datetime!(2026-03-01 1:00 +2), datetime!(2026-02-01 0:00 UTC), datetime!(2026-03-01 0:00 UTC));
}

#[test]
fn an_anchored_window_starts_at_the_anchors_day_and_second() {
    let anchor = datetime!(2026-01-15 18:20:07 UTC);
    assert_window(Some(anchor), anchor, anchor, datetime!(2026-02-15 18:20:07 UTC));
    assert_window(Some(anchor), datetime!(2026-02-15 18:20:06 UTC), anchor, datetime!(2026-02-15 18:20:07 UTC));
    assert_window(
        Some(anchor),
        datetime!(2026-02-15 18:20:07 UTC),
        datetime!(2026-02-15 18:20:07 UTC),
        datetime!(2026-03-15 18:20:07 UTC),
    );
}

#[test]
fn an_anchor_on_the_31st_is_clamped_in_short_months_only() {
    let anchor = datetime!(2026-01-31 10:00 UTC);
    assert_eq!(
        starts(anchor, anchor, 5),
        [
            anchor,
            datetime!(2026-02-28 10:00 UTC),
            datetime!(2026-03-31 10:00 UTC),
            datetime!(2026-04-30 10:00 UTC),
            datetime!(2026-05-31 10:00 UTC),
        ]
    );
}

#[test]
fn an_anchor_on_the_31st_uses_the_29th_of_a_leap_february() {
    let anchor = datetime!(2028-01-31 10:00 UTC);
    assert_eq!(starts(anchor, anchor, 3), [anchor, datetime!(2028-02-29 10:00 UTC), datetime!(2028-03-31 10:00 UTC)]);
}

#[test]
fn an_anchor_on_the_29th_of_february_uses_the_28th_in_common_years() {
    let anchor = datetime!(2028-02-29 0:00 UTC);
    assert_window(
        Some(anchor),
        datetime!(2029-02-28 0:00 UTC),
        datetime!(2029-02-28 0:00 UTC),
        datetime!(2029-03-29 0:00 UTC),
    );
    assert_window(
        Some(anchor),
        datetime!(2032-03-01 0:00 UTC),
        datetime!(2032-02-29 0:00 UTC),
        datetime!(2032-03-29 0:00 UTC),
    );
}

#[test]
fn a_century_that_is_not_a_leap_year_has_no_29th() {
    assert_window(
        Some(datetime!(2099-12-31 0:00 UTC)),
        datetime!(2100-02-28 0:00 UTC),
        datetime!(2100-02-28 0:00 UTC),
        datetime!(2100-03-31 0:00 UTC),
    );
}

#[test]
fn an_anchor_in_the_future_counts_backwards() {
    let trial_end = datetime!(2026-03-31 8:00 UTC);
    assert_window(Some(trial_end), datetime!(2026-03-17 8:00 UTC), datetime!(2026-02-28 8:00 UTC), trial_end);
    assert_window(
        Some(trial_end),
        datetime!(2026-02-10 8:00 UTC),
        datetime!(2026-01-31 8:00 UTC),
        datetime!(2026-02-28 8:00 UTC),
    );
}

#[test]
fn a_yearly_plan_has_twelve_windows_and_the_thirteenth_starts_with_the_renewal() {
    let anchor = datetime!(2026-07-31 12:00 UTC);
    let starts = starts(anchor, anchor, 13);
    assert_eq!(starts[7], datetime!(2027-02-28 12:00 UTC));
    assert_eq!(starts[12], datetime!(2027-07-31 12:00 UTC));
}

/// Any second of the years 1900 to 2200.
fn second() -> impl Strategy<Value = Timestamp> {
    (at(datetime!(1900-01-01 0:00 UTC)).0..at(datetime!(2201-01-01 0:00 UTC)).0).prop_map(Timestamp)
}

/// Anchors, many of them on days that not every month has.
fn anchor() -> impl Strategy<Value = Option<Timestamp>> {
    let late_day = (second(), 29..=31_u8)
        .prop_map(|(at, day)| Timestamp::from(at.utc().replace_day(day).unwrap_or_else(|_| at.utc())));
    prop_oneof![1 => Just(None), 2 => second().prop_map(Some), 3 => late_day.prop_map(Some)]
}

proptest! {
    #[test]
    fn now_is_in_its_window(anchor in anchor(), now in second()) {
        let UsageWindow { start, end } = usage_window(anchor, now);
        prop_assert!(start <= now && now < end);
    }

    #[test]
    fn windows_are_adjacent_and_never_overlap(anchor in anchor(), now in second()) {
        let window = usage_window(anchor, now);
        prop_assert_eq!(usage_window(anchor, window.start), window);
        prop_assert_eq!(usage_window(anchor, window.end.plus_seconds(-1)), window);
        prop_assert_eq!(usage_window(anchor, window.end).start, window.end);
        prop_assert_eq!(usage_window(anchor, window.start.plus_seconds(-1)).end, window.start);
    }

    #[test]
    fn a_window_is_a_month_long(anchor in anchor(), now in second()) {
        let UsageWindow { start, end } = usage_window(anchor, now);
        prop_assert!((28 * DAY..=31 * DAY).contains(&(end.0 - start.0)));
    }

    #[test]
    fn a_window_starts_on_the_anchors_day_or_the_last_day_of_a_shorter_month(anchor in second(), now in second()) {
        let start = usage_window(Some(anchor), now).start.utc();
        prop_assert_eq!(start.time(), anchor.utc().time());
        prop_assert_eq!(start.day(), anchor.utc().day().min(start.month().length(start.year())));
    }

    #[test]
    fn an_anchor_is_the_start_of_a_window(anchor in second()) {
        prop_assert_eq!(usage_window(Some(anchor), anchor).start, anchor);
    }

    #[test]
    fn the_start_of_any_window_is_an_equivalent_anchor(
        (anchor, now) in (second(), second()).prop_filter("every month has the day", |(at, _)| at.utc().day() <= 28),
    ) {
        let moved = usage_window(Some(anchor), now).start;
        prop_assert_eq!(usage_window(Some(moved), now), usage_window(Some(anchor), now));
    }

    #[test]
    fn now_is_in_its_window_even_outside_the_calendar(
        anchor in prop::option::of(any::<i64>().prop_map(Timestamp)),
        now in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX - 1)].prop_map(Timestamp),
    ) {
        let UsageWindow { start, end } = usage_window(anchor, now);
        prop_assert!(start <= now && now < end, "{start:?} {now:?} {end:?}");
    }
}

#[test]
fn extreme_times_do_not_panic() {
    let extremes = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX].map(Timestamp);
    for now in extremes {
        for anchor in extremes.map(Some).into_iter().chain([None]) {
            let window = usage_window(anchor, now);
            assert!(window.start < window.end, "{anchor:?} {now:?}");
        }
    }
}

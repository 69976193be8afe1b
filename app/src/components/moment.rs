//! Dates in UTC: short on the page, exact in the `title`.

use billing::Timestamp;
use leptos::prelude::*;
use server::Tollgate;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const MACHINE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const EXACT: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute]:[second] UTC");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:short]");
const DAY_AND_YEAR: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:short] [year]");
const TIME: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute] UTC");

/// The distance from now within which a date needs no year.
const HALF_A_YEAR: u64 = 182 * 86_400;

fn format(at: Timestamp, format: &[BorrowedFormatItem<'_>]) -> String {
    // These formats cannot fail.
    at.utc().format(format).unwrap_or_else(|_| at.to_string())
}

fn short(at: Timestamp, now: Option<Timestamp>) -> String {
    let is_near = now.is_some_and(|now| at.0.abs_diff(now.0) < HALF_A_YEAR);
    format(at, if is_near { DAY } else { DAY_AND_YEAR })
}

fn now() -> Option<Timestamp> {
    use_context::<Tollgate>().map(|tollgate| tollgate.now())
}

/// `14 Dec`, or `14 Dec 2027` if that is more than half a year away.
#[component]
pub fn Day(at: Timestamp) -> impl IntoView {
    view! { <time datetime=format(at, MACHINE) title=format(at, EXACT)>{short(at, now())}</time> }
}

/// `14 Dec, 14:05 UTC`.
#[component]
pub fn Moment(at: Timestamp) -> impl IntoView {
    let text = format!("{}, {}", short(at, now()), format(at, TIME));
    view! { <time datetime=format(at, MACHINE) title=format(at, EXACT)>{text}</time> }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_795_442_700);

    #[test]
    fn the_title_is_exact_and_includes_the_zone() {
        assert_eq!(format(AT, EXACT), "23 November 2026, 14:05:00 UTC");
        assert_eq!(format(AT, MACHINE), "2026-11-23T14:05:00Z");
    }

    #[test]
    fn a_date_has_a_year_unless_it_is_near() {
        assert_eq!(short(AT, Some(AT.plus_days(-30))), "23 Nov");
        assert_eq!(short(AT, Some(AT.plus_days(90))), "23 Nov");
        assert_eq!(short(AT, Some(AT.plus_days(-365))), "23 Nov 2026");
        assert_eq!(short(AT, None), "23 Nov 2026");
    }
}

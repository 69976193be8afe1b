//! Dates as people read them: absolute, in UTC, and saying so.

use billing::Timestamp;
use leptos::prelude::*;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const MACHINE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:long] [year]");
const MOMENT: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");

fn written(at: Timestamp, format: &[BorrowedFormatItem<'_>]) -> String {
    // Formatting a date in these forms cannot fail; the plain form is there for the type's sake.
    at.utc().format(format).unwrap_or_else(|_| at.to_string())
}

/// `23 November 2026, 14:05 UTC`: when something happens exactly then.
#[component]
pub fn Moment(at: Timestamp) -> impl IntoView {
    view! { <time datetime=written(at, MACHINE)>{written(at, MOMENT)}</time> }
}

/// `23 November 2026`: in tables whose head names the zone.
#[component]
pub fn Day(at: Timestamp) -> impl IntoView {
    view! { <time datetime=written(at, MACHINE)>{written(at, DAY)}</time> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_names_its_zone() {
        assert_eq!(written(Timestamp(1_795_442_700), MOMENT), "23 November 2026, 14:05 UTC");
        assert_eq!(written(Timestamp(1_795_442_700), MACHINE), "2026-11-23T14:05:00Z");
    }
}

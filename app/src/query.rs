//! The query of an address, parsed into known values. Anything else counts as absent, because anyone
//! can type an address.

use billing::{Catalog, Interval, Plan, Timestamp};
use engine::store::Cursor;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use server::auth::safe_next;

/// Returns the value of a parameter. One with a NUL, which PostgreSQL cannot search for, counts as absent.
pub fn parameter(name: &str) -> Option<String> {
    use_query_map().with_untracked(|query| query.get(name)).filter(|value| !value.contains('\0'))
}

/// Returns `next=`, restricted to paths of this app.
pub fn next() -> Option<String> {
    parameter("next").map(|next| safe_next(Some(&next)).to_owned())
}

/// Returns the cursor of a table's page; without the parameter, the newest row.
pub fn after(name: &str) -> Cursor {
    parameter(name).as_deref().and_then(read_after).unwrap_or_else(Cursor::start)
}

fn read_after(text: &str) -> Option<Cursor> {
    let (at, key) = text.split_once('.')?;
    Some(Cursor { at: Timestamp(at.parse().ok()?), key: key.to_owned() })
}

/// Returns the value that [`after`] reads.
pub fn after_value(after: &Cursor) -> String {
    format!("{}.{}", after.at.0, after.key)
}

/// Returns `path?name=value&…`, with the values escaped and without empty ones.
pub fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The plan and interval chosen on the pricing page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The plan's tier, in the catalog's spelling.
    pub plan: Option<String>,
    pub interval: Interval,
}

impl Choice {
    /// Reads `plan=` and `interval=`. A plan that isn't for sale is ignored, and so is an interval
    /// without prices: a month is the default.
    pub fn parse(catalog: &Catalog, plan: Option<&str>, interval: Option<&str>) -> Self {
        let interval = interval
            .and_then(Interval::parse)
            .filter(|interval| catalog.plans().iter().any(|plan| plan.price(*interval).is_some()));
        let interval = interval.unwrap_or(Interval::Month);
        let plan = plan.and_then(|name| catalog.plan_named(name)).filter(|plan| plan.price(interval).is_some());
        Self { plan: plan.map(|plan| plan.tier.as_str().to_owned()), interval }
    }

    /// Returns the choice in the request's address.
    pub fn of_address(catalog: &Catalog) -> Self {
        Self::parse(catalog, parameter("plan").as_deref(), parameter("interval").as_deref())
    }
}

/// Returns the address of the pricing page with `plan` and `interval` chosen.
pub fn pricing_path(plan: &Plan, interval: Interval) -> String {
    format!("/pricing?plan={}&interval={}", plan.tier, interval)
}

/// Returns `path?next=…`, with the path in it escaped.
pub fn with_next(path: &str, next: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{path}?next={next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::parse(include_str!("../../plans.toml"), &|_| None).unwrap()
    }

    #[test]
    fn a_choice_is_read_in_any_case_and_nonsense_is_ignored() {
        let catalog = catalog();
        let chosen = Choice::parse(&catalog, Some("pro"), Some("year"));
        assert_eq!(chosen, Choice { plan: Some("PRO".to_owned()), interval: Interval::Year });
        let nonsense = Choice::parse(&catalog, Some("\"><script>"), Some("decade"));
        assert_eq!(nonsense, Choice { plan: None, interval: Interval::Month });
    }

    #[test]
    fn a_cursor_survives_the_address_and_nonsense_is_ignored() {
        let cursor = Cursor { at: Timestamp(1_795_442_700), key: "evt_1.x".to_owned() };
        assert_eq!(read_after(&after_value(&cursor)), Some(cursor));
        assert_eq!(read_after("yesterday"), None);
    }

    #[test]
    fn an_address_escapes_its_values() {
        assert_eq!(address("/admin/events", &[("state", ""), ("about", "a&b")]), "/admin/events?about=a%26b");
        assert_eq!(address("/admin/events", &[("state", "")]), "/admin/events");
    }

    #[test]
    fn the_free_plan_cannot_be_chosen_for_payment() {
        assert_eq!(Choice::parse(&catalog(), Some("FREE"), None).plan, None);
    }

    #[test]
    fn the_next_path_is_escaped() {
        let catalog = catalog();
        let pro = catalog.plan_named("PRO").unwrap();
        let back = pricing_path(pro, Interval::Month);
        assert_eq!(with_next("/signup", &back), "/signup?next=%2Fpricing%3Fplan%3DPRO%26interval%3Dmonth");
    }
}

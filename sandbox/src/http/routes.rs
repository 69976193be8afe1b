//! The table of routes.

use crate::http::call::Route;
use crate::http::{
    checkout, credit_notes, customers, disputes, invoices, meters, payments, platform, portal, prices, refunds,
    schedules, subscriptions,
};

const ROUTES: &[&[Route]] = &[
    customers::ROUTES,
    prices::ROUTES,
    checkout::ROUTES,
    subscriptions::ROUTES,
    invoices::ROUTES,
    credit_notes::ROUTES,
    payments::ROUTES,
    refunds::ROUTES,
    disputes::ROUTES,
    schedules::ROUTES,
    meters::ROUTES,
    platform::ROUTES,
    portal::ROUTES,
];

/// Finds the route for a method and path, and the id in the path.
pub(crate) fn find(method: &str, path: &str) -> Option<(&'static Route, String)> {
    let routes = || ROUTES.iter().copied().flatten();
    let (index, id) = best(routes().map(|route| route.endpoint), method, path)?;
    routes().nth(index).map(|route| (route, id))
}

/// Finds the endpoint for a method and path: its index, and the id in the path. A literal segment takes
/// precedence over `:id`.
pub(crate) fn best(endpoints: impl Iterator<Item = &'static str>, method: &str, path: &str) -> Option<(usize, String)> {
    let mut found = None;
    for (index, endpoint) in endpoints.enumerate() {
        let (verb, pattern) = endpoint.split_once(' ')?;
        let Some(id) = matches(pattern, path).filter(|_| verb == method) else {
            continue;
        };
        if id.is_empty() {
            return Some((index, id));
        }
        found = Some((index, id));
    }
    found
}

fn matches(pattern: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let (mut expected, mut sent) = (pattern.split('/'), path.split('/'));
    loop {
        match (expected.next(), sent.next()) {
            (None, None) => return Some(id),
            (Some(":id"), Some(segment)) if !segment.is_empty() => segment.clone_into(&mut id),
            (Some(expected), Some(segment)) if expected == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROUTES, find};
    use std::collections::BTreeSet;

    #[test]
    fn every_section_is_a_route() {
        let sections: BTreeSet<String> = crate::params::known_endpoints().into_iter().collect();
        let routes = ROUTES.iter().copied().flatten().map(|route| route.endpoint);
        let controls = crate::controls::CONTROLS.iter().map(|control| control.endpoint);
        let routes: BTreeSet<String> = routes.chain(controls).map(str::to_owned).collect();
        assert_eq!(sections, routes);
    }

    #[test]
    fn a_literal_segment_takes_precedence_over_an_id() {
        let (route, id) = find("POST", "/v1/invoices/create_preview").expect("a route");
        assert_eq!(route.endpoint, "POST /v1/invoices/create_preview");
        assert_eq!(id, "");
        let (_, id) = find("GET", "/v1/customers/cus_1").expect("a route");
        assert_eq!(id, "cus_1");
        assert!(find("GET", "/v1/customers/").is_none());
    }
}

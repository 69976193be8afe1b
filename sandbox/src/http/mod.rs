//! The API's endpoints: one table of routes, one file per resource.
//!
//! Invariant: a handler sees checked parameters and writes through the transaction it is given;
//! it never sees HTTP.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::Tx;

mod checkout;
mod customers;
mod disputes;
mod invoices;
pub(crate) mod meters;
mod payments;
mod platform;
mod portal;
pub(crate) mod prices;
mod refunds;
mod schedules;
mod subscriptions;

/// One request, taken apart.
pub(crate) struct Call {
    /// The `:id` of the path, `""` where there is none.
    pub(crate) id: String,
    pub(crate) params: Value,
    pub(crate) path: String,
    /// The API version of the caller.
    pub(crate) version: String,
}

type Handler = fn(&mut Tx<'_>, &Call) -> Result<Value, ApiError>;

/// An endpoint, written like the sections of the parameter trees.
pub(crate) struct Route {
    pub(crate) endpoint: &'static str,
    pub(crate) run: Handler,
}

const ROUTES: &[&[Route]] = &[
    customers::ROUTES,
    prices::ROUTES,
    checkout::ROUTES,
    subscriptions::ROUTES,
    invoices::ROUTES,
    payments::ROUTES,
    refunds::ROUTES,
    disputes::ROUTES,
    schedules::ROUTES,
    meters::ROUTES,
    platform::ROUTES,
    portal::ROUTES,
];

pub(crate) const fn route(endpoint: &'static str, run: Handler) -> Route {
    Route { endpoint, run }
}

/// The route of a method and path, and the id in the path.
pub(crate) fn find(method: &str, path: &str) -> Option<(&'static Route, String)> {
    let routes = || ROUTES.iter().copied().flatten();
    let (place, id) = best(routes().map(|route| route.endpoint), method, path)?;
    routes().nth(place).map(|route| (route, id))
}

/// Which of these endpoints a method and path mean, and the id in the path. A literal segment
/// wins over `:id`.
pub(crate) fn best(endpoints: impl Iterator<Item = &'static str>, method: &str, path: &str) -> Option<(usize, String)> {
    let mut found = None;
    for (place, endpoint) in endpoints.enumerate() {
        let (verb, pattern) = endpoint.split_once(' ')?;
        let Some(id) = matches(pattern, path).filter(|_| verb == method) else {
            continue;
        };
        if id.is_empty() {
            return Some((place, id));
        }
        found = Some((place, id));
    }
    found
}

fn matches(pattern: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let (mut wanted, mut sent) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), sent.next()) {
            (None, None) => return Some(id),
            (Some(":id"), Some(segment)) if !segment.is_empty() => segment.clone_into(&mut id),
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return None,
        }
    }
}

/// One page of a list that is newest first. Only what comes before its end is looked at.
pub(crate) fn page<'a>(call: &Call, all: impl IntoIterator<Item = &'a Value>) -> Result<Value, ApiError> {
    let limit = usize::try_from(call.params.some_int("limit").unwrap_or(10)).unwrap_or(10);
    let mut all = all.into_iter();
    let (data, more) = match (call.params.some("starting_after"), call.params.some("ending_before")) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: starting_after, ending_before.";
            return Err(ApiError::invalid("", message).on("ending_before"));
        }
        (None, Some(end)) => {
            let (before, found) = until(all, end);
            found.ok_or_else(|| ApiError::missing_param("object", end, "ending_before"))?;
            let start = before.len().saturating_sub(limit);
            (before[start..].to_vec(), start > 0)
        }
        (after, None) => {
            if let Some(start) = after {
                let found = all.find(|object| object.text("id") == start);
                found.ok_or_else(|| ApiError::missing_param("object", start, "starting_after"))?;
            }
            let data: Vec<&Value> = all.by_ref().take(limit).collect();
            (data, all.next().is_some())
        }
    };
    Ok(json!({
        "object": "list",
        "data": data,
        "has_more": more,
        "url": call.path,
    }))
}

/// What stands before the object of that id, and the object.
fn until<'a>(all: impl Iterator<Item = &'a Value>, id: &str) -> (Vec<&'a Value>, Option<&'a Value>) {
    let mut before = Vec::new();
    for object in all {
        if object.text("id") == id {
            return (before, Some(object));
        }
        before.push(object);
    }
    (before, None)
}

/// A page of a kind, filtered by the fields that were sent; what belongs to one object is found
/// by that.
pub(crate) fn filtered(tx: &mut Tx<'_>, call: &Call, kind: &str, fields: &[&str]) -> Result<Value, ApiError> {
    let owner = ["charge", "payment_intent", "subscription", "invoice", "customer"].into_iter();
    let owner = owner.filter(|field| fields.contains(field)).find_map(|field| call.params.some(field));
    match owner {
        Some(id) => page(call, tx.referring(kind, id).filter(|object| matches_filters(call, object, fields))),
        None => page(call, tx.newest(kind).filter(|object| matches_filters(call, object, fields))),
    }
}

/// Whether an object matches the filters that were sent: equal fields, and `created`'s range.
pub(crate) fn matches_filters(call: &Call, object: &Value, fields: &[&str]) -> bool {
    let equal = fields.iter().all(|field| match call.params.get(*field) {
        None => true,
        Some(wanted) => object.get(*field) == Some(wanted),
    });
    equal && in_range(call.params.get("created"), object.int("created"))
}

/// Whether a moment lies in a range parameter.
pub(crate) fn in_range(range: Option<&Value>, moment: i64) -> bool {
    match range {
        Some(Value::Number(exact)) => exact.as_i64() == Some(moment),
        Some(bounds @ Value::Object(_)) => {
            let bound = |key: &str| bounds.some_int(key);
            bound("gt").is_none_or(|gt| moment > gt)
                && bound("gte").is_none_or(|gte| moment >= gte)
                && bound("lt").is_none_or(|lt| moment < lt)
                && bound("lte").is_none_or(|lte| moment <= lte)
        }
        _ => true,
    }
}

/// Stripe's answer to a deletion.
pub(crate) fn deleted(kind: &str, id: &str) -> Value {
    json!({ "id": id, "object": kind, "deleted": true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_section_is_a_route() {
        let sections: BTreeSet<String> = crate::params::sections_known().into_iter().collect();
        let routes = ROUTES.iter().copied().flatten().map(|route| route.endpoint);
        let controls = crate::controls::CONTROLS.iter().map(|control| control.endpoint);
        let routes: BTreeSet<String> = routes.chain(controls).map(str::to_owned).collect();
        assert_eq!(sections, routes);
    }

    #[test]
    fn a_literal_segment_wins_over_an_id() {
        let (route, id) = find("POST", "/v1/invoices/create_preview").expect("a route");
        assert_eq!(route.endpoint, "POST /v1/invoices/create_preview");
        assert_eq!(id, "");
        let (_, id) = find("GET", "/v1/customers/cus_1").expect("a route");
        assert_eq!(id, "cus_1");
        assert!(find("GET", "/v1/customers/").is_none());
    }
}

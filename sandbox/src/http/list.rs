//! Filtering and paging lists.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::call::Call;
use crate::store::Tx;

/// Returns one page of a list that is ordered newest first. Objects after the page are not visited.
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

/// Returns the objects before the one with the given id, and that object.
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

/// Returns a page of a kind, filtered by the fields that were sent. A filter by owner uses the index.
pub(crate) fn filtered(tx: &mut Tx<'_>, call: &Call, kind: &str, fields: &[&str]) -> Result<Value, ApiError> {
    let owner = ["charge", "payment_intent", "subscription", "invoice", "customer"].into_iter();
    let owner = owner.filter(|field| fields.contains(field)).find_map(|field| call.params.some(field));
    match owner {
        Some(id) => page(call, tx.referring(kind, id).filter(|object| matches_filters(call, object, fields))),
        None => page(call, tx.newest(kind).filter(|object| matches_filters(call, object, fields))),
    }
}

/// Returns whether an object matches the filters that were sent: equal fields, and the range of `created`.
pub(crate) fn matches_filters(call: &Call, object: &Value, fields: &[&str]) -> bool {
    let equal = fields.iter().all(|field| match call.params.get(*field) {
        None => true,
        Some(requested) => object.get(*field) == Some(requested),
    });
    equal && in_range(call.params.get("created"), object.int("created"))
}

/// Returns whether a time is within a range parameter.
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

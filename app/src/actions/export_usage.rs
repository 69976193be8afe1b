//! `GET /dashboard/analytics/export?range=`: usage by day, meter and key, as CSV. Not a server
//! function, because the response is a file.

use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use server::Tollgate;
use server::workspace::UsageRange;
use server::workspace::csv::usage_as_csv;

use super::denied;
use crate::areas::ANALYTICS;
use crate::caller::Caller;
use crate::document;
use crate::failure::Failure;

pub async fn export(State(tollgate): State<Tollgate>, parts: Parts) -> Response {
    let permit = match Caller::of(&tollgate, &parts, ANALYTICS.policy) {
        Ok(caller) => caller.permit,
        Err(denied) => return denied::respond(&tollgate, parts, &ANALYTICS, denied).await,
    };
    let query = parts.uri.query().unwrap_or_default();
    let range = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "range");
    let range = range.and_then(|(_, value)| UsageRange::parse(&value)).unwrap_or_default();
    match usage_as_csv(&tollgate, &permit, range).await {
        Ok(csv) => {
            let name = format!("attachment; filename=\"usage-{}.csv\"", range.as_str());
            let headers =
                [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
            (headers, csv).into_response()
        }
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}

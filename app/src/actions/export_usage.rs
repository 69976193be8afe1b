//! `GET /dashboard/analytics/export?range=`: use by day, meter and key, as CSV.

use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use server::workspace::{self, Range};
use server::{Tollgate, access};

use super::{Who, kept_out};
use crate::areas::ANALYTICS;
use crate::document;
use crate::failure::Failure;

pub async fn export(State(tollgate): State<Tollgate>, Who(who): Who, parts: Parts) -> Response {
    let permit = match access::require(&tollgate, &who, ANALYTICS.policy).await {
        Ok(permit) => permit,
        Err(error) => return kept_out(&tollgate, parts, &ANALYTICS, error).await,
    };
    let query = parts.uri.query().unwrap_or_default();
    let range = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "range");
    let range = range.and_then(|(_, word)| Range::parse(&word)).unwrap_or_default();
    match workspace::usage_as_csv(&tollgate, &permit, range).await {
        Ok(csv) => {
            let name = format!("attachment; filename=\"usage-{}.csv\"", range.as_str());
            let headers =
                [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
            (headers, csv).into_response()
        }
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}

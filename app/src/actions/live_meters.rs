//! `GET /dashboard/meters`: the meters alone, for the island that looks again.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use leptos::prelude::*;
use server::Tollgate;

use super::Who;
use crate::components::usage_meters;
use crate::document;
use crate::failure::Failure;

pub async fn show(State(tollgate): State<Tollgate>, Who(who): Who, parts: Parts) -> Response {
    match tollgate.usage(&who.account_id).await {
        Ok(readings) => {
            let owner = Owner::new();
            let meters = || usage_meters(readings, tollgate.catalog()).into_iter();
            let html = owner.with(|| meters().map(|meter| meter.to_html()).collect::<String>());
            Html(html).into_response()
        }
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}

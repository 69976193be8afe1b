//! `GET /dashboard/meters`: the meters as a fragment, for the island that refreshes them. Not a
//! server function: a call of one would cost every page with an island 33 kB (decision 0002).

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use billing::Policy;
use engine::metering;
use leptos::prelude::*;
use server::Tollgate;

use super::denied;
use crate::api::Usage;
use crate::areas::ANALYTICS;
use crate::caller::Caller;
use crate::components::UsageMeter;
use crate::document;
use crate::failure::Failure;

pub async fn show(State(tollgate): State<Tollgate>, parts: Parts) -> Response {
    let permit = match Caller::of(&tollgate, &parts, Policy::SignedIn) {
        Ok(caller) => caller.permit,
        Err(denied) => return denied::respond(&tollgate, parts, &ANALYTICS, denied).await,
    };
    match metering::overview(&tollgate, permit.account_id(), permit.entitlement()).await {
        Ok(usage) => {
            let owner = Owner::new();
            let usage = Usage::of(tollgate.catalog(), &usage);
            let meters = usage.meters.into_iter().map(|meter| view! { <UsageMeter meter/> });
            let html = owner.with(|| {
                provide_context(tollgate.clone());
                meters.map(|meter| meter.into_any().to_html()).collect::<String>()
            });
            Html(html).into_response()
        }
        Err(cause) => document::failure(&tollgate, parts, Failure::store(cause)).await,
    }
}

//! What forms are posted to: parse strictly, one call on `server`, redirect or show
//! the page again with what was wrong.
//!
//! Axum handlers rather than Leptos server functions, because those take unknown
//! fields and carry their errors in addresses.

mod api_keys;
mod close_account;
mod custom_domain;
mod dismiss_notice;
mod export_usage;
mod form;
mod invoice;
mod live_meters;
mod log_in;
mod log_out;
mod operate;
mod portal;
mod purchase;
mod sign_up;
mod subscribe;
mod support;
mod theme;

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use server::Tollgate;
use server::access::AccessError;
use server::auth::{SignedIn, Visitor};

use crate::areas::Area;
use crate::document;
use crate::failure::Failure;
use crate::query::with_next;

/// Every action with its address.
pub fn all() -> Vec<(&'static str, MethodRouter<Tollgate>)> {
    vec![
        ("/signup", post(sign_up::sign_up)),
        ("/login", post(log_in::log_in)),
        ("/logout", post(log_out::log_out)),
        ("/theme", post(theme::choose)),
        ("/api/billing/subscribe", post(subscribe::subscribe)),
        ("/api/billing/checkout", post(purchase::buy)),
        ("/api/billing/portal", post(portal::open)),
        ("/billing/invoice", get(invoice::open)),
        ("/account/close", post(close_account::close)),
        ("/admin/replay", post(operate::replay)),
        ("/admin/compare", post(operate::compare)),
        ("/dashboard/meters", get(live_meters::show)),
        ("/dashboard/notices/dismiss", post(dismiss_notice::dismiss)),
        ("/dashboard/analytics/export", get(export_usage::export)),
        ("/dashboard/api-keys", post(api_keys::create)),
        ("/dashboard/api-keys/revoke", post(api_keys::revoke)),
        ("/dashboard/custom-domain", post(custom_domain::set)),
        ("/dashboard/support", post(support::write)),
    ]
}

/// Whoever is signed in; anybody else is sent to log in, should the guard ever let them by.
struct Who(SignedIn);

impl FromRequestParts<Tollgate> for Who {
    type Rejection = Redirect;

    async fn from_request_parts(parts: &mut Parts, _: &Tollgate) -> Result<Self, Redirect> {
        let visitor = parts.extensions.get::<Visitor>().cloned().unwrap_or_default();
        visitor.signed_in.map(Self).ok_or_else(|| Redirect::to("/login"))
    }
}

/// The answer to somebody who may not write into `area`.
async fn kept_out(tollgate: &Tollgate, parts: Parts, area: &Area, error: AccessError) -> Response {
    match error {
        AccessError::TooLow { .. } => Redirect::to(&with_next("/billing/upgrade", area.path)).into_response(),
        AccessError::NotForSale => document::failure(tollgate, parts, Failure::NotFound).await,
        AccessError::Store(cause) => document::failure(tollgate, parts, Failure::store(cause)).await,
    }
}

/// The address of the network peer, for what is limited by it.
fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

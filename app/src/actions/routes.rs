//! The address of each handler.

use axum::routing::{MethodRouter, get, post};
use server::Tollgate;

use super::{api_keys, custom_domain, export_usage, live_meters, log_in, log_out, sign_up, support, theme};

/// Returns every handler with its address.
pub fn all() -> Vec<(&'static str, MethodRouter<Tollgate>)> {
    vec![
        ("/signup", post(sign_up::sign_up)),
        ("/login", post(log_in::log_in)),
        ("/logout", post(log_out::log_out)),
        ("/theme", post(theme::choose)),
        ("/dashboard/meters", get(live_meters::show)),
        ("/dashboard/analytics/export", get(export_usage::export)),
        ("/dashboard/api-keys", post(api_keys::create)),
        ("/dashboard/api-keys/revoke", post(api_keys::revoke)),
        ("/dashboard/custom-domain", post(custom_domain::set)),
        ("/dashboard/support", post(support::write)),
    ]
}

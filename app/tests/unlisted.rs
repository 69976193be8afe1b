//! A program with a server function that has no policy does not start. Functions register
//! themselves with the program they are linked into, so this one is a program of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use leptos::prelude::*;

/// Has no line in the table of addresses.
#[server(prefix = "/api/billing", endpoint = "refund-all")]
pub async fn refund_all() -> Result<(), ServerFnError> {
    Ok(())
}

#[tokio::test]
async fn a_server_function_without_a_policy_stops_the_start_and_is_named() {
    let (tollgate, _folder) = support::tollgate().await;
    let refused = app::pages(&tollgate).unwrap_err();
    assert_eq!(refused.0, ["the server function at `/api/billing/refund-all` has no policy"]);
    assert!(refused.to_string().contains("/api/billing/refund-all"));
}

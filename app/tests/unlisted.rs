//! A server function without a policy keeps the server from starting. Server functions register themselves in
//! the program that they are linked into, so this test is a separate program.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod support;

use leptos::prelude::*;

/// It is not in the table of addresses.
#[server(prefix = "/api/billing", endpoint = "refund-all")]
pub async fn refund_all() -> Result<(), ServerFnError> {
    Ok(())
}

#[tokio::test]
async fn a_server_function_without_a_policy_is_reported_by_name() {
    let (tollgate, _folder) = support::tollgate().await;
    let rejected = app::pages(&tollgate).unwrap_err();
    assert_eq!(rejected.0, ["the server function at `/api/billing/refund-all` has no policy"]);
    assert!(rejected.to_string().contains("/api/billing/refund-all"));
}

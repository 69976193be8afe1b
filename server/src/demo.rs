//! The accounts that `make run` creates to try the app with.
//!
//! Their password is public, so outside the sandbox an app that has them does not start
//! ([`crate::admin::demo_accounts`]), and no one can sign up with their addresses.

/// The address of the demo customer.
pub const CUSTOMER: &str = "demo@tollgate.test";
/// The address of the demo operator.
pub const OPERATOR: &str = "operator@tollgate.test";
/// The password of both.
pub const PASSWORD: &str = "tollgate-demo";

/// Returns whether the address in lower case is one of theirs.
pub(crate) fn is_address(login_key: &str) -> bool {
    [CUSTOMER, OPERATOR].contains(&login_key)
}

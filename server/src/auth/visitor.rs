//! The visitor who makes a request.

use billing::{AccountId, UserId};

/// A signed-in user, with the account they act for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user who signed in.
    pub user_id: UserId,
    /// The account they act for.
    pub account_id: AccountId,
    /// Their address, as they typed it.
    pub email: String,
    /// Whether they may see and repair everyone's billing.
    pub is_operator: bool,
}

/// The visitor who makes a request. The gate adds it to the extensions of every request.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// `None` for an anonymous visitor.
    pub signed_in: Option<SignedIn>,
}

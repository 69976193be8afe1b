//! Finding and removing the demo accounts ([`crate::demo`]).

use engine::StoreError;
use engine::closing::CloseError;
use secrecy::ExposeSecret;

use super::roles::OperatorPermit;
use crate::auth::{self, AuthUnavailable};
use crate::closing;
use crate::demo::{CUSTOMER, OPERATOR, PASSWORD};
use crate::store::users::{self, User};
use crate::tollgate::Tollgate;

/// Demo accounts exist in an app with real keys, or could not be found or removed.
#[derive(Debug, thiserror::Error)]
pub enum DemoAccountsError {
    /// They would be open to everyone.
    #[error(
        "the demo accounts exist ({}), and everyone knows their password: remove them with `tollgate demo remove`, or use another DATABASE_URL",
        .0.join(", ")
    )]
    Exist(Vec<String>),
    /// Their passwords could not be checked.
    #[error(transparent)]
    Password(#[from] AuthUnavailable),
    /// Their billing could not be ended.
    #[error(transparent)]
    Billing(#[from] CloseError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that there are no demo accounts, unless the sandbox replaces Stripe.
pub async fn reject_outside_the_sandbox(tollgate: &Tollgate) -> Result<(), DemoAccountsError> {
    if tollgate.config().is_sandbox() {
        return Ok(());
    }
    let found = find(tollgate).await?;
    if found.is_empty() {
        Ok(())
    } else {
        Err(DemoAccountsError::Exist(found.into_iter().map(|user| user.email).collect()))
    }
}

/// Closes the demo accounts, ends their billing and deletes their users, and returns their addresses.
pub async fn remove(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Vec<String>, DemoAccountsError> {
    let mut removed = Vec::new();
    for user in find(tollgate).await? {
        closing::close_unasked(tollgate, &user).await?;
        removed.push(user.email);
    }
    Ok(removed)
}

/// Finds the users who have both the address and the password of a demo account. With another password it is
/// someone's own account.
async fn find(tollgate: &Tollgate) -> Result<Vec<User>, DemoAccountsError> {
    let mut found = Vec::new();
    for address in [CUSTOMER, OPERATOR] {
        let Some(user) = users::by_login(tollgate.db(), address).await? else { continue };
        let hash = user.password_hash.expose_secret().to_owned();
        if auth::verify_password(tollgate, PASSWORD.to_owned(), Some(hash)).await? {
            found.push(user);
        }
    }
    Ok(found)
}

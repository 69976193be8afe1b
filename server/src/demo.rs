//! The accounts that `make run` creates to try the app with. Their password is public, so an app that takes
//! money does not start while they exist.

use engine::StoreError;
use engine::store::Db;

use crate::admin::OperatorPermit;
use crate::closing;
use crate::store::users::{self, User};
use crate::tollgate::Tollgate;

/// The customer.
pub const CUSTOMER: &str = "demo@tollgate.test";
/// The operator.
pub const OPERATOR: &str = "operator@tollgate.test";
/// The password of both.
pub const PASSWORD: &str = "tollgate-demo";

/// Demo accounts exist in an app that is not for trying out.
#[derive(Debug, thiserror::Error)]
pub enum DemoAccountsError {
    /// They would be open to everyone.
    #[error(
        "the demo accounts exist ({}), and everyone knows their password: remove them with `tollgate demo remove`, or use another DATABASE_URL",
        .0.join(", ")
    )]
    Exist(Vec<String>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that there are no demo accounts, unless the sandbox replaces Stripe.
pub async fn refuse_outside_the_sandbox(tollgate: &Tollgate) -> Result<(), DemoAccountsError> {
    if tollgate.config().is_sandbox() {
        return Ok(());
    }
    let found = find(tollgate.db()).await?;
    if found.is_empty() {
        Ok(())
    } else {
        Err(DemoAccountsError::Exist(found.into_iter().map(|user| user.email).collect()))
    }
}

/// Closes the demo accounts and deletes their users, and returns their addresses. Stripe is not asked: a
/// demo account's subscriptions are in the sandbox, and one in Stripe is ended by the next reconciliation.
pub async fn remove(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Vec<String>, StoreError> {
    let mut removed = Vec::new();
    for user in find(tollgate.db()).await? {
        closing::close_here(tollgate, &user).await?;
        removed.push(user.email);
    }
    Ok(removed)
}

async fn find(db: &Db) -> Result<Vec<User>, StoreError> {
    let (customer, operator) = tokio::try_join!(users::by_login(db, CUSTOMER), users::by_login(db, OPERATOR))?;
    Ok([customer, operator].into_iter().flatten().collect())
}

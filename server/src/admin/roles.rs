//! The operator role.

use billing::UserId;
use engine::StoreError;

use crate::auth::SignedIn;
use crate::store::users::{self, Role};
use crate::tollgate::Tollgate;
use crate::user_cache::Changed;

/// Proof that the caller may see and repair everyone's billing.
#[derive(Clone, Debug)]
pub struct OperatorPermit(());

impl OperatorPermit {
    /// Returns the permit for the command line: anyone who can run a command can also read the database.
    pub const fn for_cli() -> Self {
        Self(())
    }
}

/// A signed-in user is not an operator.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("only operators may do this")]
pub struct NotAnOperator;

/// Checks that a signed-in user is an operator.
pub fn require_operator(who: &SignedIn) -> Result<OperatorPermit, NotAnOperator> {
    if who.is_operator { Ok(OperatorPermit(())) } else { Err(NotAnOperator) }
}

/// Gives a user a role. Returns `false` if the user does not exist, or no longer does.
pub async fn set_role(tollgate: &Tollgate, _: &OperatorPermit, user: &UserId, role: Role) -> Result<bool, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    if !users::set_role(&mut tx, user, role).await? {
        return Ok(false);
    }
    tollgate.user_cache().commit(tx, &[Changed::User(user.clone())]).await?;
    Ok(true)
}

/// Returns the addresses of all operators.
pub async fn operators(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Vec<String>, StoreError> {
    users::operators(tollgate.db()).await
}

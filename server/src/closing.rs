//! Closing an account permanently: its billing, its workspace and its users (`tests/http/closing.rs`).

use billing::AccountId;
use engine::closing::{self, CloseError};
use engine::store::Tx;

use crate::auth::{self, AuthUnavailable, Client, LoginError, Session, SignedIn};
use crate::store::users::User;
use crate::store::{StoreError, api_keys, custom_domains, support_messages, users};
use crate::tollgate::Tollgate;
use crate::uninterrupted::uninterrupted;
use crate::user_cache::Changed;

/// The reason an account was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseAccountError {
    /// The password was not confirmed.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Billing could not be ended.
    #[error(transparent)]
    Billing(#[from] CloseError),
}

impl From<StoreError> for CloseAccountError {
    fn from(error: StoreError) -> Self {
        Self::Billing(error.into())
    }
}

/// Closes the account of the signed-in user, who confirms it with their password, and signs them out.
/// Subscriptions that ended before an error stay ended.
#[tracing::instrument(skip_all, fields(account = %who.account_id))]
pub async fn close_account(
    tollgate: &Tollgate,
    session: &mut Session,
    who: &SignedIn,
    client: &Client,
    password: &str,
) -> Result<(), CloseAccountError> {
    auth::confirm(tollgate, who, client, password).await?;
    let closing = close(tollgate.clone(), who.account_id.clone(), who.email.clone(), client.clone());
    uninterrupted(closing).await?;
    tracing::info!("account {} is closed", who.account_id);
    // The user is deleted, so a session that outlives this grants no access.
    auth::logout(session).await.map_err(|error: AuthUnavailable| LoginError::from(error))?;
    Ok(())
}

async fn close(tollgate: Tollgate, account: AccountId, email: String, client: Client) -> Result<(), CloseError> {
    closing::end_billing(&tollgate, &account).await?;
    let mut tx = tollgate.db().begin().await?;
    closing::close_in(&mut tx, &tollgate, &account).await?;
    delete_and_commit(&tollgate, tx, &account, &email, &client).await?;
    closing::erase_contact(&tollgate, &account).await;
    Ok(())
}

/// Closes an account without a request from its user. Billing ends first, unless it is in the sandbox or no
/// longer exists in Stripe.
pub(crate) async fn close_unasked(tollgate: &Tollgate, user: &User) -> Result<(), CloseError> {
    if !tollgate.config().is_sandbox() {
        match closing::end_billing(tollgate, &user.account_id).await {
            Err(CloseError::Stripe(error)) if error.is_missing() => {}
            ended => ended?,
        }
    }
    let mut tx = tollgate.db().begin().await?;
    closing::close_here_in(&mut tx, tollgate, &user.account_id).await?;
    Ok(delete_and_commit(tollgate, tx, &user.account_id, &user.email, &Client::default()).await?)
}

/// Deletes the workspace and the users of an account in the transaction that closes it.
async fn delete_and_commit(
    tollgate: &Tollgate,
    mut tx: Tx,
    account: &AccountId,
    email: &str,
    client: &Client,
) -> Result<(), StoreError> {
    let keys = delete_workspace(&mut tx, account).await?;
    let members = users::remove_members(&mut tx, account).await?;
    auth::forget(&mut tx, email, client).await?;
    let keys = keys.into_iter().map(Changed::Key);
    let changed = members.into_iter().map(Changed::User).chain(keys).map(|changed| changed.subject());
    let changed = changed.chain([account.to_string()]).collect();
    tollgate.cache().invalidation().commit(tx, changed).await
}

/// Deletes the account's workspace, and returns the hashes of its API keys.
async fn delete_workspace(tx: &mut Tx, account: &AccountId) -> Result<Vec<String>, StoreError> {
    custom_domains::delete(tx, account).await?;
    support_messages::delete_all(tx, account).await?;
    api_keys::delete_all(tx, account).await
}

//! Closing an account for good.
//!
//! What is paid again and again ends at Stripe first, and if Stripe cannot be made to end it,
//! nothing is closed: nobody is charged for an account that they can no longer see. What was paid
//! stays written down; who paid it does not, but for what Stripe keeps (`tests/http/closing.rs`).

use std::net::IpAddr;

use billing::AccountId;

use crate::access::{CHANNEL, PEOPLE};
use crate::auth::{self, LoginError, Session, SignedIn};
use crate::checkout::{self, CheckoutError};
use crate::store::{StoreError, accounts, checkouts, customers, subscriptions, workspace};
use crate::sync::{self, Along, SyncError};
use crate::tollgate::Tollgate;

/// Why an account is still there.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// It is not shown that it is theirs to close.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Something was bought for it just now.
    #[error("a purchase of this account is under way")]
    InProgress,
    /// Stripe did not end what is paid; everything is as it was.
    #[error(transparent)]
    Stripe(#[from] crate::stripe::GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CheckoutError> for CloseError {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Stripe(error) => Self::Stripe(error),
            CheckoutError::Store(error) => Self::Store(error),
            _ => Self::InProgress,
        }
    }
}

impl From<SyncError> for CloseError {
    fn from(error: SyncError) -> Self {
        CheckoutError::from(error).into()
    }
}

/// Closes the account of whoever is signed in and knows the password, and signs them out.
///
/// # Errors
/// See [`CloseError`]. Subscriptions that were ended before the failure stay ended.
#[tracing::instrument(skip_all, fields(account = %who.account_id))]
pub async fn close_account(
    tollgate: &Tollgate,
    session: &mut Session,
    who: &SignedIn,
    peer: Option<IpAddr>,
    password: &str,
) -> Result<(), CloseError> {
    auth::confirm(tollgate, who, peer, password).await?;
    end_everything(tollgate, &who.account_id).await?;

    let account = &who.account_id;
    let mut tx = tollgate.db().begin().await?;
    if !accounts::lock_account(&mut tx, account).await? {
        return Err(CloseError::InProgress);
    }
    let is_running = subscriptions::of_account_in(&mut tx, account).await?.iter().any(|each| !each.status.has_ended());
    if is_running || checkouts::has_open(&mut tx, account).await? {
        return Err(CloseError::InProgress);
    }
    workspace::delete_all(&mut tx, account).await?;
    accounts::close(&mut tx, account, tollgate.now()).await?;
    tx.notify(CHANNEL, account.as_str()).await?;
    tx.notify(PEOPLE, "").await?;
    tx.commit().await?;
    tollgate.access().forget(account).await;
    tollgate.access().forget_people();
    tracing::info!("account {account} is closed");
    // The user is gone already: a session that outlives this opens nothing.
    auth::logout(session).await.map_err(LoginError::from)?;
    Ok(())
}

/// Ends at Stripe whatever the account could be charged for.
async fn end_everything(tollgate: &Tollgate, account: &AccountId) -> Result<(), CloseError> {
    match checkout::close_all(tollgate, account).await {
        // One was paid in this moment: it is among the subscriptions now.
        Ok(()) | Err(CheckoutError::AlreadySubscribed) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(customer) = customers::of_account(tollgate.db(), account).await? else { return Ok(()) };
    for running in tollgate.gateway().subscriptions_of(&customer).await? {
        if running.subscription.status.has_ended() {
            continue;
        }
        let id = &running.subscription.id;
        tollgate.gateway().cancel_subscription(id).await?;
        sync::subscription(tollgate, id, Along::reason("account closed")).await?;
    }
    Ok(())
}

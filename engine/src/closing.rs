//! Closing an account permanently.
//!
//! Subscriptions are canceled in Stripe first, and if that fails, nothing is closed: no customer is
//! charged for an account they can no longer see. The ledger is kept; addresses and names are not. In
//! Stripe they are erased last, because an account that stays open needs them (`tests/http/closing.rs`).

use billing::{AccountId, CustomerId, Subscription};

use crate::checkout::{self, CheckoutError};
use crate::core::Core;
use crate::metering::outbox;
use crate::store::{StoreError, Tx, accounts, checkouts, customers, inbox, subscriptions, usage};
use crate::stripe::GatewayError;
use crate::sync::{self, SyncContext, SyncError};

/// Why an account could not be closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Something was bought for it a moment ago, or it is already closed.
    #[error("a purchase for this account is in progress")]
    InProgress,
    /// Stripe did not cancel its subscriptions; nothing was closed.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SyncError> for CloseError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Stripe(error) | SyncError::Disappeared { error, .. } | SyncError::Unreported(error) => {
                Self::Stripe(error)
            }
            SyncError::Store(error) => Self::Store(error),
            SyncError::Contended(_) | SyncError::LeaseLost(_) | SyncError::Missing(_) | SyncError::OtherAccount(_) => {
                Self::InProgress
            }
        }
    }
}

/// Closes an account permanently. A host that also deletes rows of its own calls the parts instead:
/// [`end_billing`], [`close_in`] in its transaction, and [`erase_contact`] after the commit.
pub async fn close(core: &Core, account: &AccountId) -> Result<(), CloseError> {
    end_billing(core, account).await?;
    let mut tx = core.db().begin().await?;
    close_in(&mut tx, core, account).await?;
    core.cache().commit(tx, vec![account.clone()]).await?;
    erase_contact(core, account).await;
    Ok(())
}

/// Ends everything in Stripe that the account could be charged for: open Checkouts, then
/// subscriptions. After an error, the ones already ended stay ended.
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn end_billing(core: &Core, account: &AccountId) -> Result<(), CloseError> {
    match checkout::close_all(core, account).await {
        Ok(()) => {}
        Err(CheckoutError::Stripe(error)) => return Err(error.into()),
        Err(CheckoutError::Store(error)) => return Err(error.into()),
        Err(
            CheckoutError::InProgress
            | CheckoutError::AlreadySubscribed
            | CheckoutError::JustBought(_)
            | CheckoutError::SubscribedBefore(_)
            | CheckoutError::Closed
            | CheckoutError::Unknown
            | CheckoutError::NotForSale
            | CheckoutError::CurrencyConflict { .. }
            | CheckoutError::OtherAccount(_),
        ) => return Err(CloseError::InProgress),
    }
    let Some(customer) = customers::of_account(core.db(), account).await? else { return Ok(()) };
    for listed in core.gateway().subscriptions_of(&customer).await? {
        if listed.subscription.status.has_ended() {
            continue;
        }
        end_subscription(core, account, &listed.subscription).await?;
    }
    Ok(())
}

/// Ends a subscription now. Usage that is not billed yet is reported first, so that it is on the final
/// invoice; Stripe counts it asynchronously, and is not waited for (docs/STRIPE.md).
pub async fn end_subscription(core: &Core, account: &AccountId, subscription: &Subscription) -> Result<(), SyncError> {
    outbox::send_all_of(core, account).await?.map_err(SyncError::Unreported)?;
    core.gateway().cancel_subscription(&subscription.id, &subscription.status).await?;
    sync::subscription(core, &subscription.id, SyncContext::with_reason("account closed")).await?;
    Ok(())
}

/// Closes an account whose billing has ended, in the host's own transaction, so that the host can
/// delete its rows with it. Commit with [`crate::cache::Cache::commit`], and then call [`erase_contact`].
pub async fn close_in(tx: &mut Tx, core: &Core, account: &AccountId) -> Result<(), CloseError> {
    if !accounts::lock(tx, account).await? {
        return Err(CloseError::InProgress);
    }
    let is_running = subscriptions::of_account_in(tx, account).await?.iter().any(|each| !each.status.has_ended());
    if is_running || checkouts::has_open(tx, account).await? {
        return Err(CloseError::InProgress);
    }
    close_here_in(tx, core, account).await?;
    Ok(())
}

/// Closes an account here, even if subscriptions are still active in Stripe; reconciliation ends those. Erases
/// the contact's address and name, also in stored events and responses.
pub async fn close_here_in(tx: &mut Tx, core: &Core, account: &AccountId) -> Result<(), StoreError> {
    accounts::close(tx, account, core.now()).await?;
    customers::erase(tx, account).await?;
    inbox::erase_payloads(tx, account).await?;
    usage::delete_responses(tx, account).await
}

/// Erases a closed account's address and name in Stripe too. If that fails, reconciliation repeats it.
pub async fn erase_contact(core: &Core, account: &AccountId) {
    let erasing = async {
        for customer in customers::to_erase_of_account(core.db(), account).await? {
            erase_customer(core, &customer).await?;
        }
        Ok::<(), SyncError>(())
    };
    if let Err(error) = erasing.await {
        tracing::warn!(%error, %account, "the address and name in Stripe will be erased later");
    }
}

/// Erases a customer's address and name in Stripe. A customer that Stripe does not have needs nothing.
pub(crate) async fn erase_customer(core: &Core, customer: &CustomerId) -> Result<(), SyncError> {
    match core.gateway().erase_contact(customer).await {
        Err(error) if !error.is_missing() => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let mut tx = core.db().begin().await?;
    customers::set_erased(&mut tx, customer).await?;
    Ok(tx.commit().await?)
}

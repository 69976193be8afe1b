//! Accounts: the host's id is the account id.

use billing::AccountId;
use billing::email::{Email, EmailError};

use crate::core::Core;
use crate::store::{StoreError, Tx, accounts as rows, inbox};

/// A billed party: a user, team or organization of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Billable {
    /// The host's id.
    pub account: AccountId,
    /// The contact address: receipts are sent to it, and it identifies who has had a trial.
    pub email: String,
    /// The name on invoices.
    pub name: Option<String>,
    /// Whether they may use operator routes.
    pub is_operator: bool,
}

impl Billable {
    /// Creates a billable with this id and address, without a name, who is not an operator.
    pub fn new(id: impl Into<String>, email: impl Into<String>) -> Self {
        Self { account: AccountId::new(id.into()), email: email.into(), name: None, is_operator: false }
    }
}

/// Why an account could not be created.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The contact address is not an e-mail address.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates the account on first use, and keeps its contact address and name up to date.
pub async fn ensure(core: &Core, billable: &Billable) -> Result<(), AccountError> {
    let Billable { account, email, name, .. } = billable;
    let known = core.cache().contact(core.db(), account).await?;
    if known.as_ref().is_some_and(|known| known.closed_at.is_some()) {
        return Ok(());
    }
    let email = Email::parse(email)?;
    if known.is_some_and(|known| known.email == email.as_str() && known.name == *name) {
        return Ok(());
    }
    let mut tx = core.db().begin().await?;
    let has_revived = ensure_in(&mut tx, core, account, &email, name.as_deref()).await?;
    core.cache().commit(tx, vec![account.clone()]).await?;
    if has_revived {
        core.wake_worker().notify_one();
    }
    Ok(())
}

/// Like [`ensure`], inside the host's own transaction, to be committed with
/// [`Cache::commit`](crate::cache::Cache::commit). Returns whether unmatched events became due: if so, notify
/// [`Core::wake_worker`] after the commit.
pub async fn ensure_in(
    tx: &mut Tx,
    core: &Core,
    account: &AccountId,
    email: &Email,
    name: Option<&str>,
) -> Result<bool, StoreError> {
    // The counterpart of `accounts::exists`: a transaction that records that this account does not exist has
    // either committed by now, or will find it.
    tx.lock(account.as_str()).await?;
    if rows::insert(tx, account, email, name, core.now()).await? {
        return Ok(inbox::revive_for_account(tx, account, core.now()).await? > 0);
    }
    rows::set_contact(tx, account, email, name).await?;
    Ok(false)
}

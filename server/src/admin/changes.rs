//! Billing changes on their way to the host's handler.

use billing::{AccountId, Timestamp};
use engine::StoreError;
use engine::store::billing_changes::{self as rows, ChangeFilter, StoredChange};
use engine::store::{Cursor, Page};

use super::page::{READ, ROWS};
use super::roles::OperatorPermit;
use crate::tollgate::Tollgate;

/// Reads a page of billing changes, newest first.
pub async fn changes(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    filter: &ChangeFilter,
    after: &Cursor,
) -> Result<Page<StoredChange>, StoreError> {
    let rows = rows::list(tollgate.db(), filter, after, READ).await?;
    Ok(Page::new(rows, ROWS, rows::cursor))
}

/// Delivers a pending change now instead of at its next attempt. Returns `false` if it is not pending.
pub async fn retry(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    account: &AccountId,
    number: i64,
) -> Result<bool, StoreError> {
    let now = tollgate.now();
    let mut tx = tollgate.db().begin().await?;
    let is_due = rows::retry(&mut tx, account, number, now).await?;
    tx.commit().await?;
    tollgate.wake_changes().notify_one();
    Ok(is_due)
}

/// Gives up on a pending change, so that the account's next one is delivered. Returns `false` if
/// it is not pending.
pub async fn skip(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    account: &AccountId,
    number: i64,
) -> Result<bool, StoreError> {
    let now: Timestamp = tollgate.now();
    let mut tx = tollgate.db().begin().await?;
    let is_skipped = rows::skip(&mut tx, account, number, now).await?;
    tx.commit().await?;
    tollgate.wake_changes().notify_one();
    Ok(is_skipped)
}

//! Accounts, and the reasons for their entitlements.

use billing::{AccountId, CustomerId, Entitlement, Timestamp, entitlement};
use engine::StoreError;
use engine::metering::{self, MeterReading};
use engine::overview::{self, BilledInvoice};
use engine::store::accounts::{self, AccountFilter, AccountRow};
use engine::store::purchases::{self, PaidPurchase};
use engine::store::subscriptions::{self, Revision};
use engine::store::{Cursor, Page, customers, invoices};

use super::page::{READ, ROWS};
use super::roles::OperatorPermit;
use crate::tollgate::Tollgate;

/// An account in a list.
#[derive(Clone, Debug)]
pub struct AccountSummary {
    /// The account, as stored.
    pub account: AccountRow,
    /// Its entitlement, with the reason.
    pub entitlement: Entitlement,
}

/// Reads a page of the accounts that match a filter, in the order of [`accounts::search`].
pub async fn accounts(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    filter: &AccountFilter,
    after: &Cursor,
) -> Result<Page<AccountSummary>, StoreError> {
    let rows = accounts::search(tollgate.db(), filter, after, READ).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let stored = subscriptions::of_accounts(tollgate.db(), &ids).await?;
    let summarize = |account: AccountRow| {
        let own = stored.iter().filter(|stored| stored.account.as_str() == account.id);
        let own: Vec<_> = own.map(|stored| stored.object.clone()).collect();
        AccountSummary { entitlement: entitlement(&own, tollgate.catalog(), tollgate.now()), account }
    };
    let summaries: Vec<_> = rows.into_iter().map(summarize).collect();
    Ok(Page::new(summaries, ROWS, |row| accounts::cursor(filter, &row.account)))
}

/// An account, with the data behind its entitlement.
#[derive(Clone, Debug)]
pub struct AccountDetail {
    /// The account, as stored.
    pub account: AccountRow,
    /// Its Stripe customer.
    pub customer: Option<CustomerId>,
    /// Its entitlement, with the reason.
    pub entitlement: Entitlement,
    /// The latest revision of each subscription, with its cause.
    pub subscriptions: Vec<Revision>,
    /// The reading of every meter.
    pub usage: Vec<MeterReading>,
    /// The newest invoices.
    pub invoices: Vec<BilledInvoice>,
    /// The newest purchases.
    pub purchases: Vec<PaidPurchase>,
}

/// Reads an account.
pub async fn account(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    id: &AccountId,
) -> Result<Option<AccountDetail>, StoreError> {
    let db = tollgate.db();
    let Some(account) = accounts::by_id(db, id).await? else { return Ok(None) };
    let entitlement = tollgate.entitlement(id).await?;
    let invoices = invoices::of_account(db, id, &Cursor::start(), READ - 1).await?;
    Ok(Some(AccountDetail {
        account,
        customer: customers::of_account(db, id).await?,
        subscriptions: subscriptions::as_of(db, id, tollgate.now()).await?,
        usage: metering::readings(tollgate, id, &entitlement).await?,
        invoices: overview::with_standing(tollgate, invoices).await?,
        purchases: purchases::of_account(db, id, &Cursor::start(), READ - 1).await?,
        entitlement,
    }))
}

/// An account's entitlement at a given time, with the reason.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The entitlement at that time, under today's catalog.
    pub entitlement: Entitlement,
    /// The revision of each subscription that was current at that time.
    pub subscriptions: Vec<Revision>,
}

/// Explains an account's entitlement at a given time.
pub async fn explain(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    id: &AccountId,
    at: Timestamp,
) -> Result<Explanation, StoreError> {
    let revisions = subscriptions::as_of(tollgate.db(), id, at).await?;
    let then: Vec<_> = revisions.iter().map(|revision| revision.subscription.clone()).collect();
    Ok(Explanation { entitlement: entitlement(&then, tollgate.catalog(), at), subscriptions: revisions })
}

//! What the billing page shows.

use billing::ledger::{Invoice, InvoiceStatus, Payment, Purchase};
use billing::{AccountId, Entitlement, Reason, Subscription, entitlement};

use crate::store::{After, StoreError, accounts, customers, invoices, payments, purchases, subscriptions};
use crate::tollgate::Tollgate;
use crate::usage::{self, MeterReading, Notice, thresholds};

/// How many invoices and purchases are shown at a time.
const PAGE: usize = 12;

/// An account's billing at a glance.
#[derive(Clone, Debug)]
pub struct BillingOverview {
    /// What it may do, and why.
    pub entitlement: Entitlement,
    /// The subscription that decides or, when none does, the newest that has not ended.
    pub subscription: Option<Subscription>,
    /// Those that have ended, newest first.
    pub past: Vec<Subscription>,
    /// All meters.
    pub usage: Vec<MeterReading>,
    /// Meters that have come to 80 or 100 percent.
    pub notices: Vec<Notice>,
    /// Whether a first trial is still to be had.
    pub trial_available: bool,
    /// Whether Stripe knows the account, so that there is a portal to open.
    pub has_customer: bool,
    /// The oldest invoice that is owed, and what its payment waits for.
    pub owed: Option<Owed>,
}

/// An invoice that is owed.
#[derive(Clone, Debug)]
pub struct Owed {
    /// Which.
    pub invoice: Invoice,
    /// Whether the customer's bank wants something of them, such as 3-D Secure.
    pub needs_action: bool,
}

/// What an account has paid, or is to pay, a page at a time.
#[derive(Clone, Debug)]
pub struct LedgerPage<T> {
    /// Newest first.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<After>,
}

impl<T> LedgerPage<T> {
    fn new(mut rows: Vec<T>, after: impl Fn(&T) -> After) -> Self {
        let more = rows.len() > PAGE;
        rows.truncate(PAGE);
        Self { next: rows.last().filter(|_| more).map(after), rows }
    }
}

impl Tollgate {
    /// An account's billing at a glance.
    ///
    /// # Errors
    /// The database failed.
    pub async fn billing_overview(&self, account: &AccountId) -> Result<BillingOverview, StoreError> {
        let all = self.access().subscriptions(self.db(), account).await?;
        let entitlement = entitlement(&all, self.catalog(), self.now());
        let deciding = match &entitlement.reason {
            Reason::Subscription { id, status, .. } if !status.has_ended() => all.iter().find(|each| each.id == *id),
            _ => all.iter().find(|each| !each.status.has_ended()),
        };
        let usage = usage::readings(self, account, &entitlement).await?;
        Ok(BillingOverview {
            notices: thresholds::notices(self, account, &usage).await?,
            usage,
            trial_available: self.trial_available(account).await?,
            has_customer: customers::of_account(self.db(), account).await?.is_some(),
            owed: self.owed(account, deciding).await?,
            subscription: deciding.cloned(),
            past: all.iter().filter(|each| each.status.has_ended()).cloned().collect(),
            entitlement,
        })
    }

    /// The oldest invoice that is owed for a subscription that has not ended.
    async fn owed(&self, account: &AccountId, running: Option<&Subscription>) -> Result<Option<Owed>, StoreError> {
        let Some(running) = running.filter(|running| !running.status.has_ended()) else { return Ok(None) };
        let open = invoices::oldest_open(self.db(), account, &running.id).await?;
        let Some(invoice) = open.filter(|invoice| invoice.status == InvoiceStatus::Open) else { return Ok(None) };
        let mut needs_action = false;
        for id in &invoice.payments {
            let payment = payments::by_id(self.db(), id).await?;
            needs_action |= payment.is_some_and(|stored| stored.object.needs_action());
        }
        Ok(Some(Owed { invoice, needs_action }))
    }

    /// The account's invoices, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn invoices(&self, account: &AccountId, after: &After) -> Result<LedgerPage<Invoice>, StoreError> {
        let rows = invoices::of_account(self.db(), account, after, limit()).await?;
        Ok(LedgerPage::new(rows, |invoice| After { at: invoice.created, key: invoice.id.to_string() }))
    }

    /// What the account has bought once, with what became of the payment, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purchases(
        &self,
        account: &AccountId,
        after: &After,
    ) -> Result<LedgerPage<(Purchase, Option<Payment>)>, StoreError> {
        let rows = purchases::of_account(self.db(), account, after, limit()).await?;
        Ok(LedgerPage::new(rows, |(purchase, _)| After { at: purchase.created, key: purchase.session.to_string() }))
    }

    /// Whether the account, or the person behind it, has not had a trial yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn trial_available(&self, account: &AccountId) -> Result<bool, StoreError> {
        if self.catalog().trial_days() == 0 {
            return Ok(false);
        }
        let email = accounts::canonical_email_of(self.db(), account).await?.unwrap_or_default();
        Ok(!subscriptions::trial_claimed(self.db(), account, &email).await?)
    }
}

/// One row more than is shown tells whether there is another page.
fn limit() -> i64 {
    i64::try_from(PAGE + 1).unwrap_or(i64::MAX)
}

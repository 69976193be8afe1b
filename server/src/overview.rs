//! What the billing page shows.

use billing::{AccountId, Because, Entitlement, Subscription, entitlement};

use crate::store::{StoreError, accounts, subscriptions};
use crate::tollgate::Tollgate;
use crate::usage::{self, MeterReading};

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
    /// Whether a first trial is still to be had.
    pub trial_available: bool,
}

impl Tollgate {
    /// An account's billing at a glance.
    ///
    /// # Errors
    /// The database failed.
    pub async fn billing_overview(&self, account: &AccountId) -> Result<BillingOverview, StoreError> {
        let all = self.access().subscriptions(self.db(), account).await?;
        let entitlement = entitlement(&all, self.catalog(), self.now());
        let deciding = match &entitlement.because {
            Because::Subscription { id, status, .. } if !status.is_over() => all.iter().find(|each| each.id == *id),
            _ => all.iter().find(|each| !each.status.is_over()),
        };
        Ok(BillingOverview {
            usage: usage::readings(self, account, &entitlement).await?,
            trial_available: self.trial_available(account).await?,
            subscription: deciding.cloned(),
            past: all.iter().filter(|each| each.status.is_over()).cloned().collect(),
            entitlement,
        })
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

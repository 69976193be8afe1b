//! Claims of trials, which detect a second one.

use std::collections::BTreeSet;

use billing::{AccountId, SubscriptionId, Timestamp};
use sha2::{Digest, Sha256};

use super::{Db, StoreError, Tx, statements, values};

statements! {
    CLAIM = "INSERT INTO trial_claim (claim, subscription_id, claimed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    CLAIMED = "SELECT claim FROM trial_claim WHERE claim IN ($1, $2, $3, $4) LIMIT 1";
    HOLDER = "SELECT subscription_id FROM trial_claim WHERE claim = $1";
}

/// A property that identifies a person across trials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialClaim {
    /// The account.
    Account(AccountId),
    /// The canonical address.
    Email(String),
    /// The card, by Stripe's fingerprint.
    Card(String),
    /// Another account to pay from, by type and id.
    PaymentAccount(String),
    /// Any of these, for a trial granted by an operator in Stripe.
    Granted(Box<TrialClaim>),
}

impl TrialClaim {
    fn key(&self) -> String {
        match self {
            Self::Account(account) => account_claim(account),
            Self::Email(canonical) => email_claim(canonical),
            Self::Card(fingerprint) => format!("card:{fingerprint}"),
            Self::PaymentAccount(id) => format!("paid-from:{id}"),
            Self::Granted(claim) => granted(&claim.key()),
        }
    }
}

/// Records the claims of a subscription's trial. An existing claim keeps its holder.
///
/// They are recorded in the order of their keys: two accounts may share several of them.
pub async fn claim(
    tx: &mut Tx,
    claims: &[TrialClaim],
    subscription: &SubscriptionId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let keys: BTreeSet<String> = claims.iter().map(|claim| stored(&claim.key())).collect();
    for key in keys {
        tx.execute(CLAIM, values![key, subscription.as_str(), at.0]).await?;
    }
    Ok(())
}

/// Finds the subscription whose trial made this claim.
pub async fn holder(tx: &mut Tx, claim: &TrialClaim) -> Result<Option<SubscriptionId>, StoreError> {
    let holder = tx.fetch_optional::<(String,)>(HOLDER, values![stored(&claim.key())]).await?;
    Ok(holder.map(|(id,)| SubscriptionId::new(id)))
}

/// Returns whether the account, or any account with the same canonical address, has had a trial.
pub async fn is_claimed(db: &Db, account: &AccountId, canonical_email: &str) -> Result<bool, StoreError> {
    let (account, email) = (account_claim(account), email_claim(canonical_email));
    let (by_account, by_email) = (granted(&account), granted(&email));
    let values = values![stored(&account), stored(&email), stored(&by_account), stored(&by_email)];
    let found = db.fetch_optional::<(String,)>(CLAIMED, values).await?;
    Ok(found.is_some())
}

/// Returns the claim as stored. It outlives the account, so it is a hash: it recognizes an address or a card
/// without revealing it.
fn stored(claim: &str) -> String {
    hex::encode(Sha256::digest(claim))
}

fn granted(claim: &str) -> String {
    format!("granted:{claim}")
}

fn account_claim(account: &AccountId) -> String {
    format!("account:{account}")
}

fn email_claim(canonical_email: &str) -> String {
    format!("email:{canonical_email}")
}

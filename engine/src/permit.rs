//! Proof that an account may do something.

use billing::{AccountId, Admission, Catalog, Entitlement, Policy, Tier};

/// Proof that an account may do something. Only [`permit`] creates one, so a function that takes a
/// permit cannot be called for an account without the plan.
#[derive(Clone, Debug)]
pub struct Permit {
    account: AccountId,
    entitlement: Entitlement,
}

impl Permit {
    /// The account.
    pub const fn account_id(&self) -> &AccountId {
        &self.account
    }

    /// What it may do.
    pub const fn entitlement(&self) -> &Entitlement {
        &self.entitlement
    }
}

/// Why there is no permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A higher plan opens it.
    #[error("this needs the tier {needed}")]
    UpgradeRequired {
        /// The lowest tier that opens it.
        needed: Tier,
    },
    /// No plan opens it.
    #[error("this is for operators")]
    Forbidden,
}

/// Checks whether an account may do what `policy` guards. `entitlement` is the account's own.
pub fn permit(
    catalog: &Catalog,
    account: &AccountId,
    entitlement: Entitlement,
    policy: Policy,
) -> Result<Permit, Refusal> {
    match policy.admits(&entitlement, catalog) {
        Admission::Admitted => Ok(Permit { account: account.clone(), entitlement }),
        Admission::UpgradeRequired { needed } => Err(Refusal::UpgradeRequired { needed }),
        Admission::Forbidden => Err(Refusal::Forbidden),
    }
}

//! Proof that an account may do something.

use billing::{AccountId, Admission, Catalog, Entitlement, Policy, Tier};

use crate::accounts::Billable;

/// Proof that an account may do something. Only [`permit`] creates one, so a function that takes a
/// permit cannot be called for an account without the plan.
#[derive(Clone, Debug)]
pub struct Permit {
    account: AccountId,
    entitlement: Entitlement,
}

impl Permit {
    /// Returns the account that the permit is for.
    pub const fn account_id(&self) -> &AccountId {
        &self.account
    }

    /// Returns the account's entitlement.
    pub const fn entitlement(&self) -> &Entitlement {
        &self.entitlement
    }
}

/// The reason for denying a permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermitDenied {
    /// A higher plan includes it.
    #[error("this requires the tier {needed} or a higher one")]
    UpgradeRequired {
        /// The lowest tier that includes it.
        needed: Tier,
    },
    /// No plan includes it.
    #[error("only operators may do this")]
    Forbidden,
}

/// Checks whether the billable may do what `policy` guards. `entitlement` is that of its account.
pub fn permit(
    catalog: &Catalog,
    billable: &Billable,
    entitlement: Entitlement,
    policy: Policy,
) -> Result<Permit, PermitDenied> {
    match admission(policy, (&entitlement, billable.is_operator), catalog) {
        Admission::Admitted => Ok(Permit { account: billable.account.clone(), entitlement }),
        Admission::UpgradeRequired { needed } => Err(PermitDenied::UpgradeRequired { needed }),
        Admission::Forbidden => Err(PermitDenied::Forbidden),
    }
}

/// Decides about a signed-in visitor. The host decides who is an operator; no plan does.
pub(crate) fn admission(policy: Policy, visitor: (&Entitlement, bool), catalog: &Catalog) -> Admission {
    match (policy, visitor) {
        (Policy::Operator, (_, true)) => Admission::Admitted,
        (policy, (entitlement, _)) => policy.admits(entitlement, catalog),
    }
}

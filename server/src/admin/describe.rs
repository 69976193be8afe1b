//! Explanations for operators.

use billing::{Flag, Reason};

/// Explains why an account has its plan.
pub fn describe_reason(reason: &Reason) -> String {
    match reason {
        Reason::NoSubscription => "There is no subscription.".to_owned(),
        Reason::Subscription { id, status, rule } => format!("{id} is {}: {}.", status.as_str(), rule.describe()),
    }
}

/// Describes a flag that needs an operator's attention.
pub fn describe_flag(flag: &Flag) -> String {
    match flag {
        Flag::StalePeriod(id) => format!("The period of {id} has ended, and Stripe has not renewed it."),
        Flag::UnknownStatus(id, status) => format!("{id} has the status `{status}`, which is unknown to this version."),
        Flag::Disputed(id) => format!("A payment of {id} is disputed. Respond to it in Stripe's Dashboard."),
        Flag::DisputeLost(id) => format!("The payment for the current period of {id} was lost in a dispute."),
        Flag::Refunded(id) => format!("The payment for the current period of {id} was refunded in full."),
        Flag::UnknownPrice(id) => format!("{id} has a price that is not in plans.toml."),
    }
}

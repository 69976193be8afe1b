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
        Flag::UnknownPrice(id) => format!("{id} has a price that is not in plans.toml."),
    }
}

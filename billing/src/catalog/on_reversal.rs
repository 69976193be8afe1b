//! What happens to access when a subscription's payment is disputed or refunded.

/// The answer to a dispute of the payment for the current period: `on_dispute`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDispute {
    /// Access stays, and operators see a flag.
    #[default]
    Flag,
    /// There is no access while the dispute is open, or if it is lost.
    Suspend,
}

/// The answer to a full refund of the payment for the current period: `on_full_refund`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFullRefund {
    /// Access stays, and operators see a flag.
    #[default]
    Keep,
    /// There is no access until a newer invoice is paid.
    EndAccess,
}

//! What happens to access while a subscription is paused on request.

/// The answer to a pause that was requested: `on_pause`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPause {
    /// There is no access until the subscription is resumed.
    #[default]
    EndAccess,
    /// Access stays to the end of the period, which is paid for.
    KeepPeriod,
}

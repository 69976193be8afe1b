//! Whether Stripe has counted an event whose identifier it may have forgotten.
//!
//! Stripe's summaries give the units it has counted for a customer in an hour. Units beyond those recorded
//! as sent came from an attempt whose outcome is not recorded here.

use billing::{AccountId, CustomerId, Timestamp};

use crate::core::Core;
use crate::store::StoreError;
use crate::store::meter_events::{self, Sealed};
use crate::stripe::GatewayError;

/// Whether Stripe has counted an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Stripe has counted it.
    Yes,
    /// Stripe has not counted it.
    No,
    /// Stripe has counted units that may be part of it; the reason, for an operator.
    Unclear(String),
}

/// Compares an event with the units that Stripe has counted for its hour.
pub(super) async fn counted(
    core: &Core,
    event: &Sealed,
    event_name: &str,
    customer: &CustomerId,
) -> Result<Result<Counted, GatewayError>, StoreError> {
    let from = Timestamp(event.hour - event.hour.rem_euclid(3600));
    let to = from.plus_seconds(3600);
    let account = AccountId::new(&event.account_id);
    let sent = meter_events::sent_units(core.db(), &account, &event.meter, from, to).await?;
    let counted = core.gateway().units_counted(event_name, customer, from, to).await;
    Ok(counted.map(|counted| judge(event.quantity, sent, counted)))
}

fn judge(quantity: i64, sent: i64, counted: i64) -> Counted {
    match counted.saturating_sub(sent) {
        unrecorded if unrecorded <= 0 => Counted::No,
        unrecorded if unrecorded >= quantity => Counted::Yes,
        unrecorded => Counted::Unclear(format!(
            "Stripe has counted {counted} units for this hour, but {sent} are recorded as sent: {unrecorded} of \
            these {quantity} may be among them"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_that_are_not_recorded_as_sent_can_be_the_event() {
        assert_eq!(judge(30, 0, 0), Counted::No);
        assert_eq!(judge(30, 10, 10), Counted::No);
        assert_eq!(judge(30, 0, 30), Counted::Yes);
        assert_eq!(judge(30, 10, 45), Counted::Yes, "more was used and sent after the backup");
        assert!(matches!(judge(30, 10, 20), Counted::Unclear(_)));
        assert_eq!(judge(30, 10, 5), Counted::No, "reconciliation reports it");
    }
}

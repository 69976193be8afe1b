//! An overview of billing.

use billing::Timestamp;
use engine::StoreError;
use engine::store::billing_changes::{self, Failing};
use engine::store::drift::{self, OpenCount, Run};
use engine::store::inbox::{self, PostponedEvents, StateCount};
use engine::store::subscriptions;

use super::roles::OperatorPermit;
use crate::tollgate::Tollgate;

/// The state of billing.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The number of events in each state.
    pub events: Vec<StateCount>,
    /// The time at which the oldest pending event was received.
    pub oldest_pending: Option<Timestamp>,
    /// The events that wait because Stripe is unavailable.
    pub postponed: PostponedEvents,
    /// Billing changes whose delivery keeps failing.
    pub failing_changes: Failing,
    /// The number of subscriptions with a payment whose dispute is open.
    pub disputed: i64,
    /// The number of subscriptions whose payment for the current period was lost in a dispute or refunded in full.
    pub reversed: i64,
    /// The latest finished comparison with Stripe.
    pub last_run: Option<Run>,
    /// The number of open differences in each class.
    pub drift: Vec<OpenCount>,
}

/// Reads the state of billing.
pub async fn overview(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Overview, StoreError> {
    Ok(Overview {
        events: inbox::count_by_state(tollgate.db()).await?,
        oldest_pending: inbox::oldest_pending(tollgate.db()).await?,
        postponed: inbox::postponed(tollgate.db()).await?,
        failing_changes: billing_changes::failing(tollgate.db()).await?,
        disputed: subscriptions::count_disputed(tollgate.db()).await?,
        reversed: subscriptions::count_reversed(tollgate.db()).await?,
        last_run: drift::latest_run(tollgate.db()).await?,
        drift: drift::count_open(tollgate.db()).await?,
    })
}

//! The state of billing at a glance.

use billing::Timestamp;
use engine::StoreError;
use engine::store::billing_changes::{self, Failing};
use engine::store::drift::{self, OpenCount, Run};
use engine::store::inbox::{self, StateCount};

use super::roles::OperatorPermit;
use crate::tollgate::Tollgate;

/// The state of billing.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How many events are in each state.
    pub events: Vec<StateCount>,
    /// When the event that has been pending longest was received.
    pub oldest_pending: Option<Timestamp>,
    /// Billing changes that could not be delivered yet.
    pub failing_changes: Failing,
    /// The latest comparison with Stripe that ended.
    pub last_run: Option<Run>,
    /// How many differences of each class are open.
    pub drift: Vec<OpenCount>,
}

/// Reads the state of billing.
pub async fn overview(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Overview, StoreError> {
    Ok(Overview {
        events: inbox::count_by_state(tollgate.db()).await?,
        oldest_pending: inbox::oldest_pending(tollgate.db()).await?,
        failing_changes: billing_changes::failing(tollgate.db()).await?,
        last_run: drift::latest_run(tollgate.db()).await?,
        drift: drift::count_open(tollgate.db()).await?,
    })
}

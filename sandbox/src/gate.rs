//! Gates that hold API calls, so that a test can act while a call is in progress.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Holds matching calls until it opens.
#[derive(Debug)]
pub(crate) struct Gate {
    method: String,
    path: String,
    arrived: watch::Sender<usize>,
    opened: CancellationToken,
}

impl Gate {
    fn holds(&self, method: &str, path: &str) -> bool {
        (self.method.is_empty() || self.method == method) && path.starts_with(&self.path)
    }
}

/// The gates that are still closed.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<Vec<Arc<Gate>>>);

impl Gates {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Gate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no gate holds the call.
    pub(crate) async fn pass(&self, method: &str, path: &str) {
        loop {
            let gate = self.lock().iter().find(|gate| gate.holds(method, path)).cloned();
            let Some(gate) = gate else {
                return;
            };
            gate.arrived.send_modify(|calls| *calls += 1);
            gate.opened.cancelled().await;
        }
    }

    /// Opens every gate.
    pub(crate) fn open_all(&self) {
        self.lock().drain(..).for_each(|gate| gate.opened.cancel());
    }
}

/// API calls held by [`Sandbox::hold_calls`](crate::Sandbox::hold_calls); dropping it releases them.
pub struct HeldCalls {
    gates: Arc<Gates>,
    gate: Arc<Gate>,
}

impl HeldCalls {
    pub(crate) fn new(gates: &Arc<Gates>, method: &str, path: &str) -> Self {
        let gate = Arc::new(Gate {
            method: method.to_owned(),
            path: path.to_owned(),
            arrived: watch::Sender::new(0),
            opened: CancellationToken::new(),
        });
        gates.lock().push(Arc::clone(&gate));
        Self { gates: Arc::clone(gates), gate }
    }

    /// Resolves when a call has arrived at the gate.
    pub async fn arrived(&self) {
        self.calls_arrived(1).await;
    }

    /// Resolves when the given number of calls have arrived, including those whose client has disconnected.
    pub async fn calls_arrived(&self, calls: usize) {
        // The gate owns the sender, so waiting cannot fail.
        let _ = self.gate.arrived.subscribe().wait_for(|arrived| *arrived >= calls).await;
    }

    /// Returns the number of calls that have arrived so far.
    pub fn count(&self) -> usize {
        *self.gate.arrived.borrow()
    }

    /// Releases the held calls; later calls pass.
    pub fn open(self) {
        drop(self);
    }
}

impl std::fmt::Debug for HeldCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldCalls").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Drop for HeldCalls {
    fn drop(&mut self) {
        self.gates.lock().retain(|gate| !Arc::ptr_eq(gate, &self.gate));
        self.gate.opened.cancel();
    }
}

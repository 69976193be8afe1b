//! Three nodes of the real program on one PostgreSQL, behind a proxy and under load, survive production's
//! faults.
//!
//! Nodes are killed one after the other, the database is unavailable for a while, and so is Stripe. `make nightly`
//! crashes the database and starts it again; in a run that shares its server, it closes every connection and accepts
//! none for a while. Afterwards nothing that was acknowledged is lost, nothing was granted twice, no limit
//! was exceeded, and no session has ended.
//!
//! Faults strike after a number of responses, so that a run takes as long as the machine needs. `TOLLGATE_MINUTES`
//! makes it a long run, with a kill every minute (ten minutes at night).

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

#[path = "../support/mod.rs"]
mod support;

mod load;
mod proxy;
mod system;

use std::time::Duration;

use load::Load;
use system::System;

/// The number of rounds of a short run. A node is killed in each.
const ROUNDS: u64 = 4;
/// The number of responses after which the next fault of a short run strikes.
const RESPONSES: usize = 150;
/// The failures for which the database is unavailable.
const FAILURES: usize = 20;
/// The time between two kills in a long run.
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_nodes_and_outages_lose_nothing_and_grant_nothing_twice() {
    let minutes = minutes();
    let mut system = System::start().await;
    let load = Load::start(&system).await;
    let rounds = minutes.unwrap_or(ROUNDS);
    for round in 0..rounds {
        let node = usize::try_from(round).unwrap() % system::NODES;
        system.kill(node);
        match round {
            1 => {
                let failures = async {
                    load.until_failures(FAILURES).await;
                    system.until_failed_delivery().await;
                };
                system.interrupt_database(failures).await;
            }
            2 => {
                system.stop_stripe();
                match minutes {
                    Some(_) => tokio::time::sleep(MINUTE).await,
                    None => load.until_rejected_purchase().await,
                }
                system.resume_stripe();
            }
            _ => {}
        }
        load.until_responses(RESPONSES).await;
        system.restart(node).await;
        match minutes {
            Some(_) => tokio::time::sleep(MINUTE).await,
            None => load.until_responses(RESPONSES).await,
        }
    }
    let outcome = load.stop(&system).await;
    system.settle().await;

    system.expect_acknowledged_events().await;
    system.expect_state_of_stripe().await;
    outcome.expect_exact(&system).await;
}

/// The length of a long run.
#[expect(clippy::disallowed_methods, reason = "a setting of the test")]
fn minutes() -> Option<u64> {
    std::env::var("TOLLGATE_MINUTES").ok().map(|minutes| minutes.parse().expect("TOLLGATE_MINUTES is a number"))
}

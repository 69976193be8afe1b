//! The rate of requests of this process: below Stripe's limit, so that a burst of requests is delayed rather than
//! rejected.
//!
//! Requests wait for their turn. Those of customers get only a part of the rate, so that background tasks
//! progress however many customers there are (`tests/http/stripe_rate.rs`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::settings::RequestRate;

/// Customers get three quarters of the rate.
const CUSTOMERS_SHARE: (u32, u32) = (3, 4);
/// The part of a period whose requests may be sent together: a tenth.
const BURST: u32 = 10;

tokio::task_local! {
    static BACKGROUND: ();
}

/// Runs a background task, whose requests may use the whole rate. A task that it spawns is not part of it.
pub(crate) async fn in_background<F: Future>(task: F) -> F::Output {
    BACKGROUND.scope((), task).await
}

/// Limits the rate of requests.
#[derive(Debug)]
pub(super) struct Pacer {
    all: Queue,
    of_customers: Queue,
}

impl Pacer {
    pub(super) fn new(rate: RequestRate) -> Self {
        let (share, of) = CUSTOMERS_SHARE;
        let per_request = rate.per / rate.requests.max(1);
        let queue = |per_request| Queue { per_request, burst: rate.per / BURST, full_at: Mutex::new(Instant::now()) };
        Self { all: queue(per_request), of_customers: queue(per_request * of / share) }
    }

    /// Waits until the next request may be sent. `false` if that would take longer than `longest`.
    pub(super) async fn wait(&self, longest: Duration) -> bool {
        let latest = Instant::now() + longest;
        let is_background = BACKGROUND.try_with(|()| ()).is_ok();
        (is_background || self.of_customers.wait(latest).await) && self.all.wait(latest).await
    }
}

/// Requests at a rate, in the order in which they came (GCRA, the generic cell rate algorithm).
#[derive(Debug)]
struct Queue {
    per_request: Duration,
    burst: Duration,
    full_at: Mutex<Instant>,
}

impl Queue {
    async fn wait(&self, latest: Instant) -> bool {
        let Some(turn) = self.reserve(Instant::now(), latest) else { return false };
        sleep_until(turn).await;
        true
    }

    /// Reserves the next turn, unless it is later than `latest`.
    fn reserve(&self, now: Instant, latest: Instant) -> Option<Instant> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.max(*full_at);
        let turn = now + (since - now).saturating_sub(self.burst);
        if turn > latest {
            return None;
        }
        *full_at = since + self.per_request;
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pacer(per_second: u32) -> (Pacer, Instant) {
        (Pacer::new(RequestRate::per_second(per_second)), Instant::now() + SECOND)
    }

    /// How many turns are in each second after `start`.
    fn in_each_second(turns: &[Instant], start: Instant) -> Vec<usize> {
        let second = |turn: &Instant| usize::try_from((*turn - start).as_secs()).unwrap();
        let mut counts = vec![0; turns.iter().map(second).max().map_or(0, |last| last + 1)];
        turns.iter().for_each(|turn| counts[second(turn)] += 1);
        counts
    }

    #[test]
    fn requests_beyond_the_rate_wait_for_their_turn() {
        let (Pacer { all, .. }, now) = pacer(20);
        let turns: Vec<Instant> = (0..100).map(|_| all.reserve(now, now + 60 * SECOND).unwrap()).collect();
        assert_eq!(in_each_second(&turns, now), [22, 20, 20, 20, 18], "two more in the first");
        assert!(turns.is_sorted());
        let later = now + 60 * SECOND;
        let turns: Vec<Instant> =
            (0..30).map(|_| all.reserve(later, later + SECOND).unwrap_or(later + SECOND)).collect();
        assert_eq!(in_each_second(&turns, later), [22, 8], "time without requests is not saved up");
    }

    #[test]
    fn background_tasks_progress_however_many_customers_there_are() {
        let (Pacer { all, of_customers }, now) = pacer(20);
        let latest = now + 60 * SECOND;
        let mut arrivals: Vec<(Instant, bool)> =
            (0..200).map(|_| (of_customers.reserve(now, latest).unwrap(), false)).collect();
        arrivals.extend([(now, true); 20]);
        arrivals.sort_by_key(|(at, _)| *at);
        let turns: Vec<(Instant, bool)> =
            arrivals.into_iter().map(|(at, is_background)| (all.reserve(at, latest).unwrap(), is_background)).collect();
        let of = |background| -> Vec<Instant> {
            turns.iter().filter(|(_, is_background)| *is_background == background).map(|(turn, _)| *turn).collect()
        };
        assert_eq!(in_each_second(&of(true), now), [20], "they do not wait for the customers who came first");
        let customers = in_each_second(&of(false), now);
        assert!(customers[6..10].iter().all(|count| (14..=16).contains(count)), "three quarters: {customers:?}");
    }

    #[test]
    fn a_request_whose_turn_is_too_late_takes_none() {
        let (Pacer { all, .. }, now) = pacer(1);
        assert_eq!(all.reserve(now, now + SECOND / 2), Some(now));
        for _ in 0..10 {
            assert_eq!(all.reserve(now, now + SECOND / 2), None);
        }
        assert_eq!(all.reserve(now, now + SECOND), Some(now + SECOND * 9 / 10));
    }
}

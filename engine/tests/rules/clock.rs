//! What time it is, and for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use billing::Timestamp;
use billing::time::DAY;
use server::clock::Clock;

const NOON: Timestamp = Timestamp(1_777_636_800);

#[test]
fn a_manual_clock_stands_until_it_is_moved() {
    let clock = Clock::manual(NOON);
    assert_eq!((clock.now(), clock.now()), (NOON, NOON));
    let same = clock.clone();
    clock.set(NOON.plus_days(31));
    assert_eq!(same.now(), NOON.plus_days(31), "clones share the time");
    clock.set(NOON);
    assert_eq!(same.now(), NOON, "it can be moved back");
    assert_eq!(clock.wall(), NOON, "a test's signatures are made by its own time");
}

#[test]
fn the_machines_clock_goes_by_itself_and_cannot_be_set() {
    let clock = Clock::system();
    let before = clock.now();
    clock.set(NOON);
    assert!(before <= clock.now() && clock.now() <= before.plus_seconds(60), "it stayed as it is");
    assert!(before <= clock.wall());
}

#[test]
fn a_clock_that_is_ahead_is_as_far_ahead_as_it_is_told() {
    let offset = Arc::new(AtomicI64::new(0));
    let (clock, machine) = (Clock::ahead(Arc::clone(&offset)), Clock::system());
    for ahead in [0, 31 * DAY, 400 * DAY, -DAY] {
        offset.store(ahead, Ordering::SeqCst);
        let before = machine.now().plus_seconds(ahead);
        let now = clock.now();
        assert!(before <= now && now <= machine.now().plus_seconds(ahead), "{ahead}: {now:?}");
    }
}

/// Stripe's signature of an event is made by real time, however far its own clock was moved.
#[test]
fn the_time_on_the_wall_is_real_however_far_the_clock_is_ahead() {
    let clock = Clock::ahead(Arc::new(AtomicI64::new(400 * DAY)));
    let before = Clock::system().now();
    let wall = clock.wall();
    assert!(before <= wall && wall <= Clock::system().now());
    clock.set(NOON);
    assert!(clock.now() >= before.plus_days(400), "only who made the offset moves it");
}

/// A year so far away that no time can hold it is the last that there is.
#[test]
fn an_offset_beyond_time_is_the_end_of_time() {
    let clock = Clock::ahead(Arc::new(AtomicI64::new(i64::MAX)));
    assert_eq!(clock.now(), Timestamp(i64::MAX));
}

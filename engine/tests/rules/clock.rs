//! The clock: real, ahead of real time, or set by a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use billing::Timestamp;
use billing::time::DAY;
use engine::clock::Clock;

const NOON: Timestamp = Timestamp(1_777_636_800);

#[test]
fn a_manual_clock_stands_still_until_it_is_set() {
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
fn the_system_clock_cannot_be_set() {
    let clock = Clock::system();
    let before = clock.now();
    clock.set(NOON);
    assert!(before <= clock.now() && clock.now() <= before.plus_seconds(60), "setting it changed nothing");
    assert!(before <= clock.wall());
}

#[test]
fn a_clock_that_is_ahead_follows_its_offset() {
    let offset = Arc::new(AtomicI64::new(0));
    let (clock, machine) = (Clock::ahead(Arc::clone(&offset)), Clock::system());
    for ahead in [0, 31 * DAY, 400 * DAY, -DAY] {
        offset.store(ahead, Ordering::SeqCst);
        let before = machine.now().plus_seconds(ahead);
        let now = clock.now();
        assert!(before <= now && now <= machine.now().plus_seconds(ahead), "{ahead}: {now:?}");
    }
}

/// Stripe signs events by real time, however far a test clock was moved.
#[test]
fn the_wall_clock_is_real_however_far_the_clock_is_ahead() {
    let clock = Clock::ahead(Arc::new(AtomicI64::new(400 * DAY)));
    let before = Clock::system().now();
    let wall = clock.wall();
    assert!(before <= wall && wall <= Clock::system().now());
    clock.set(NOON);
    assert!(clock.now() >= before.plus_days(400), "only its offset moves it");
}

/// A time that does not fit is the last that does.
#[test]
fn an_offset_that_overflows_saturates() {
    let clock = Clock::ahead(Arc::new(AtomicI64::new(i64::MAX)));
    assert_eq!(clock.now(), Timestamp(i64::MAX));
}

//! Delays between attempts.

/// Returns the seconds until the next attempt after `attempts` of them: doubling from two seconds to `max`,
/// plus up to a quarter that depends on `key`, so that what failed together is not retried together.
pub(crate) fn backoff(attempts: i64, max: i64, key: &str) -> i64 {
    let base = (1_i64 << attempts.clamp(1, 30)).min(max);
    let jitter = key.bytes().fold(attempts % 997, |sum, byte| (sum * 31 + i64::from(byte)) % 997);
    base + base * jitter / 997 / 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_grows_up_to_its_maximum(attempts in 1_i64..1_000_000, max in 2_i64..100_000, key in ".*") {
            let delay = backoff(attempts, max, &key);
            prop_assert!(delay >= 2);
            prop_assert!(delay <= max + max / 4);
            prop_assert!(delay >= max || delay >= 1 << attempts.min(30));
        }
    }
}

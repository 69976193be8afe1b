//! Waiting for a condition.

use std::time::Duration;

/// Far longer than anything takes: a test that waits this long has failed.
pub(super) const AT_MOST: Duration = Duration::from_secs(90);

/// Waits until the condition holds.
pub async fn until(holds: impl AsyncFn() -> bool) {
    let polling = async {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        while !holds().await {
            poll.tick().await;
        }
    };
    tokio::time::timeout(AT_MOST, polling).await.expect("the condition holds in time");
}

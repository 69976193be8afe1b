//! Limits that every request has.

use std::time::Duration;

/// The largest form or API body that is read.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// How long a request may take: enough for Stripe's slowest answer with all retries.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

//! The limits on every request.

use std::time::Duration;

/// The maximum size of a form or API body, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The timeout of a request: enough for Stripe's slowest response with all retries.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

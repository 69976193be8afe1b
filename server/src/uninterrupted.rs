//! Work that is completed even if the client disconnects: a revoked key or an ended session must not keep
//! working because its owner did not wait for the response.

use tracing::Instrument;

/// Runs `work` in its own task, and waits for it.
pub(crate) async fn uninterrupted<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

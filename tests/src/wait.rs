//! Waiting for a condition, never for a time.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// Longest wait. Reaching it means that something is broken.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits until `look` returns a value.
///
/// # Panics
///
/// If it does not within a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + LONGEST;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited for a minute: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

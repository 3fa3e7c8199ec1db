//! Waiting for a condition instead of sleeping for a guess.
//!
//! Invariant: a wait ends as soon as its condition holds, and at the latest when patience is over.

use std::time::{Duration, Instant};

/// Seconds a test waits before it gives up; raise it on a slow machine.
pub const PATIENCE_VARIABLE: &str = "CHAOS_TEST_PATIENCE_S";
const PATIENCE_S: u64 = 20;
const POLL: Duration = Duration::from_millis(2);

/// How long tests wait.
pub fn patience() -> Duration {
    let seconds = std::env::var(PATIENCE_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(PATIENCE_S))
}

/// Polls `condition` until it holds or patience is over, and returns whether it held.
pub async fn holds(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience();
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

/// Waits until a condition holds; fails the test, naming the condition, if it does not within patience.
#[macro_export]
macro_rules! eventually {
    ($condition:expr $(,)?) => {
        assert!(
            $crate::patience::holds(|| $condition).await,
            "not within patience: {}",
            stringify!($condition)
        )
    };
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut polls = 0;
        eventually!({
            polls += 1;
            polls == 3
        });
        assert_eq!(polls, 3);
    }
}

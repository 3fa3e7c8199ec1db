//! Work that a planted bug promises at once and does later, from memory: what a killed process has
//! promised is never done.
//!
//! Invariant: what was promised is done in its order, each piece [`Promised`]'s delay after its promise; at
//! most [`PROMISES_MAX`] wait. Without such a bug nothing of this file runs.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::serve::stopped;

/// The most promises not kept yet; then promising waits.
const PROMISES_MAX: usize = 1024;

/// Takes promises.
#[derive(Debug)]
pub(crate) struct Later<T> {
    delay: Duration,
    sender: mpsc::Sender<(Instant, T)>,
}

/// Gives them back when they are due.
#[derive(Debug)]
pub(crate) struct Promised<T>(mpsc::Receiver<(Instant, T)>);

/// The two ends of a queue whose promises are due after a delay.
pub(crate) fn queue<T>(delay: Duration) -> (Later<T>, Promised<T>) {
    let (sender, receiver) = mpsc::channel(PROMISES_MAX);
    (Later { delay, sender }, Promised(receiver))
}

impl<T> Later<T> {
    /// Promises a piece of work; false if nobody will do it any more.
    pub(crate) async fn promise(&self, work: T) -> bool {
        let due = Instant::now() + self.delay;
        self.sender.send((due, work)).await.is_ok()
    }
}

impl<T> Promised<T> {
    /// The next piece of work, once it is due; after `stop` has turned true at once, until none is left.
    pub(crate) async fn next(&mut self, stop: &mut watch::Receiver<bool>) -> Option<T> {
        let (due, work) = tokio::select! {
            promise = self.0.recv() => promise?,
            () = stopped(stop) => {
                self.0.close();
                self.0.recv().await?
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = stopped(stop) => {}
        }
        Some(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_waits_for_its_time_or_for_the_end() {
        let delay = Duration::from_millis(50);
        let (later, mut promised) = queue(delay);
        let stop = watch::Sender::new(false);
        let begun = Instant::now();
        assert!(later.promise(1).await);
        assert_eq!(promised.next(&mut stop.subscribe()).await, Some(1));
        assert!(begun.elapsed() >= delay);
        // Nobody would wait for this one.
        let later = Later {
            delay: Duration::from_hours(1),
            ..later
        };
        assert!(later.promise(2).await && later.promise(3).await);
        stop.send_replace(true);
        assert_eq!(promised.next(&mut stop.subscribe()).await, Some(2));
        assert_eq!(promised.next(&mut stop.subscribe()).await, Some(3));
        assert_eq!(promised.next(&mut stop.subscribe()).await, None);
        assert!(!later.promise(4).await);
    }
}

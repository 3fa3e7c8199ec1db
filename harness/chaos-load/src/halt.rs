//! The order to stop, and the one instant up to which arrivals were due.
//!
//! A worker reads the clock, then asks [`Halt::is_ordered`], then begins what was due by then.
//! [`Switch::stop`] gives the order first and reads the clock after. So whatever was begun was
//! due by the instant of the stop, without a lock between them.
//! Invariant: the first stop stands, and all workers share its instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::clock::now_ns;

/// The side that stops.
#[derive(Debug)]
pub(crate) struct Switch {
    is_ordered: Arc<AtomicBool>,
    until_ns: watch::Sender<Option<u64>>,
}

/// A worker's side.
#[derive(Debug, Clone)]
pub(crate) struct Halt {
    is_ordered: Arc<AtomicBool>,
    until_ns: watch::Receiver<Option<u64>>,
}

/// Both sides.
pub(crate) fn new() -> (Switch, Halt) {
    let is_ordered = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = watch::channel(None);
    let halt = Halt {
        is_ordered: Arc::clone(&is_ordered),
        until_ns: receiver,
    };
    let switch = Switch {
        is_ordered,
        until_ns: sender,
    };
    (switch, halt)
}

impl Switch {
    pub(crate) fn stop(&self) {
        if !self.is_ordered.swap(true, Ordering::SeqCst) {
            self.until_ns.send_replace(Some(now_ns()));
        }
    }

    /// Raw instant of the stop.
    pub(crate) fn stopped_ns(&self) -> Option<u64> {
        *self.until_ns.borrow()
    }
}

impl Halt {
    pub(crate) fn is_ordered(&self) -> bool {
        self.is_ordered.load(Ordering::SeqCst)
    }

    /// Waits for the order. Also over when the other side is gone.
    pub(crate) async fn ordered(&mut self) {
        // An error means that the other side is gone.
        drop(self.until_ns.wait_for(Option::is_some).await);
    }

    /// Raw instant of the stop, for whoever has seen the order; now if the other side is gone.
    pub(crate) async fn until_ns(&mut self) -> u64 {
        self.ordered().await;
        self.until_ns.borrow().unwrap_or_else(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn nothing_was_begun_after_the_instant_of_the_stop() {
        for _ in 0..200 {
            let (switch, halt) = new();
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let halt = halt.clone();
                    thread::spawn(move || {
                        let mut begun_ns = 0;
                        loop {
                            let now_ns = now_ns();
                            if halt.is_ordered() {
                                return begun_ns;
                            }
                            begun_ns = now_ns;
                        }
                    })
                })
                .collect();
            thread::yield_now();
            switch.stop();
            let until_ns = halt.clone().until_ns().await;
            for worker in workers {
                assert!(worker.join().expect("no panic") <= until_ns);
            }
        }
    }

    #[tokio::test]
    async fn the_first_stop_stands_for_everyone() {
        let (switch, mut halt) = new();
        assert!(!halt.is_ordered() && switch.stopped_ns().is_none());
        switch.stop();
        let first_ns = switch.stopped_ns();
        switch.stop();
        assert!(halt.is_ordered());
        assert_eq!(
            (switch.stopped_ns(), Some(halt.until_ns().await)),
            (first_ns, first_ns)
        );
    }

    #[tokio::test]
    async fn a_lost_switch_ends_the_wait() {
        let (switch, mut halt) = new();
        drop(switch);
        halt.ordered().await;
        assert!(halt.until_ns().await > 0);
    }
}

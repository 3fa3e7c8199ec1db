//! The user's wish to stop: Ctrl-C, SIGTERM, or a terminal that went away.
//!
//! Invariant: from the moment this is installed no signal ends the harness by default.

use std::io;

use chaos_record::event::StopSignal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the signals that mean "stop".
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopSignals {
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            Some(()) = self.interrupt.recv() => StopSignal::Interrupt,
            Some(()) = self.terminate.recv() => StopSignal::Terminate,
            Some(()) = self.hangup.recv() => StopSignal::Terminate,
            else => std::future::pending().await,
        }
    }
}

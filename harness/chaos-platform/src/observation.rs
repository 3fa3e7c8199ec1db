//! What a platform sees happen to the instances it runs.
//!
//! Invariant: an observation tells what was seen and when, not what we did.

/// Something seen, at an instant of `CLOCK_MONOTONIC` in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub at_ns: u64,
    pub service: String,
    pub instance: String,
    pub seen: Seen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Started {
        incarnation: u32,
        pid: Option<u32>,
        address: String,
        /// What it runs in and where, in words, if that is not this machine.
        place: Option<String>,
    },
    Ready,
    Unready {
        why: String,
    },
    /// `asked` if the platform itself was taking it down.
    Exited {
        status: String,
        asked: bool,
    },
    Restarting {
        after_ns: u64,
    },
    /// It exited and its restart policy leaves it down.
    Down,
    /// It cannot start; told once of a life.
    Stuck {
        why: String,
    },
    /// It is gone, and without it there are as many as are wanted.
    Withdrawn {
        why: String,
    },
    /// The data plane is gone: the run cannot go on.
    PlatformLost {
        why: String,
    },
}

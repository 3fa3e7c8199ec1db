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
    /// Something beside its instances; the observation names none, and a service only where it is known.
    Platform(PlatformChange),
    /// The data plane is gone: the run cannot go on.
    PlatformLost {
        why: String,
    },
}

/// What a platform tells beside what becomes of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformChange {
    /// How many a service's autoscaler wants.
    Autoscaled {
        autoscaler: String,
        /// What it wanted before; absent when it is first seen.
        was: Option<u32>,
        wanted: u32,
        /// What it goes by, in words.
        metric: Option<String>,
    },
    /// How many of a Service's endpoints take traffic.
    Serving {
        name: String,
        was: Option<u32>,
        ready: u32,
    },
    /// The cluster warns of an object; told once of an object and a reason, and again when it was seen twice as often.
    Warned {
        object: String,
        reason: String,
        message: String,
        times: u32,
    },
    /// A node is ready again, or no longer.
    Node {
        node: String,
        ready: bool,
        why: String,
    },
    /// Something that would be worth seeing is not looked at.
    Unwatched { what: String, why: String },
}

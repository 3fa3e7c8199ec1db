//! Where the store runs: what can be done to it, how that is undone, and what is seen of it.
//!
//! Invariant: [`act::Act`], [`undo::Undo`] and [`observation::Observation`] are plain data that
//! every platform, the guardian and a later process can read. Whether something took effect is
//! read from the world, never from our own flags.

pub mod act;
mod clock;
mod http;
pub mod kubernetes;
pub mod local;
pub mod observation;
mod observer;
pub mod platform;
pub mod undo;

pub use act::{Act, Capability, InstanceRef, Probe, Reading, Signal};
pub use observation::{Observation, PlatformChange, Seen};
pub use platform::{Deployment, InstanceState, InstanceUse, Pace, Platform, PlatformError};
pub use undo::{Reverted, Undo};

//! What all roles share on the serving side of HTTP.
//!
//! Invariant: every answer that is not a success is JSON that says what is wrong and what to do, and
//! none shows the inside of the store.

pub(crate) mod app;
pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod fields;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod observe;
pub(crate) mod seal;
pub(crate) mod server;

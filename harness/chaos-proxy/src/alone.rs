//! One listener towards fixed addresses, without anybody who gives commands: the plainest way to
//! start the proxy, to measure it beside others.
//!
//! Invariant: bytes take the same way as through the edges of a run; nothing is measured here that
//! a run does not use.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::balance::{Balance, Member};
use crate::edge::{Edge, Shared};
use crate::serve::{ProxyError, connections, runtime};

/// Carries every connection made to `listen` to one of `to`, until the process is ended. Blocks.
pub fn carry_blocking(listen: SocketAddr, to: &[SocketAddr]) -> Result<(), ProxyError> {
    let mut callees = Balance::default();
    callees.set(
        to.iter()
            .map(|&address| Member::new(&address.to_string(), address))
            .collect(),
    );
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        let edge = Edge::open(
            listen,
            ("caller", "callee"),
            Arc::new(Mutex::new(callees)),
            Shared::new(connections()),
            stop.clone(),
        )
        .map_err(|source| ProxyError::Listen {
            address: listen,
            source,
        })?;
        tracing::info!(address = %edge.address, "listening");
        stop.cancelled().await;
        Ok(())
    })
}

//! The proxy of `chaos`, with no rule set.
//!
//! Invariant: bytes take the way they take in a run.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{Server, free_address};
use crate::process::Launch;
use crate::sitting::Sitting;
use crate::words;

pub(crate) fn start(sitting: &Sitting, to: SocketAddr) -> Result<Server<'_>> {
    let address = free_address()?;
    let launch = Launch {
        program: sitting.toolbox.find("chaos").context("no `chaos`")?,
        arguments: words!["proxy", "--listen", address, "--to", to],
        core: Some(sitting.cores.server),
    };
    Server::start(sitting, launch, address, false)
}

//! `HAProxy` in TCP mode, one thread.
//!
//! Invariant: it looks at no byte that it passes on.

use std::net::SocketAddr;

use anyhow::Result;

use super::{Server, find, free_address};
use crate::process::Launch;
use crate::sitting::Sitting;
use crate::words;

pub(crate) const INSTALL: &str = "apt-get install haproxy";

pub(crate) fn start(sitting: &Sitting, to: SocketAddr) -> Result<Server<'_>> {
    let program = find(sitting, "haproxy", INSTALL)?;
    let address = free_address()?;
    let configuration = sitting.write("haproxy.cfg", &configuration(address, to))?;
    let launch = Launch {
        program,
        arguments: words!["-db", "-f", configuration.display()],
        core: Some(sitting.cores.server),
    };
    Server::start(sitting, launch, address, false)
}

fn configuration(listen: SocketAddr, to: SocketAddr) -> String {
    format!(
        "global
    maxconn 2000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen through
    bind {listen}
    server direct {to}
"
    )
}

//! The null server of `chaos`: answers every request with the same 13 bytes, as fast as the kernel lets it.
//!
//! Invariant: what it answers does not depend on the request.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{START_WITHIN, Server};
use crate::process::Launch;
use crate::sitting::Sitting;
use crate::words;

pub(crate) fn start(sitting: &Sitting) -> Result<Server<'_>> {
    let launch = Launch {
        program: sitting.toolbox.find("chaos").context("no `chaos`")?,
        arguments: words!["internal", "null-server", "--listen", "127.0.0.1:0"],
        core: Some(sitting.cores.server),
    };
    let running = launch.start(sitting)?;
    let address = running.until("address", START_WITHIN, || {
        Ok(listening(&running.printed()?))
    })?;
    let server = Server {
        running,
        address,
        tls: false,
    };
    server.answers()?;
    Ok(server)
}

/// The address on the first line, once that is whole.
fn listening(printed: &str) -> Option<SocketAddr> {
    let (line, _) = printed.split_once('\n')?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_no_address() {
        assert_eq!(listening("127.0.0.1:80"), None);
        assert_eq!(listening("127.0.0.1:8080\n"), "127.0.0.1:8080".parse().ok());
    }
}

//! What is put under load: servers and proxies, each a process on the server's core.
//!
//! Invariant: each listens on loopback alone, at a port that was free, and is gone with its [`Server`].

pub(crate) mod chaos_proxy;
pub(crate) mod haproxy;
pub(crate) mod nghttpd;
pub(crate) mod null;
pub(crate) mod toxiproxy;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{Launch, Running};
use crate::sitting::Sitting;

/// By then a server listens.
const START_WITHIN: Duration = Duration::from_secs(15);
/// By then it has answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A running server or proxy.
#[derive(Debug)]
pub(crate) struct Server<'s> {
    running: Running<'s>,
    address: SocketAddr,
    tls: bool,
}

/// A server that cannot be started, with the way to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub program: &'static str,
    pub install: &'static str,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "`{}` is not installed: {}", self.program, self.install)
    }
}

impl std::error::Error for Missing {}

impl<'s> Server<'s> {
    /// Starts it on the server's core and waits until it listens at `address`.
    fn start(sitting: &'s Sitting, launch: Launch, address: SocketAddr, tls: bool) -> Result<Self> {
        let running = launch.start(sitting)?;
        running.until("listener", START_WITHIN, || {
            Ok(TcpStream::connect_timeout(&address, ANSWER_WITHIN).ok())
        })?;
        Ok(Self {
            running,
            address,
            tls,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Core time that it has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.running.cpu()
    }

    /// Sends it one request and wants a 200. Over TLS only that it listens: what the tools got is read from what they say.
    pub(crate) fn answers(&self) -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWER_WITHIN)
            .with_context(|| format!("no server at {}", self.address))?;
        if self.tls {
            return Ok(());
        }
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).context("it does not answer")?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        let first = answer.lines().next().unwrap_or_default();
        ensure!(first.starts_with("HTTP/1.1 200"), "it answers `{first}`");
        Ok(())
    }
}

/// A port on loopback that nobody had a moment ago.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// Where a program is; an error names the way to get it.
fn find(
    sitting: &Sitting,
    program: &'static str,
    install: &'static str,
) -> Result<std::path::PathBuf> {
    match sitting.toolbox.find(program) {
        Some(path) => Ok(path),
        None => bail!(Missing { program, install }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_says_how_to_get_it() {
        let sitting = Sitting::for_tests();
        let error = find(&sitting, "no-such-proxy", "apt-get install it").unwrap_err();
        assert!(error.is::<Missing>());
        assert!(
            error
                .to_string()
                .ends_with("is not installed: apt-get install it")
        );
    }
}

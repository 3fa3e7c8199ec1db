//! Free ports for instances that listen on a port they are told.
//!
//! The port is found by binding it and closing it again, so somebody else may take it in between;
//! the instance then fails to start and its restart gets another one.
//! Invariant: two instances that start at the same time never get the same port from here.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Ports handed out last, which are not handed out again.
const REMEMBERED: usize = 128;
const TRIES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Ports {
    recent: Mutex<VecDeque<u16>>,
}

impl Ports {
    pub(super) fn free(&self) -> io::Result<u16> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            if recent.contains(&port) {
                continue;
            }
            if recent.len() == REMEMBERED {
                recent.pop_front();
            }
            recent.push_back(port);
            return Ok(port);
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "no free port was found on the loopback address",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_differ() {
        let ports = Ports::default();
        let handed: BTreeSet<u16> = (0..REMEMBERED)
            .map(|_| ports.free().expect("a port"))
            .collect();
        assert_eq!(handed.len(), REMEMBERED);
    }
}

//! toxiproxy without any toxic.
//!
//! Invariant: its interface for commands listens at a port of its own on loopback and is not used.

use std::net::SocketAddr;

use anyhow::Result;

use super::{Server, find, free_address};
use crate::process::Launch;
use crate::sitting::Sitting;
use crate::words;

pub(crate) const INSTALL: &str = "go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0, \
     then name the program `toxiproxy-server`";

pub(crate) fn start(sitting: &Sitting, to: SocketAddr) -> Result<Server<'_>> {
    let program = find(sitting, "toxiproxy-server", INSTALL)?;
    let (address, commands) = (free_address()?, free_address()?);
    let proxies = serde_json::json!([{
        "name": "through", "listen": address.to_string(), "upstream": to.to_string(), "enabled": true,
    }]);
    let configuration = sitting.write("toxiproxy.json", &proxies.to_string())?;
    let launch = Launch {
        program,
        arguments: words![
            "-host",
            "127.0.0.1",
            "-port",
            commands.port(),
            "-config",
            configuration.display(),
        ],
        core: Some(sitting.cores.server),
    };
    Server::start(sitting, launch, address, false)
}

//! `RabbitMQ`: carries the events from orders to notifications.
//!
//! Its start script becomes the Erlang machine, which takes signals itself: SIGTERM ends it in order.
//! It must have `epmd` beside it, a directory of Erlang machines, which it would start as a daemon that
//! outlives it; so it finds one of its own that the kernel kills when it ends.
//!
//! Invariant: files, cookie, node name and ports are its own, nothing is shared with a server of the
//! machine's. No plugin is on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::PartError;
use super::account::{self, Account};
use super::place::{self, Place};
use super::programs::{Found, Programs};

pub(super) const PROGRAMS: Programs = Programs {
    names: &["rabbitmq-server"],
    folders: "/usr/lib/rabbitmq/bin",
    package: "rabbitmq-server",
};

/// The Erlang that it runs on, a package that its own depends on.
const ERLANG: Programs = Programs {
    names: &["epmd", "erl"],
    folders: "/usr/bin",
    package: "rabbitmq-server",
};

/// Longest wait for `epmd`, which takes milliseconds.
const EPMD: Duration = Duration::from_secs(5);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(10);

/// Prepares files and starts `epmd`; the server's command.
pub(super) fn prepare(
    found: &Found,
    place: &Place,
    account: &Account,
) -> Result<Command, PartError> {
    let config = place.write("rabbitmq.conf", &configuration(account))?;
    let plugins = place.write("enabled_plugins", b"[].\n")?;
    let [epmd, nodes] = free_ports().map_err(PartError::io("find two free ports"))?;
    start_epmd(&ERLANG.find()?, place, epmd)?;
    let mut command = Command::new(found.program(PROGRAMS.names[0]));
    command
        // Makes the script become the server in place of waiting for it.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("HOME", &place.data)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("RABBITMQ_NODENAME", "part@localhost")
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", place.port.to_string())
        .env("RABBITMQ_DIST_PORT", nodes.to_string())
        .env("RABBITMQ_CONFIG_FILE", config)
        .env("RABBITMQ_CONF_ENV_FILE", place.data.join("none"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
        .env("RABBITMQ_MNESIA_BASE", place.data.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", place.data.join("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", place.data.join("pid"))
        // Idle threads must not spin: they share the machine with what is measured.
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        )
        .current_dir(&place.data)
        .stdin(Stdio::null())
        .stdout(place::stderr()?);
    Ok(command)
}

/// The account is made when the folder is new, and a full machine does not get it to stop.
fn configuration(account: &Account) -> Vec<u8> {
    let mut text = format!("default_user = {}\ndefault_pass = ", account.user).into_bytes();
    text.extend_from_slice(account.password.expose());
    text.extend_from_slice(
        b"\nvm_memory_high_watermark.absolute = 256MiB\ndisk_free_limit.absolute = 50MB\n",
    );
    text
}

/// Two different ports that nobody has now. They are bound at once, so they differ.
fn free_ports() -> io::Result<[u16; 2]> {
    let [one, other] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok([one?.local_addr()?.port(), other?.local_addr()?.port()])
}

/// Returns when it listens, so that nobody starts another.
fn start_epmd(erlang: &Found, place: &Place, port: u16) -> Result<(), PartError> {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig=KILL", "--"])
        .arg(erlang.program("epmd"))
        .args(["-address", "127.0.0.1", "-port", &port.to_string()])
        .current_dir(&place.data)
        .stdin(Stdio::null())
        .stdout(place::stderr()?);
    account::hide(&mut command);
    command
        .spawn()
        .map_err(PartError::io("run `epmd` by `setpriv`"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let until = Instant::now() + EPMD;
    while let Err(why) = TcpStream::connect_timeout(&address, EPMD) {
        if Instant::now() >= until {
            return Err(PartError::Deaf { within: EPMD, why });
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_differ() {
        let [one, other] = free_ports().expect("there are some");
        assert_ne!(one, other);
    }
}

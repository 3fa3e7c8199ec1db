//! What `chaos run` starts itself as: guardian, janitor, proxy process and exec wrapper; and the null server.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use chaos_load::NullServer;
use chaos_platform::kubernetes::{self, Served};
use chaos_platform::local::wrapper::exec_wrapper;
use chaos_record::exit;
use tokio::signal::unix::{SignalKind, signal};

use crate::log;
use crate::output::{Failure, Output};

pub(super) fn guardian(folder: &Path) -> Result<u8, Failure> {
    log::to_stderr("info");
    match chaos_run::guardian::run_blocking(folder).map_err(Failure::environment)? {
        Some(report) if !report.left.is_empty() => Ok(exit::NOT_CLEAN.code),
        Some(_) | None => Ok(exit::HELD.code),
    }
}

/// Ends with [`exit::TERMINATED`] when its pod is moved away, so that its Job starts another.
pub(super) fn janitor(run: &str) -> Result<u8, Failure> {
    log::to_stderr("info");
    let runtime = super::runtime()?;
    runtime.block_on(async {
        // The first process of a pod is not ended by a signal that it does not listen for.
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::environment)?;
        let served = tokio::select! {
            served = Box::pin(kubernetes::serve(run)) => served,
            _ = terminate.recv() => return Ok(exit::TERMINATED.code),
        };
        match served.map_err(Failure::environment)? {
            Served::Clean(_) => Ok(exit::HELD.code),
            Served::Left(left) => {
                tracing::error!(?left, "not everything is taken back");
                Ok(exit::NOT_CLEAN.code)
            }
        }
    })
}

pub(super) fn proxy(listen: Option<SocketAddr>, to: &[SocketAddr]) -> Result<u8, Failure> {
    log::to_stderr("info");
    match listen {
        Some(listen) => chaos_proxy::carry_blocking(listen, to),
        None => chaos_proxy::run_blocking(),
    }
    .map_err(Failure::environment)?;
    Ok(exit::HELD.code)
}

/// Does not come back if all is well.
pub(super) fn exec(parent: u32, command: Vec<OsString>) -> Result<u8, Failure> {
    Err(Failure::environment(format!(
        "start the program: {}",
        exec_wrapper(parent, command)
    )))
}

/// Serves until the process is killed.
pub(super) fn null_server(listen: SocketAddr, output: &Output) -> Result<u8, Failure> {
    let server = NullServer::start(listen)
        .map_err(|error| Failure::environment(format!("listen at `{listen}`: {error}")))?;
    output.give(&server.address().to_string());
    server.wait();
    Err(Failure::environment("go on serving: epoll gave up"))
}

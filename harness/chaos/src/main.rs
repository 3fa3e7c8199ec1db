//! `chaos`: does the shop keep its promises while things break?
//!
//! The binary: arguments, terminal, exit codes and wiring. It is also, as hidden subcommands, the
//! guardian, the proxy process, the exec wrapper and the store.

mod bundled;
mod cli;
mod cmd;
mod library;
mod log;
mod output;
mod outputs;
mod progress;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let output = output::Output::new(&cli.common);
    if !cli.command.is_internal() {
        log::to_stderr(["warn", "info", "debug"][usize::from(cli.common.verbose).min(2)]);
    }
    let code = cmd::dispatch(cli, &output).unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.code.code
    });
    ExitCode::from(code)
}

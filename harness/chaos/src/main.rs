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

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use chaos_record::exit;
use clap::Parser;

use output::{Failure, Output};

/// Most of what a long run holds is small and stays, most of what it needs meanwhile is large and goes: DECISIONS.md, 73.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let output = Output::new(&cli.common);
    let code = match prepared(&cli, output.clone()) {
        Ok(output) => {
            let code = dispatched(cli, &output);
            output.settle();
            match output::refused::why() {
                Some(why) if code == exit::HELD.code => failed(
                    &output,
                    &Failure::environment(format!("write to standard output: {why}")),
                ),
                _ => code,
            }
        }
        Err(failure) => failed(&output, &failure),
    };
    ExitCode::from(code)
}

/// The output as the command needs it, with panics and log lines going through it.
fn prepared(cli: &cli::Cli, output: Output) -> Result<Output, Failure> {
    let output = match cli.command {
        cli::Command::Run(_) | cli::Command::Load(_) => output.never_waiting()?,
        _ => output,
    };
    if !cli.command.is_internal() {
        let level = ["warn", "info", "debug"][usize::from(cli.common.verbose).min(2)];
        let of_log = output.clone();
        log::through(level, move || of_log.log_line());
    }
    let of_panics = output.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let trace = Backtrace::capture();
        of_panics.say(&match trace.status() {
            BacktraceStatus::Captured => format!("{panic}\n{trace}"),
            _ => panic.to_string(),
        });
    }));
    Ok(output)
}

fn dispatched(cli: cli::Cli, output: &Output) -> u8 {
    match catch_unwind(AssertUnwindSafe(|| cmd::dispatch(cli, output))) {
        Ok(done) => done.unwrap_or_else(|failure| failed(output, &failure)),
        Err(panic) => failed(output, &bug(panic.as_ref())),
    }
}

fn failed(output: &Output, failure: &Failure) -> u8 {
    output.failure(failure);
    failure.code.code
}

fn bug(panic: &(dyn Any + Send)) -> Failure {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it gave no message".to_owned());
    Failure::new(
        exit::BUG,
        format!(
            "error: chaos itself failed: {message}\n  this is a bug in chaos; please report it with the lines above\n  if a run was going on, `chaos recover` finishes its clean-up"
        ),
    )
}

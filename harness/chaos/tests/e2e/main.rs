//! The real program against the real store: verdicts, exit codes, and nothing left behind.
//!
//! Each test gets a folder of its own for state and outputs. `CHAOS_PROGRAM` and `CHAOS_REPOSITORY`
//! name the program and the files where the tests run as another user than the one who built them.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skip"
)]

mod breakpoint;
mod clean_up;
mod cli;
mod connecting;
mod everyday;
mod game_day;
mod generator;
mod honesty;
mod integrity;
mod leftovers;
mod load;
mod outcomes;
mod program;
mod recovery;
mod signals;
mod stopping;
mod terminal;
mod truth;
mod verdicts;
mod your_own;

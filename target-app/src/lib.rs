//! The store: a small shop of seven roles, and the bank it charges through, that a chaos run can break and judge.
//!
//! Each role is one process with its own `SQLite` file, told all it needs by its environment. Several
//! processes may play one role and then share that file. The bank is no part of the shop: it keeps a
//! book of its own in a form of its own, so that what the shop believes of money can be compared with it.
//!
//! Invariant: this crate shares no code with the harness; it is the subject of a run, not a part of it.

mod audit;
mod bug;
mod cache;
mod clock;
mod config;
mod database;
mod http;
mod link;
mod outbox;
mod parts;
mod queue;
mod redis_link;
mod role;
mod roles;
mod seed;
mod serve;
mod telemetry;
mod token;
mod trace;
mod trouble;
mod upstream;

pub use config::{Config, ConfigError, Problem};
pub use parts::{PartError, become_part};
pub use role::Role;
pub use seed::{SeedError, seed_blocking};
pub use serve::{ServeError, serve};

use anyhow::Context as _;

/// The names of the roles, as `run_blocking` takes them.
pub fn roles() -> &'static [&'static str] {
    &role::NAMES
}

/// Plays one role, configured by the environment, until SIGTERM or SIGINT.
pub fn run_blocking(role: &str) -> anyhow::Result<()> {
    let role: Role = role.parse()?;
    telemetry::start();
    let config = Config::from_environment(role).inspect_err(|error| {
        for problem in &error.problems {
            tracing::error!(setting = problem.setting, "{problem}");
        }
    })?;
    if let Some(collector) = &config.collector {
        trace::start(role.name(), &config.instance, collector);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .context("failed to start the runtime")?;
    let ended = runtime.block_on(serve::until_signal(config));
    trace::end();
    ended.inspect_err(|error| {
        tracing::error!(role = role.name(), "the role ended: {error:#}");
    })
}

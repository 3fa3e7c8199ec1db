//! The life of one role: start its parts, serve, end in order.
//!
//! Invariant: no request reaches a handler before the role's database is ready, and the database is closed only
//! after the last request and the last background task have ended.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::database::{Database, DatabaseError};
use crate::http::app;
use crate::http::health::Readiness;
use crate::http::metrics::RequestMetrics;
use crate::http::observe::Observer;
use crate::http::server::{self, Phase};
use crate::roles;
use crate::roles::LedgerError;

/// How long background tasks may take to end after the last request.
const TASKS_GRACE: Duration = Duration::from_secs(2);

/// Why a role could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The role's database is not to be had.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The bank's ledger is not to be had.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The cost asked for a password is not one Argon2 can have.
    #[error("failed to prepare passwords with PASSWORD_MEMORY_KIB = {memory_kib}: {text}")]
    Passwords {
        /// The setting.
        memory_kib: u32,
        /// What Argon2 said.
        text: String,
    },
}

/// A role that can be served.
pub(crate) struct Started {
    /// The routes of the role alone.
    pub(crate) router: Router,
    /// The role's database, if it has one.
    pub(crate) database: Option<Database>,
    /// What runs beside the requests until `Tasks::stop`.
    pub(crate) tasks: Tasks,
}

/// The background tasks of a role.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Starts a task, which must end soon after the given receiver turns true.
    pub(crate) fn start<F>(&mut self, task: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.spawn(task(self.stop.subscribe()));
    }

    /// Tells all of them to end, and waits a while until they have.
    pub(crate) async fn end(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(TASKS_GRACE, ended).await.is_err() {
            tracing::warn!(
                "background tasks did not end in time and were cut; their work is kept in the database"
            );
        }
    }
}

/// Resolves when background tasks are to end.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the role.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Serves one role at a listener until `stop` resolves, then ends in order.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let begun = Instant::now();
    let (role, instance) = (config.role.name(), config.instance.clone());
    if let Some(delay) = config.delay {
        tracing::warn!(
            role,
            instance,
            ?delay,
            "DELAY_MS is set: EVERY ANSWER OF THIS ROLE IS DELAYED"
        );
    }
    if let Some(bug) = config.bug {
        tracing::warn!(
            role,
            instance,
            bug = bug.name(),
            "BUG is set: THIS ROLE IS BROKEN ON PURPOSE: it {}",
            bug.words()
        );
    }
    let mut registry = Registry::default();
    let metrics = RequestMetrics::register(&mut registry);
    let observer = Observer::new(metrics.clone(), config.delay);
    let started = roles::start(config, &mut registry).await?;
    if let Some(database) = &started.database {
        database.register(&mut registry);
    }
    let phase = watch::Sender::new(Phase::Serving);
    let readiness = Readiness {
        phase: phase.subscribe(),
        database: started.database.clone(),
    };
    let router = app::build(started.router, registry, readiness, observer);

    let address = listener
        .local_addr()
        .map_or_else(|error| error.to_string(), |address| address.to_string());
    let startup_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(role, instance, address, startup_ms, "started");
    let finished = server::run(listener, router, phase, stop).await;
    if !finished {
        tracing::warn!(
            role,
            instance,
            "requests still running at the end of the grace were cut"
        );
    }
    started.tasks.end().await;
    if let Some(database) = started.database {
        database.close().await;
    }
    tracing::info!(role, instance, served = metrics.served(), "stopped");
    Ok(())
}

/// Serves one role at the port it was told until SIGTERM or SIGINT.
pub(crate) async fn until_signal(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let place = config.place();
    let listener = server::listen(place)
        .with_context(|| format!("failed to listen on {place} (LISTEN_ADDRESS, PORT)"))?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(serve(config, listener, stop).await?)
}

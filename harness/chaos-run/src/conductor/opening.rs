//! The beginning of a run, in the one order that leaves no gap: ledger, guardian, folders, record.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chaos_load::FaultClock;
use chaos_load::clock::now_ns;
use chaos_plan::Plan;
use chaos_plan::plan::Target;
use chaos_platform::Platform;
use chaos_platform::local::process::ProcessId;
use chaos_platform::local::{LocalConfig, LocalPlatform};
use chaos_record::event::Event;
use chaos_record::line::{Header, Host, VERSION};
use chaos_record::record::Record;
use futures_util::FutureExt;
use thiserror::Error;

use super::{Audience, Conductor, ticking};
use crate::failpoint;
use crate::lease::{self, Lease, LeaseError};
use crate::ledger::{Ledger, LedgerError};
use crate::recover;
use crate::state::State;
use crate::state_folder::{self, StateFolderError};
use crate::stop::StopSignals;
use crate::writer::Writer;

/// What a run needs beside its plan.
#[derive(Debug, Clone)]
pub struct RunConfig {
    pub plan: Arc<Plan>,
    /// Names the run; fit for a folder name.
    pub run: String,
    /// Folder for the outputs; made here, must not exist.
    pub out: PathBuf,
    /// Our own executable, for guardian, proxy and wrapper.
    pub chaos: PathBuf,
    pub workers: usize,
    /// Version of the program, with its commit if known.
    pub version: String,
    /// The command as typed.
    pub command: Vec<String>,
    pub host: Host,
}

/// Why a run could not begin; nothing was deployed.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("start over the unfinished run `{run}`: run `chaos recover` first")]
    Unfinished { run: String },
    #[error(transparent)]
    State(#[from] StateFolderError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error("{act} `{}`: {source}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// Runs a plan from deploy to verified clean-up; the record that was written is also returned.
pub async fn run(config: RunConfig, audience: &mut dyn Audience) -> Result<Record, RunError> {
    let mut conductor = open(config, audience)?;
    if let Err(panic) = AssertUnwindSafe(conductor.play()).catch_unwind().await {
        let message = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned());
        conductor.event_now(Event::Panicked {
            message: message.unwrap_or_else(|| "unknown".to_owned()),
        });
    }
    Ok(conductor.finish().await)
}

fn open(config: RunConfig, audience: &mut dyn Audience) -> Result<Conductor<'_>, RunError> {
    let root = state_folder::root()?;
    if let Some(run) = recover::unfinished(&root)?.into_iter().next() {
        return Err(RunError::Unfinished { run });
    }
    let io = |act: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| RunError::Io { act, path, source }
    };
    let harness =
        ProcessId::of(std::process::id()).map_err(io("read", Path::new("/proc/self/stat")))?;
    let stops =
        StopSignals::install().map_err(io("listen for signals in", Path::new("this process")))?;
    let ledger = Ledger::create(&root, &config.run, harness, &config.out)?;
    failpoint::reach("ledger.opened");
    let lease = Lease::start(&config.chaos, &ledger)?;
    failpoint::reach("guardian.started");
    let work = ledger.folder().join("work");
    state_folder::make_private(&work)?;
    let logs = config.out.join("logs");
    std::fs::create_dir_all(&logs).map_err(io("make", &logs))?;
    let zero_ns = now_ns();
    let path = config.out.join("record.jsonl");
    let writer = Writer::create(&path, header(&config)).map_err(io("write", &path))?;
    let mut platform = platform(&config, &work, &logs);
    let observations = platform.as_mut().and_then(|platform| platform.observe());
    let address = if let Target::Url(url) = &config.plan.target {
        url.clone()
    } else {
        String::new()
    };
    Ok(Conductor {
        state: State::new(&config.plan.faults),
        fault_clock: Arc::new(FaultClock::new(config.plan.faults.len())),
        recovered: vec![false; config.plan.faults.len()],
        plan: config.plan,
        run: config.run,
        address,
        zero_ns,
        load_start_ns: None,
        workers: config.workers,
        audience,
        writer,
        ledger,
        work,
        lease,
        lease_lost: false,
        beat: ticking(lease::BEAT),
        stops,
        interrupts: 0,
        platform,
        observations,
        engine: None,
        active: Vec::new(),
        next_undo: 1,
        stage: None,
    })
}

fn header(config: &RunConfig) -> Header {
    Header {
        version: VERSION,
        run: config.run.clone(),
        started: jiff::Timestamp::now().to_string(),
        chaos: config.version.clone(),
        command: config.command.clone(),
        host: config.host.clone(),
        plan: Plan::clone(&config.plan),
    }
}

fn platform(config: &RunConfig, work: &Path, logs: &Path) -> Option<Box<dyn Platform>> {
    let Target::Deploy(_) = config.plan.target else {
        return None;
    };
    let local = LocalConfig {
        plan: Arc::clone(&config.plan),
        run: config.run.clone(),
        work: work.to_owned(),
        logs: logs.to_owned(),
        chaos: config.chaos.clone(),
        env: Vec::new(),
    };
    Some(Box::new(LocalPlatform::new(local)))
}

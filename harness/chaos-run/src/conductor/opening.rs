//! The beginning of a run, in the one order that leaves no gap: ledger, guardian, folders, record.
//!
//! Invariant: what may take long comes before the guardian, which waits for beats from then on; and a
//! beginning that fails leaves nothing behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chaos_load::{Address, AddressError, EngineError, FaultClock};
use chaos_plan::Plan;
use chaos_plan::plan::{PlatformName, Target};
use chaos_platform::kubernetes::{
    Chosen, Janitor, KubernetesConfig, KubernetesPlatform, Manifests,
};
use chaos_platform::local::process::ProcessId;
use chaos_platform::local::{LocalConfig, LocalPlatform};
use chaos_platform::{Platform, PlatformError};
use chaos_record::line::{Header, Host, VERSION};
use chaos_record::record::Record;
use futures_util::stream::FuturesUnordered;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::{Audience, Conductor, Finished, ticking};
use crate::calibration;
use crate::control::Control;
use crate::failpoint;
use crate::lease::{self, Lease, LeaseError};
use crate::ledger::{Ledger, LedgerError, LedgerHandle, Opened};
use crate::recover::{self, Unfinished};
use crate::state::State;
use crate::state_folder::{self, RootLock, StateFolderError};
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
    /// Deploy only: no load and no faults, until somebody wishes to stop.
    pub hold: bool,
    /// Where a plan for Kubernetes runs; of no meaning for another.
    pub cluster: Option<Cluster>,
}

/// A namespace of a cluster, and what is applied there.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub chosen: Chosen,
    /// `None` for a target that runs already.
    pub manifests: Option<Manifests>,
    /// What takes faults back from inside if this machine dies; `None` for nothing.
    pub janitor: Option<Janitor>,
}

/// Why a run could not begin; nothing was deployed.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("start over the unfinished run `{run}`: run `chaos recover` first")]
    Unfinished { run: String },
    #[error(
        "start while run `{run}` is still being cleaned up by its guardian: wait a moment and start again"
    )]
    BeingCleaned { run: String },
    #[error("find the target `{address}`: {source}")]
    Address { address: String, source: io::Error },
    #[error("use the target: {0}")]
    Target(#[from] EngineError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("run on Kubernetes: no context and namespace were chosen")]
    NoCluster,
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

/// Runs a plan from deploy to verified clean-up.
pub async fn run(config: RunConfig, audience: &mut dyn Audience) -> Result<Finished, RunError> {
    let root = state_folder::root()?;
    // A host name without an address, or a certificate that is not to be believed, is noticed here,
    // where nothing was touched yet.
    let (address, found) = running(&config.plan)?;
    let cluster = cluster(&config).await?;
    let mut record = Record::new(header(&config));
    // Until here a signal may end us: nothing was touched.
    let stops = StopSignals::install().map_err(|source| RunError::Io {
        act: "listen for signals in",
        path: PathBuf::from("this process"),
        source,
    })?;
    let opened = Opened::new(&root, &config.run, own_process()?, &config.out);
    let zero_ns = opened.zero_ns;
    record.header.started = jiff::Timestamp::now().to_string();
    record.header.calibration = calibration::of_this_machine(&root).map(Box::new);
    let ledger = new_ledger(&root, opened).await?;
    failpoint::reach("ledger.opened");
    let (lease, writer) = guarded(&config, &ledger, record).await?;
    let folder = ledger.folder().to_owned();
    let mut platform =
        cluster.or_else(|| local(&config, &folder.join("work"), &config.out.join("logs")));
    let observations = platform.as_mut().and_then(|platform| platform.observe());
    let faults = config.plan.faults.len();
    let control = Control::open(&folder)
        .inspect_err(|error| tracing::warn!(%error, "second terminals cannot speak to this run"))
        .ok();
    let conductor = Conductor {
        state: State::new(&config.plan.faults),
        fault_clock: Arc::new(FaultClock::new(faults)),
        searching: super::search::Searching::Ahead,
        recovered: vec![false; faults],
        plan: config.plan,
        run: config.run,
        address,
        found,
        zero_ns,
        load_start_ns: None,
        workers: config.workers,
        audience: Some(audience),
        writer,
        ledger: LedgerHandle::new(ledger),
        folder,
        out: config.out,
        lease,
        lease_lost: false,
        beat: ticking(lease::BEAT),
        stops,
        interrupts: 0,
        control,
        sample: ticking(super::SAMPLE),
        hold: config.hold,
        stopping: CancellationToken::new(),
        platform: platform.map(Arc::from),
        observations,
        engine: None,
        queue: Queue::default(),
        ending: false,
        active: Vec::new(),
        undoing: FuturesUnordered::new(),
        still_hurt: Vec::new(),
        next_undo: 1,
        stage: None,
        panics: 0,
        untold: Vec::new(),
    };
    Ok(Box::pin(conductor.play_and_finish()).await)
}

/// Where shoppers send their requests, if the target runs already. Blocks while its name is resolved.
fn running(plan: &Plan) -> Result<(String, Option<Address>), RunError> {
    let Target::Url(running) = &plan.target else {
        return Ok((String::new(), None));
    };
    let found = Address::resolve(&running.url).map_err(|error| match error {
        AddressError::Resolve { address, source } => RunError::Address { address, source },
        other @ AddressError::NotAnAddress { .. } => RunError::Target(other.into()),
    })?;
    chaos_load::look(plan, &found)?;
    Ok((running.url.clone(), Some(found)))
}

fn own_process() -> Result<ProcessId, RunError> {
    ProcessId::of(std::process::id()).map_err(|source| RunError::Io {
        act: "read",
        path: PathBuf::from("/proc/self/stat"),
        source,
    })
}

/// Makes the ledger, unless an earlier run is unfinished; nobody else begins meanwhile.
async fn new_ledger(root: &Path, opened: Opened) -> Result<Ledger, RunError> {
    let held = RootLock::take(root).await?;
    if let Some(Unfinished { run, guardian }) = recover::unfinished(&held)?.into_iter().next() {
        return Err(if guardian {
            RunError::BeingCleaned { run }
        } else {
            RunError::Unfinished { run }
        });
    }
    Ok(Ledger::create(&held, opened)?)
}

/// Starts the guardian, then makes folders and record; if that fails, nothing of it stays.
async fn guarded(
    config: &RunConfig,
    ledger: &Ledger,
    record: Record,
) -> Result<(Lease, Writer), RunError> {
    let is_new = !config.out.exists();
    let error = match Lease::start(&config.chaos, ledger) {
        Err(error) => error.into(),
        Ok(lease) => {
            failpoint::reach("guardian.started");
            match outputs(config, ledger.folder(), record) {
                Ok(writer) => return Ok((lease, writer)),
                Err(error) => {
                    lease.finish().await;
                    error
                }
            }
        }
    };
    if is_new {
        // What stands in the way of an output folder may stand in the way of its removal too.
        drop(std::fs::remove_dir_all(&config.out));
    }
    let root = ledger.folder().parent().unwrap_or(ledger.folder());
    ledger.remove(&RootLock::take(root).await?)?;
    Err(error)
}

fn outputs(config: &RunConfig, folder: &Path, record: Record) -> Result<Writer, RunError> {
    let io = |act: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| RunError::Io { act, path, source }
    };
    state_folder::make_private(&folder.join("work"))?;
    let logs = config.out.join("logs");
    std::fs::create_dir_all(&logs).map_err(io("make", &logs))?;
    let path = config.out.join("record.jsonl");
    Writer::create(&path, record).map_err(io("write", &path))
}

fn header(config: &RunConfig) -> Header {
    Header {
        version: VERSION,
        run: config.run.clone(),
        // Set at time zero.
        started: String::new(),
        chaos: config.version.clone(),
        command: config.command.clone(),
        host: config.host.clone(),
        plan: Plan::clone(&config.plan),
        // Set at time zero too: where it is kept is known then.
        calibration: None,
    }
}

/// The cluster of a plan for Kubernetes. What is wrong with it is noticed here, where nothing was
/// touched yet.
async fn cluster(config: &RunConfig) -> Result<Option<Box<dyn Platform>>, RunError> {
    let is_deployed = matches!(config.plan.target, Target::Deploy(_));
    if config.plan.platform != PlatformName::Kubernetes || !is_deployed {
        return Ok(None);
    }
    let cluster = config.cluster.clone().ok_or(RunError::NoCluster)?;
    let kubernetes = KubernetesConfig {
        plan: Arc::clone(&config.plan),
        run: config.run.clone(),
        chosen: cluster.chosen,
        manifests: cluster.manifests,
        // Who only holds a target breaks nothing.
        janitor: cluster.janitor.filter(|_| !config.hold),
    };
    let platform = Box::pin(KubernetesPlatform::connect(kubernetes)).await?;
    Ok(Some(Box::new(platform)))
}

fn local(config: &RunConfig, work: &Path, logs: &Path) -> Option<Box<dyn Platform>> {
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

//! `chaos run`: a scenario from text to verdict.

use std::path::Path;
use std::sync::Arc;

use chaos_record::line::Host;
use chaos_run::conductor::{self, RunConfig, RunError};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::cli::RunArgs;
use crate::output::{Failure, Output};
use crate::outputs::{Judged, read_record};
use crate::progress::Progress;

pub(super) fn run(args: &RunArgs, output: &Output) -> Result<u8, Failure> {
    let plan = Arc::new(super::plan_of(&args.scenario, output)?);
    let config = config(args, Arc::clone(&plan))?;
    let out = config.out.clone();
    let mut progress = Progress::new(output.clone(), plan, args.json);
    progress.opening(&config.run);
    // One thread: the processes of the target die with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment(format!("start a runtime: {error}")))?;
    let ran = runtime.block_on(Box::pin(conductor::run(config, &mut progress)));
    progress.close();
    // The record in memory is what was written; what is judged is what is on disk.
    drop(ran.map_err(|error| failure(&error))?);
    let judged = Judged::new(read_record(&out.join("record.jsonl"))?);
    let report = judged.write(&out)?;
    if args.json {
        output.give(&judged.result_json());
    }
    output.say(&judged.closing(output.color, &report));
    Ok(judged.verdict.exit.code)
}

fn failure(error: &RunError) -> Failure {
    Failure::environment(error)
}

fn config(args: &RunArgs, plan: Arc<chaos_plan::Plan>) -> Result<RunConfig, Failure> {
    let run = run_name(&plan.name)?;
    let chaos = std::env::current_exe()
        .map_err(|error| Failure::environment(format!("find our own program: {error}")))?;
    let out = std::path::absolute(args.out.join(&run))
        .map_err(|error| Failure::environment(format!("find `{}`: {error}", args.out.display())))?;
    Ok(RunConfig {
        plan,
        run,
        out,
        chaos,
        workers: chaos_load::default_workers(),
        version: version(),
        command: std::env::args().collect(),
        host: host(),
    })
}

/// `<time>-<name>-<id>`: sorts by time, says what it was, never the same twice.
fn run_name(scenario: &str) -> Result<String, Failure> {
    let mut id = [0; 3];
    getrandom(&mut id, GetRandomFlags::empty())
        .map_err(|error| Failure::environment(format!("draw a name for the run: {error}")))?;
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    Ok(format!(
        "{time}-{scenario}-{:02x}{:02x}{:02x}",
        id[0], id[1], id[2]
    ))
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn host() -> Host {
    let system = rustix::system::uname();
    let memory = std::fs::read_to_string(Path::new("/proc/meminfo")).unwrap_or_default();
    let total_kib: u64 = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    Host {
        kernel: format!(
            "{} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy()
        ),
        cpus: std::thread::available_parallelism()
            .map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_mib: total_kib / 1024,
    }
}

//! `chaos run`: a scenario from text to verdict.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chaos_record::event::{Event, Stamped};
use chaos_record::exit::{self, ExitCode};
use chaos_record::line::Host;
use chaos_record::record::Record;
use chaos_run::conductor::{self, Finished, RunConfig};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::cli::RunArgs;
use crate::output::{Failure, Output};
use crate::outputs::{Judged, read_record};
use crate::progress::Progress;

/// Longest wait at the end for work that was given up.
const HANGING_LIMIT: Duration = Duration::from_secs(1);

pub(super) fn run(args: &RunArgs, output: &Output) -> Result<u8, Failure> {
    let plan = Arc::new(super::plan_of(&args.scenario, output)?);
    let cluster = super::cluster::of(&plan, &args.cluster)?;
    let mut config = config(&args.out, run_name(&plan.name)?, Arc::clone(&plan))?;
    config.cluster = cluster;
    let out = config.out.clone();
    let mut progress = Progress::new(output.clone(), plan, args.json);
    progress.opening(&config.run);
    super::cluster::tell(config.cluster.as_ref(), output);
    super::cluster::tell_of_janitor(&config.plan, config.cluster.as_ref(), output);
    // One thread: the processes of the target die with the thread that started them.
    let runtime = super::runtime()?;
    let ran = runtime.block_on(Box::pin(conductor::run(config, &mut progress)));
    progress.close();
    // Whatever still hangs in the file system is not waited for.
    runtime.shutdown_timeout(HANGING_LIMIT);
    let finished = ran.map_err(Failure::environment)?;
    let judged = Judged::new(evidence(&out, finished, output));
    Ok(conclude(&judged, &out, args.json, output))
}

/// What is judged: the record as it is on disk; where that is not whole, as it is in memory.
fn evidence(out: &Path, finished: Finished, output: &Output) -> Record {
    let Finished {
        record: in_memory,
        unwritten,
        left,
    } = finished;
    let path = out.join("record.jsonl");
    let on_disk = match unwritten {
        Some(why) => Err(why),
        None => whole(&path),
    };
    let mut record = on_disk.unwrap_or_else(|why| {
        output.say(&format!(
            "warning: {why}; judged is what is in memory, `{}` does not hold all of it",
            path.display()
        ));
        in_memory
    });
    if !left.is_empty() {
        let at = record.end.as_ref().map_or(0, |end| end.at);
        record.events.push(Stamped {
            at,
            what: Event::CleanedUp {
                verified: false,
                left,
            },
        });
    }
    record
}

fn whole(path: &Path) -> Result<Record, String> {
    let record = read_record(path).map_err(|failure| failure.text)?;
    if record.end.is_some() && record.damaged_at_line.is_none() {
        Ok(record)
    } else {
        Err("the record that was written is not whole".to_owned())
    }
}

/// Writes the outputs and says the verdict; the gravest exit code wins.
fn conclude(judged: &Judged, out: &Path, json: bool, output: &Output) -> u8 {
    let mut code = judged.verdict.exit.code;
    let report = judged.write(out).unwrap_or_else(|failure| {
        output.failure(&failure);
        code = graver(code, failure.code);
        PathBuf::from("not written")
    });
    if json {
        output.settle();
        output.give(&judged.result_line());
    }
    output.say(&judged.closing(output.color, &report));
    tell_ci(judged, output);
    code
}

/// On GitHub: annotations on the scenario's lines, and the job's summary.
fn tell_ci(judged: &Judged, output: &Output) {
    if !output.actions {
        return;
    }
    for annotation in judged.annotations() {
        output.command(&annotation);
    }
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return;
    };
    let file = File::options().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(judged.summary().as_bytes()));
    if let Err(error) = written {
        output.say(&format!(
            "warning: the job's summary was not written to {}: {error}",
            Path::new(&path).display()
        ));
    }
}

pub(super) fn graver(code: u8, other: ExitCode) -> u8 {
    let codes = exit::by_code(code).into_iter().chain([other]);
    exit::decide(codes.map(|code| (code, String::new())).collect()).code
}

/// What a run of this plan needs, with its own folder under `out`.
pub(super) fn config(
    out: &Path,
    run: String,
    plan: Arc<chaos_plan::Plan>,
) -> Result<RunConfig, Failure> {
    let chaos = std::env::current_exe()
        .map_err(|error| Failure::environment(format!("find our own program: {error}")))?;
    let out = std::path::absolute(out.join(&run))
        .map_err(|error| Failure::environment(format!("find `{}`: {error}", out.display())))?;
    Ok(RunConfig {
        plan,
        run,
        out,
        chaos,
        workers: chaos_load::default_workers(),
        version: version(),
        command: std::env::args().collect(),
        host: host(),
        hold: false,
        cluster: None,
    })
}

/// `<time>-<name>-<id>`: sorts by time, says what it was, never the same twice.
pub(super) fn run_name(scenario: &str) -> Result<String, Failure> {
    let mut id = [0; 3];
    getrandom(&mut id, GetRandomFlags::empty())
        .map_err(|error| Failure::environment(format!("draw a name for the run: {error}")))?;
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    Ok(format!(
        "{time}-{scenario}-{:02x}{:02x}{:02x}",
        id[0], id[1], id[2]
    ))
}

pub(super) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

pub(super) fn host() -> Host {
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

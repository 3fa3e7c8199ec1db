//! `chaos deploy` and `chaos teardown`: a target without load, in the foreground or detached.
//!
//! Invariant: a deployment is a run that only holds: ledger, guardian and control socket are those of
//! any run, so it can be halted, recovered and looked for in the same ways.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos_plan::plan::Target;
use chaos_record::event::{Event, Stamped};
use chaos_record::exit;
use chaos_record::record::Record;
use chaos_run::conductor::{self, Audience, Finished};
use chaos_run::control::{self, Reply, Request};
use chaos_run::ledger::{self, Standing};
use chaos_run::state_folder;

use super::{game_day, run};
use crate::cli::{DeployArgs, TeardownArgs};
use crate::output::{Failure, Output};
use crate::progress::Progress;

/// Longest wait for a detached deployment to be up; each service has its own limit within.
const UP_LIMIT: Duration = Duration::from_mins(10);
/// Longest wait for everything to be gone; a cluster may take three minutes.
const GONE_LIMIT: Duration = Duration::from_mins(4);
/// Between two looks at either.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of its log that are shown when a detached deployment fails.
const LOG_LINES: usize = 12;

pub(super) fn deploy(args: &DeployArgs, output: &Output) -> Result<u8, Failure> {
    let plan = Arc::new(super::plan_of(&args.scenario, output)?);
    if let Target::Url(running) = &plan.target {
        return Err(Failure::new(
            exit::BAD_INPUT,
            format!(
                "error: nothing to deploy: the scenario's target runs already at {}",
                running.url
            ),
        ));
    }
    let cluster = super::cluster::of(&plan, &args.cluster)?;
    if args.detach {
        return detach(args, &plan.name, output);
    }
    if args.run_name.is_some() {
        // Started by `--detach`: the terminal's signals are not for us.
        if let Err(error) = rustix::process::setsid() {
            tracing::debug!(%error, "we lead a session already");
        }
    }
    let name = match &args.run_name {
        Some(name) => name.clone(),
        None => run::run_name(&plan.name)?,
    };
    let mut config = run::config(&args.out, name, Arc::clone(&plan))?;
    config.hold = true;
    super::cluster::tell(cluster.as_ref(), output);
    config.cluster = cluster;
    let mut holding = Holding {
        progress: Progress::new(output.clone(), plan, false),
        output: output.clone(),
    };
    let runtime = super::runtime()?;
    let ran = runtime.block_on(Box::pin(conductor::run(config, &mut holding)));
    holding.progress.close();
    Ok(code(&ran.map_err(Failure::environment)?))
}

/// A deployment has no verdict: it came up and went away clean, or it did not.
fn code(finished: &Finished) -> u8 {
    let events = || finished.record.events.iter().map(|event| &event.what);
    let clean = |event: &Event| matches!(event, Event::CleanedUp { verified: true, .. });
    let failed =
        |event: &Event| matches!(event, Event::EnvironmentFailed { .. } | Event::GuardianLost);
    if !finished.left.is_empty() || !events().any(clean) {
        exit::NOT_CLEAN.code
    } else if events().any(|event| matches!(event, Event::Panicked { .. })) {
        exit::BUG.code
    } else if events().any(failed) {
        exit::ENVIRONMENT.code
    } else {
        exit::HELD.code
    }
}

/// Shows events as a run does, and the address once it is up.
struct Holding {
    progress: Progress,
    output: Output,
}

impl Audience for Holding {
    fn event(&mut self, stamped: &Stamped, record: &Record) {
        self.progress.event(stamped, record);
    }

    fn deployed(&mut self, address: &str) {
        self.output.give(address);
        self.output
            .tell("up; Ctrl-C or `chaos teardown` ends it and removes everything");
    }

    fn look(&mut self, _record: &Record, _load_ns: Option<u64>) {}
}

/// Starts ourselves once more, in the background, and waits until the target is up.
fn detach(args: &DeployArgs, scenario: &str, output: &Output) -> Result<u8, Failure> {
    let root = state_folder::root().map_err(Failure::environment)?;
    let name = run::run_name(scenario)?;
    let log_path = args.out.join(format!("{name}.log"));
    let failed = |act: &str, error: std::io::Error| Failure::environment(format!("{act}: {error}"));
    std::fs::create_dir_all(&args.out)
        .map_err(|error| failed("make the folder for logs", error))?;
    let log = File::create(&log_path).map_err(|error| failed("make the log", error))?;
    let errors = log
        .try_clone()
        .map_err(|error| failed("share the log", error))?;
    let chaos = std::env::current_exe().map_err(|error| failed("find our own program", error))?;
    let child = Command::new(chaos)
        .args(std::env::args_os().skip(1).filter(|arg| arg != "--detach"))
        .args(["--run-name", &name])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| failed("start the deployment", error))?;
    let address = until_up(child, &root, &name, &log_path)?;
    output.give(&address);
    output.tell(&format!(
        "{name} is up; log: {}; `chaos teardown {name}` ends it",
        log_path.display()
    ));
    Ok(exit::HELD.code)
}

fn until_up(mut child: Child, root: &Path, name: &str, log: &Path) -> Result<String, Failure> {
    let deadline = Instant::now() + UP_LIMIT;
    loop {
        if let Ok(Reply::Done { said }) = control::ask(root, name, &Request::About)
            && !said.is_empty()
        {
            return Ok(said);
        }
        let ended = child.try_wait().ok().flatten();
        if ended.is_some() || Instant::now() >= deadline {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            return Err(Failure::environment(format!(
                "get the target up; its log ends with:\n{tail}"
            )));
        }
        pause();
    }
}

pub(super) fn teardown(args: &TeardownArgs, output: &Output) -> Result<u8, Failure> {
    let root = state_folder::root().map_err(Failure::environment)?;
    let run = game_day::choose(&root, args.run.as_deref())?;
    game_day::halt_run(&root, &run, output)?;
    let deadline = Instant::now() + GONE_LIMIT;
    while Instant::now() < deadline {
        match ledger::standing(&root.join(&run)) {
            Ok(Standing::NotThere) => {
                output.tell(&format!("{run}: gone, nothing is left behind"));
                return Ok(exit::HELD.code);
            }
            Ok(Standing::Abandoned) => break,
            Ok(Standing::Alive | Standing::CleanedByGuardian) | Err(_) => pause(),
        }
    }
    Err(Failure::new(
        exit::NOT_CLEAN,
        format!("error: failed to verify that nothing of {run} is left: run `chaos recover {run}`"),
    ))
}

fn pause() {
    #[expect(
        clippy::disallowed_methods,
        reason = "another process is waited for from a plain thread, always with a limit"
    )]
    std::thread::sleep(PAUSE);
}

//! `chaos load`: one request again and again, measured by the engine, record and judge of a run.
//!
//! Invariant: nothing is sent before every flag was found good and the target took a connection; and
//! there is no second way to measure: flags become a plan, the plan a record, the record a verdict.

mod blame;
pub(crate) mod expect;
mod scenario;
mod watch;

use std::fs::{self, File};
use std::path::Path;

use chaos_load::KeptAwake;
use chaos_plan::Plan;
use chaos_record::judge::{judge, unclaimed};
use chaos_record::line::{Header, VERSION};
use chaos_record::record::Record;
use chaos_record::{exit, measured};
use chaos_report::load::{LoadStory, load_json};
use chaos_report::text::{load_closing, load_opening};
use chaos_run::bare::{self, BareConfig};

use self::blame::bad;
use self::scenario::{Checked, checked};
use self::watch::Watch;
use super::run::{graver, host, version};
use crate::cli::load::LoadArgs;
use crate::output::{Failure, Output};

/// Longest body, in bytes: what a template may have.
const BODY_MAX: u64 = 65_536;

pub(super) fn load(args: &LoadArgs, output: &Output) -> Result<u8, Failure> {
    let body = args.body.as_deref().map(body).transpose()?;
    let Checked { plan, notes } = checked(args, body.as_deref())?;
    for note in notes {
        output.tell(&note);
    }
    // Opened before anything is sent, so that a bad path costs no load.
    let log = args.latency_log.as_deref().map(log_file).transpose()?;
    let _awake = args.keep_awake.then(awake).transpose()?;
    let workers = workers(args);
    output.tell(&load_opening(&plan, workers));
    let record = played(plan, workers, output)?;
    let code = concluded(&record, args, output);
    let Some(Err(failure)) = log.map(|(path, file)| write_log(&record, path, &file)) else {
        return Ok(code);
    };
    output.failure(&failure);
    Ok(graver(code, failure.code))
}

/// No more threads than requests at once: one without anything to do would only wait.
fn workers(args: &LoadArgs) -> usize {
    let asked = args
        .threads
        .map_or_else(chaos_load::default_workers, usize::from);
    asked.min(args.connections as usize).max(1)
}

/// `--body TEXT` or `--body @FILE`.
fn body(given: &str) -> Result<String, Failure> {
    let Some(path) = given.strip_prefix('@') else {
        return Ok(given.to_owned());
    };
    let refused = |why: &str, help: &str| bad("--body", &format!("`{path}` {why}"), help);
    let unreadable = |error: std::io::Error| {
        refused(
            &format!("cannot be read: {error}"),
            "check the path; `@` is followed by a file",
        )
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > BODY_MAX {
        return Err(refused(
            &format!("has {size} bytes, a body may have {BODY_MAX}"),
            "send less",
        ));
    }
    String::from_utf8(fs::read(path).map_err(unreadable)?)
        .map_err(|_| refused("is not UTF-8 text", "only text can be sent"))
}

fn awake() -> Result<KeptAwake, Failure> {
    chaos_load::keep_awake().map_err(|error| {
        Failure::environment(format!(
            "keep cores awake: {error}\n  help: it takes root, and most containers may not; without \
             --keep-awake times include how long cores take to wake"
        ))
    })
}

/// Opens the log and leaves what it holds: a load that never begins costs no log of before.
fn log_file(path: &Path) -> Result<(&Path, File), Failure> {
    let mut how = File::options();
    let how = how.write(true).create(true).truncate(false);
    let file = how.open(path).map_err(|error| {
        bad(
            "--latency-log",
            &format!("`{}` cannot be made: {error}", path.display()),
            "name a file in a folder that exists and that you may write to",
        )
    })?;
    Ok((path, file))
}

fn write_log(record: &Record, path: &Path, file: &File) -> Result<(), Failure> {
    // A pipe or a device holds nothing, and cannot be emptied.
    let emptied = file.metadata().and_then(|of| {
        if of.is_file() {
            file.set_len(0)
        } else {
            Ok(())
        }
    });
    let written = emptied.and_then(|()| chaos_record::hlog::write(record, file));
    written.map_err(|error| Failure::environment(format!("write `{}`: {error}", path.display())))
}

fn played(plan: Plan, workers: usize, output: &Output) -> Result<Record, Failure> {
    let mut watch = Watch::new(output.clone(), &plan);
    let config = BareConfig {
        header: Header {
            version: VERSION,
            run: "load".to_owned(),
            // Set when it begins.
            started: String::new(),
            chaos: version(),
            command: std::env::args().collect(),
            host: host(),
            // Set when it begins, too.
            calibration: None,
            plan,
        },
        workers,
    };
    let runtime = super::runtime()?;
    let played = runtime.block_on(Box::pin(bare::play(config, &mut watch)));
    watch.close();
    // A resolver that hangs is not waited for.
    runtime.shutdown_background();
    played.map_err(Failure::environment)
}

/// Judges, says and prints; the code comes back.
fn concluded(record: &Record, args: &LoadArgs, output: &Output) -> u8 {
    let verdict = judge(record);
    let last = record.header.plan.load.stages.len().saturating_sub(1);
    let measured = measured::over(record, &[last]);
    let expects = !args.expect.is_empty();
    let exit = if expects {
        verdict.exit.clone()
    } else {
        unclaimed::exit(&verdict, &measured)
    };
    let story = LoadStory {
        header: &record.header,
        verdict: &verdict,
        measured: &measured,
        expects,
        exit: &exit,
    };
    if args.json {
        output.give(&load_json(&story));
    }
    output.say(load_closing(&story, output.color, output.quiet).trim_end());
    exit::by_code(exit.code).unwrap_or(exit::BUG).code
}

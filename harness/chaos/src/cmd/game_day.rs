//! `chaos note`, `halt` and `go`: a second terminal speaks to a live run.

use std::path::Path;

use chaos_record::event::NoteKind;
use chaos_record::exit;
use chaos_run::control::{self, Reply, Request};
use chaos_run::ledger::{self, Standing};
use chaos_run::state_folder;

use crate::cli::{GoArgs, HaltArgs, Kind, NoteArgs};
use crate::output::{Failure, Output};

/// Longest note in characters.
const NOTE_MAX: usize = 2_000;

pub(super) fn note(args: &NoteArgs, output: &Output) -> Result<u8, Failure> {
    let text = args.text.trim();
    if text.is_empty() || text.chars().count() > NOTE_MAX {
        return Err(Failure::new(
            exit::BAD_INPUT,
            format!("error: a note has 1 to {NOTE_MAX} characters"),
        ));
    }
    let kind = match args.kind {
        Kind::Observation => NoteKind::Observation,
        Kind::Surprise => NoteKind::Surprise,
        Kind::Decision => NoteKind::Decision,
        Kind::Action => NoteKind::Action,
    };
    let request = Request::Note {
        kind,
        text: text.to_owned(),
        by: me(),
    };
    speak(Some(&args.run), &request, output)
}

pub(super) fn halt(args: &HaltArgs, output: &Output) -> Result<u8, Failure> {
    speak(args.run.as_deref(), &Request::Halt { by: me() }, output)
}

pub(super) fn go(args: &GoArgs, output: &Output) -> Result<u8, Failure> {
    let request = Request::Go {
        fault: args.fault.clone(),
        by: me(),
    };
    speak(args.run.as_deref(), &request, output)
}

fn speak(run: Option<&str>, request: &Request, output: &Output) -> Result<u8, Failure> {
    let root = state_folder::root().map_err(Failure::environment)?;
    let run = choose(&root, run)?;
    speak_to(&root, &run, request, output)
}

/// Halts this run.
pub(super) fn halt_run(root: &Path, run: &str, output: &Output) -> Result<u8, Failure> {
    speak_to(root, run, &Request::Halt { by: me() }, output)
}

fn speak_to(root: &Path, run: &str, request: &Request, output: &Output) -> Result<u8, Failure> {
    match control::ask(root, run, request).map_err(Failure::environment)? {
        Reply::Done { said } => {
            output.tell(&format!("{run}: {said}"));
            Ok(exit::HELD.code)
        }
        Reply::Refused { why } => Err(Failure::new(
            exit::BAD_INPUT,
            format!("error: {run} refuses: {why}"),
        )),
    }
}

/// The live run that is meant: by its name or a part of it that only one has; the only one if no
/// name was given or it is `latest` (then the newest).
pub(super) fn choose(root: &Path, asked: Option<&str>) -> Result<String, Failure> {
    let bad = |why: String| Failure::new(exit::BAD_INPUT, format!("error: {why}"));
    let runs = state_folder::runs(root).map_err(Failure::environment)?;
    let alive = |run: &String| matches!(ledger::standing(&root.join(run)), Ok(Standing::Alive));
    let mut live: Vec<String> = runs.into_iter().filter(alive).collect();
    match asked {
        Some("") => return Err(bad("an empty name names no run".to_owned())),
        Some("latest") => live = live.split_off(live.len().saturating_sub(1)),
        Some(part) if live.iter().any(|run| run == part) => return Ok(part.to_owned()),
        Some(part) => live.retain(|run| run.contains(part)),
        None => {}
    }
    match (live.as_slice(), asked) {
        ([run], _) => Ok(run.clone()),
        ([], Some(part)) => Err(bad(format!("no run like `{part}` is alive"))),
        ([], None) => Err(bad("no run is alive".to_owned())),
        (several, _) => Err(bad(format!(
            "which one? alive are {}; give a name, a part of it, or `latest`",
            several.join(", ")
        ))),
    }
}

/// Who speaks, for the record.
fn me() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_live_run_it_says_so() {
        let root = tempfile::tempdir().expect("a folder");
        for asked in [None, Some("latest"), Some("smoke"), Some("")] {
            let failure = choose(root.path(), asked).expect_err("nobody is alive");
            let told = failure.text.contains("alive") || asked == Some("");
            assert!(told, "{}", failure.text);
            assert_eq!(failure.code, exit::BAD_INPUT);
        }
    }
}

//! A facilitator at a second terminal: notes, the word for a fault that waits, and the halt.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::leftovers::assert_clean;
use crate::program::{Ended, Place, eventually, scenario};
use crate::signals::pid;

/// What a fault needs before it in its stage, and a little more.
const REFERENCE: Duration = Duration::from_millis(5_500);

/// A run whose fault waits for the facilitator.
fn awaiting() -> (Place, Child) {
    let place = Place::new();
    let child = place
        .command(&["run", &scenario("key")])
        .spawn()
        .expect("the program starts");
    place.until_record_says("key_awaited");
    (place, child)
}

/// A second terminal: its exit code and what it said.
fn say(place: &Place, args: &[&str]) -> (Option<i32>, String) {
    let output = place.aside(args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

#[track_caller]
fn done(place: &Place, args: &[&str]) {
    let (code, text) = say(place, args);
    assert_eq!(code, Some(0), "{args:?}: {text}");
}

/// The wish is refused as bad input, and changes nothing.
#[track_caller]
fn refused(place: &Place, args: &[&str], why: &str) {
    let (code, text) = say(place, args);
    assert_eq!(code, Some(2), "{args:?}: {text}");
    assert!(text.contains(why), "{args:?}: {text}");
}

fn position(ended: &Ended, is: impl Fn(&Value) -> bool) -> usize {
    let events = ended.events();
    let found = events.iter().position(|event| is(&event["what"]));
    found.unwrap_or_else(|| panic!("not in the record: {events:#?}"))
}

#[test]
fn a_facilitator_steps_a_run_from_a_second_terminal() {
    let (place, child) = awaiting();
    let steady = Instant::now() + REFERENCE;
    done(&place, &["note", "latest", "all screens are green"]);
    done(
        &place,
        &[
            "note",
            "latest",
            "<b>who</b>\n::error::x",
            "--kind",
            "surprise",
        ],
    );
    refused(&place, &["note", "latest", "  "], "1 to 2000 characters");
    refused(
        &place,
        &["go", "--fault", "nobody"],
        "`nobody` does not wait",
    );
    refused(&place, &["note", "another-run", "hello"], "alive");
    eventually("a reference", REFERENCE * 2, || Instant::now() >= steady);
    done(&place, &["go"]);
    place.until_record_says("\"effective\"");
    refused(&place, &["go", "latest"], "no fault waits for a key now");
    done(
        &place,
        &[
            "note",
            &place.run_name(),
            "we stop here",
            "--kind",
            "decision",
        ],
    );
    done(&place, &["halt"]);
    let ended = place.wait(child);
    ended.assert_code(130);
    assert_clean(&place, "a halt");
    assert_eq!(say(&place, &["halt"]).0, Some(2), "nobody is alive");

    let awaited = position(&ended, |what| what["key_awaited"]["fault"] == "pause-one");
    let pressed = position(&ended, |what| what["key_pressed"]["fault"] == "pause-one");
    let effective = position(&ended, |what| {
        what["fault"]["change"]["effective"].is_object()
    });
    let halted = position(&ended, |what| what["halted"].is_object());
    let undone = position(&ended, |what| what["fault"]["change"]["undone"].is_object());
    assert!(awaited < pressed && pressed < effective && effective < halted && halted < undone);
    assert_notes(&ended);
}

fn assert_notes(ended: &Ended) {
    let result = ended.result();
    let notes = result["notes"].as_array().expect("notes");
    let told: Vec<_> = notes
        .iter()
        .map(|note| (note["kind"].as_str(), note["text"].as_str()))
        .collect();
    let expected = [
        (Some("observation"), Some("all screens are green")),
        (Some("surprise"), Some("<b>who</b>\n::error::x")),
        (Some("decision"), Some("we stop here")),
    ];
    assert_eq!(told, expected);
    let out = ended.out.as_ref().expect("a run");
    let html = std::fs::read_to_string(out.join("report.html")).expect("a report");
    for (_, text) in told {
        let first = text.unwrap_or_default().lines().next().unwrap_or_default();
        let shown = first
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('/', "&#x2f;");
        assert!(html.contains(&shown), "no `{shown}` in the report");
    }
    assert!(!html.contains("<b>who"));
}

/// Who speaks while the harness has no descriptor left is heard as soon as it has.
#[test]
fn a_moment_without_descriptors_silences_nobody() {
    let (place, child) = awaiting();
    let harness = pid(&child);
    let limit = |new| prlimit(Some(harness), Resource::Nofile, new).expect("our child");
    let before = limit(Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Nofile)
    });
    let said = std::thread::scope(|scope| {
        let said = scope.spawn(|| say(&place, &["note", "latest", "can you hear me"]));
        let refused = Instant::now() + Duration::from_millis(300);
        eventually("a refusal", REFERENCE, || Instant::now() >= refused);
        limit(before);
        said.join().expect("it ends")
    });
    assert_eq!(said.0, Some(0), "{}", said.1);
    done(&place, &["halt"]);
    place.wait(child).assert_code(130);
    assert_clean(&place, "a moment without descriptors");
}

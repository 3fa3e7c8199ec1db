//! However a run ends, its folder holds a report that says so, and outputs that other programs can read.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use chaos_testkit::server::{Law, Server, Settings, Window};
use rustix::process::Signal;
use serde_json::Value;

use crate::leftovers::{self, assert_clean};
use crate::program::{Ended, Place, measured};
use crate::signals::send;

/// A little load on something that runs already.
pub(crate) struct Small<'a> {
    pub stages: &'a str,
    pub claim: &'a str,
    pub rest: &'a str,
}

impl Small<'_> {
    /// Writes it as `small.yaml`, with its journey.
    pub(crate) fn write(&self, place: &Place, url: &str) {
        let Self {
            stages,
            claim,
            rest,
        } = self;
        let scenario = format!(
            "# Is there a report whatever happens?\nversion: 1\nname: small\ntarget: {{ url: \"{url}\" }}\n\
             load: {{ people: {{ journeys: {{ page: 1 }}, arrivals: even, stages: [{stages}] }} }}\n\
             hypothesis: [{claim}]\n{rest}\n"
        );
        let journey = "# A page.\nversion: 1\nname: page\nsteps: [{ name: page, get: / }]\n";
        std::fs::create_dir_all(place.path().join("journeys")).expect("our folder");
        std::fs::write(place.path().join("journeys/page.yaml"), journey).expect("our folder");
        std::fs::write(place.path().join("small.yaml"), scenario).expect("our folder");
    }
}

const FAST: &str = "{ name: fast, expect: { latency: { p95: 500ms } } }";
const OPEN: &str = "{ name: open, expect: { availability: { min: 90% } } }";
const LONG: &str = "{ name: steady, for: 2min, rate: 50/s }";

/// The whole run of it.
fn ran(server: &Server, small: &Small<'_>) -> (Place, Ended) {
    measured(|| {
        let place = Place::new();
        small.write(&place, &server.url());
        let ended = place.run(&["run", "small.yaml"]);
        (place, ended)
    })
}

/// A long run, once its record says `moment`.
fn running(server: &Server, stages: &str, moment: &str) -> (Place, Child) {
    let place = Place::new();
    let small = Small {
        stages,
        claim: FAST,
        rest: "",
    };
    small.write(&place, &server.url());
    let child = place
        .command(&["run", "small.yaml"])
        .spawn()
        .expect("the program starts");
    place.until_record_says(moment);
    (place, child)
}

fn read(out: &Path, name: &str) -> String {
    std::fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The report opens with `word`, and the other outputs can be read and say the same; the banner comes back.
#[track_caller]
fn assert_reported(ended: &Ended, word: &str, code: i32) -> String {
    let out = ended.out.as_ref().expect("a run");
    let html = read(out, "report.html");
    let (banner, _) = html.split_once("<main>").expect("a page");
    assert!(
        banner.contains(&format!("<title>{word}: small - chaos report</title>")),
        "{banner}"
    );
    assert!(banner.contains(&format!("<span>{word}</span>")), "{banner}");
    assert!(html.trim_end().ends_with("</html>"));
    let result: Value = serde_json::from_str(&read(out, "result.json")).expect("JSON");
    assert_eq!(result["outcome"], word.replace(' ', "-"));
    assert_eq!(result["exit"]["code"], code, "{:#}", result["exit"]);
    let junit = read(out, "junit.xml");
    let junit = roxmltree::Document::parse(&junit).expect("XML");
    let suite = junit
        .descendants()
        .find(|node| node.has_tag_name("testsuite"))
        .expect("a suite");
    let sum = |of: &str| suite.attribute(of).and_then(|sum| sum.parse::<u32>().ok());
    assert!(sum("tests") > Some(0));
    // A case fails exactly if the run did not hold.
    assert_eq!(
        (sum("failures"), sum("errors")) != (Some(0), Some(0)),
        code != 0
    );
    let summary = read(out, "summary.md");
    let (heading, _) = summary.split_once('\n').expect("a heading");
    assert!(
        heading.contains(word) && heading.contains(&format!("exit {code}")),
        "{heading}"
    );
    // Cut out of the page: with the style sheet it is no help in a failed test.
    let (_, banner) = banner.split_once("<body>").expect("a page");
    banner.to_owned()
}

#[test]
fn one_second_of_load_is_enough_for_a_verdict() {
    let server = Server::prompt();
    let (place, ended) = ran(
        &server,
        &Small {
            stages: "{ name: steady, for: 1s, rate: 300/s }",
            claim: FAST,
            rest: "",
        },
    );
    ended.assert_code(0);
    assert_reported(&ended, "held", 0);
    assert_eq!(server.seen() % 300, 0);
    let html = read(ended.out.as_ref().expect("a run"), "report.html");
    let url = server.url();
    let authority = url.trim_start_matches("http://");
    assert!(html.contains(authority), "the target is not named");
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
}

/// So few arrivals that none falls into the run: then nothing is known, and nothing was fine.
#[test]
fn a_run_without_a_request_is_inconclusive() {
    let server = Server::prompt();
    let (_place, ended) = ran(
        &server,
        &Small {
            stages: "{ name: steady, for: 2s, rate: 1/h }",
            claim: OPEN,
            rest: "",
        },
    );
    ended.assert_code(3);
    assert_reported(&ended, "inconclusive", 3);
    assert_eq!(ended.result()["conservation"]["planned_requests"], 0);
    assert_eq!(server.seen(), 0);
}

#[test]
fn an_aborted_run_says_so() {
    let everything = Window {
        from_ns: 0,
        until_ns: u64::MAX,
    };
    let gone = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).refuse(everything));
    let (_place, ended) = ran(
        &gone,
        &Small {
            stages: LONG,
            claim: FAST,
            rest: "safety: { abort_if: { errors: 50%, for: 1s } }",
        },
    );
    ended.assert_code(4);
    assert_reported(&ended, "aborted", 4);
}

#[test]
fn an_interrupted_run_says_so() {
    let server = Server::prompt();
    let (place, child) = running(&server, LONG, "stage_started");
    send(&child, Signal::INT);
    let ended = place.wait(child);
    ended.assert_code(130);
    let banner = assert_reported(&ended, "inconclusive", 130);
    assert!(banner.contains("stopped"), "{banner}");
}

/// Its first arrival would have come after half an hour.
#[test]
fn a_run_interrupted_before_its_first_request_says_so() {
    let server = Server::prompt();
    let stages = "{ name: slow, for: 1h, rate: 1/h }, { name: steady, for: 1min, rate: 50/s }";
    let (place, child) = running(&server, stages, "stage_started");
    send(&child, Signal::INT);
    let ended = place.wait(child);
    ended.assert_code(130);
    assert_reported(&ended, "inconclusive", 130);
    assert_eq!(server.seen(), 0);
}

/// Nobody was left to write a report; the record still tells how far it came.
#[test]
fn a_killed_run_is_reported_as_incomplete() {
    let server = Server::prompt();
    let (place, child) = running(&server, LONG, "{\"delta\"");
    send(&child, Signal::KILL);
    place.wait(child);
    assert_clean(&place, "a kill");
    let out = place.out().expect("a run").display().to_string();
    let ended = place.run(&["report", &out]);
    ended.assert_code(3);
    assert!(ended.stderr.contains("incomplete"), "{}", ended.stderr);
    let banner = assert_reported(&ended, "inconclusive", 3);
    assert!(banner.contains("The record is incomplete"), "{banner}");
    assert!(ended.result()["incomplete_after"].is_u64());
}

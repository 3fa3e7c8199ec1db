//! Whose fault a delay was: a generator that is slowed makes a run inconclusive, in the open and in
//! the closed model; a server that is slow does not, whatever its way of being slow.
//!
//! Each run is repeated `CHAOS_REPEAT` times (2 if unset). A CPU quota needs root: `.ci/check-cpu-quota`.

use std::time::{Duration, Instant};

use chaos_testkit::server::Window;
use chaos_testkit::{Law, Server, Settings, now_ns};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::program::{Ended, PATIENCE, Place, eventually, measured};
use crate::signals::send;

const OPEN: &str = "rate: 80/s";
const CLOSED: &str = "users: 16";

fn repeats() -> u32 {
    let given = std::env::var("CHAOS_REPEAT").ok();
    given.map_or(2, |text| text.parse().expect("CHAOS_REPEAT is a number"))
}

/// A place with a scenario that loads `server` for 5 s.
fn place_for(server: &Server, load: &str) -> Place {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in our folder"))
            .and_then(|()| std::fs::write(path, text))
            .expect("our folder");
    };
    write(
        "journeys/hit.yaml",
        "# One page.\nversion: 1\nname: hit\nsteps:\n  - { name: get, get: / }\n",
    );
    let scenario = format!(
        "# Is it fast?\nversion: 1\nname: fast\ntarget: {{ url: \"{}\" }}\nload:\n  people:\n    journeys: {{ hit: 1 }}\n    arrivals: even\n    timeout: 5s\n    patience: 8s\n    stages:\n      - {{ name: steady, for: 5s, {load} }}\nhypothesis:\n  - {{ name: fast, expect: {{ latency: {{ p95: 200ms }} }} }}\n",
        server.url()
    );
    let scenario = if load == CLOSED {
        scenario.replace("    arrivals: even\n", "")
    } else {
        scenario
    };
    write("fast.yaml", &scenario);
    place
}

/// The harness gets a fifth of its time.
fn stopped_and_continued(load: &str) -> (Place, Ended) {
    let server = Server::prompt();
    let place = place_for(&server, load);
    let mut child = place
        .command(&["run", "fast.yaml"])
        .spawn()
        .expect("the program starts");
    place.until_record_says("load_started");
    let started = Instant::now();
    while child.try_wait().expect("our child").is_none()
        && started.elapsed() < PATIENCE
        && !place.record_says("load_stopped")
    {
        send(&child, Signal::STOP);
        wait(Duration::from_millis(160));
        send(&child, Signal::CONT);
        wait(Duration::from_millis(40));
    }
    let ended = place.wait(child);
    (place, ended)
}

fn wait(time: Duration) {
    let until = Instant::now() + time;
    eventually("time passes", time + Duration::from_secs(5), || {
        Instant::now() >= until
    });
}

fn assert_inconclusive(ended: &Ended) {
    ended.assert_code(3);
    let generator = &ended.result()["generator"];
    assert_eq!(generator["healthy"], false, "{generator:#}");
    let why = generator["complaints"].to_string();
    assert!(why.contains("took the core away"), "{why}");
}

#[test]
fn a_harness_that_is_stopped_again_and_again_is_inconclusive_in_the_open_model() {
    for _ in 0..repeats() {
        let (_place, ended) = stopped_and_continued(OPEN);
        assert_inconclusive(&ended);
    }
}

#[test]
fn a_harness_that_is_stopped_again_and_again_is_inconclusive_in_the_closed_model() {
    for _ in 0..repeats() {
        let (_place, ended) = stopped_and_continued(CLOSED);
        assert_inconclusive(&ended);
    }
}

/// A slow server is found slow: the claim does not hold, and nothing is said against the generator.
fn found_slow(settings: impl Fn() -> Settings, load: &str) {
    for _ in 0..repeats() {
        let (_place, ended) = measured(|| {
            let server = Server::start(settings());
            let place = place_for(&server, load);
            let ended = place.run(&["run", "fast.yaml"]);
            (place, ended)
        });
        ended.assert_code(1);
        let generator = &ended.result()["generator"];
        assert_eq!(generator["healthy"], true, "{generator:#}");
        assert_eq!(generator["complaints"].as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn a_server_that_takes_300_ms_is_slow_and_not_the_generator() {
    let settings = || Settings::new(Law::Fixed(Duration::from_millis(300)));
    found_slow(settings, OPEN);
    found_slow(settings, CLOSED);
}

/// One thread that computes for 20 ms answers 50 requests a second; 80 are due.
#[test]
fn a_saturated_server_is_slow_and_not_the_generator() {
    let settings = || {
        Settings::new(Law::Fixed(Duration::ZERO)).answer(|_, number| {
            compute(Duration::from_millis(20));
            chaos_testkit::server::Reply::json(format!("{{\"n\": {number}}}"))
        })
    };
    found_slow(settings, OPEN);
    found_slow(settings, CLOSED);
}

fn compute(time: Duration) {
    let used =
        || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("time is positive");
    let until = used() + time;
    while used() < until {}
}

/// It answers nothing for 2 s in the middle of the load.
#[test]
fn a_server_that_stops_for_a_while_is_slow_and_not_the_generator() {
    let settings = || {
        // The load begins within a second of this.
        let from_ns = now_ns() + 2_500_000_000;
        Settings::new(Law::Fixed(Duration::from_millis(1))).stall(Window {
            from_ns,
            until_ns: from_ns + 2_000_000_000,
        })
    };
    found_slow(settings, OPEN);
}

//! Load on something that runs already, whose own log says what really happened.

use std::time::Duration;

use chaos_testkit::now_ns;
use chaos_testkit::server::{Law, Server, Settings, Window};
use serde_json::Value;

use crate::leftovers;
use crate::program::{Ended, Place, measured};
use crate::verdicts::assert_sound;

const SECOND_NS: u64 = 1_000_000_000;
/// From starting the program to the middle of its load, whatever the machine does.
const INTO_THE_LOAD_NS: u64 = 10 * SECOND_NS;

/// Sends `rate` journeys a second of `steps` requests each, evenly, to a server for `seconds`.
fn load(server: &Server, (seconds, rate, steps): (u32, u32, u32), claim: &str) -> (Place, Ended) {
    let place = Place::new();
    let url = server.url();
    let step = |number| format!("  - {{ name: s{number}, get: /{number} }}\n");
    let journey: String = (1..=steps).map(step).collect();
    let journey = format!("# A few pages.\nversion: 1\nname: look\nsteps:\n{journey}");
    let scenario = format!(
        "# Is what is measured what happened?\nversion: 1\nname: truth\n\
         target: {{ url: \"{url}\" }}\n\
         load:\n  people:\n    journeys: {{ look: 1 }}\n    arrivals: even\n    timeout: 5s\n    patience: 5s\n\
         \x20   stages:\n      - {{ name: steady, for: {seconds}s, rate: {rate}/s }}\n\
         hypothesis:\n  - {{ name: claim, expect: {{ {claim} }} }}\n"
    );
    std::fs::create_dir(place.path().join("journeys")).expect("our folder");
    std::fs::write(place.path().join("journeys/look.yaml"), journey).expect("our folder");
    std::fs::write(place.path().join("truth.yaml"), scenario).expect("our folder");
    let ended = place.run(&["run", "truth.yaml"]);
    (place, ended)
}

fn window(seconds: u64) -> Window {
    let from_ns = now_ns() + INTO_THE_LOAD_NS;
    Window {
        from_ns,
        until_ns: from_ns + seconds * SECOND_NS,
    }
}

fn milliseconds(ns: &Value) -> f64 {
    ns.as_f64().unwrap_or_else(|| panic!("not finite: {ns}")) / 1e6
}

/// How long after the stall the server had caught up: as many requests answered as were due by then,
/// but for those of one journey.
fn drain_ms(server: &Server, stall: Window, (rate, steps): (u64, u64)) -> f64 {
    let mut log = server.log();
    log.sort_by_key(|served| served.answered_ns);
    let arrivals = log.iter().map(|served| served.arrived_ns);
    let start_ns = arrivals.min().expect("there was load");
    let due_at = |now_ns: u64| (now_ns - start_ns) * rate / SECOND_NS * steps;
    let caught_up = log.iter().zip(1..).find(|(served, answered)| {
        served.answered_ns > stall.until_ns && *answered >= due_at(served.answered_ns)
    });
    let (last, _) = caught_up.expect("the load goes on long after the stall");
    (last.answered_ns - stall.until_ns) as f64 / 1e6
}

/// 2 s of 30 s are 6.67 % of the arrivals, whose responses are even between 0 and 2 s: 5 % exceed
/// 0.50 s and 1 % exceed 1.70 s.
fn assert_stall(series: &Value, drain_ms: f64) {
    for (name, expected) in [("p95", 500.0), ("p99", 1_700.0)] {
        let told = milliseconds(&series[name]);
        let most = expected * 1.03 + drain_ms;
        assert!(
            (expected * 0.97..=most).contains(&told),
            "{name} {told} ms, at most {most} ms"
        );
    }
}

/// Load of journeys with so many steps on a server that stands still for 2 s of it.
fn stalled(steps: u32) -> ((Server, Window, Place), Ended) {
    measured(|| {
        let stall = window(2);
        let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).stall(stall));
        let (place, ended) = load(&server, (30, 200, steps), "latency: { p95: 200ms }");
        ((server, stall, place), ended)
    })
}

#[test]
fn a_stalled_server_is_felt_by_everyone_who_came() {
    let ((server, stall, _place), ended) = stalled(1);
    ended.assert_code(1);
    assert_sound(&ended);
    assert_stall(
        &ended.result()["series"][1],
        drain_ms(&server, stall, (200, 1)),
    );
    let written = &ended.result()["conservation"]["requests"]["written"];
    assert_eq!(*written, server.seen());
}

#[test]
fn a_stall_is_felt_by_the_whole_journey_whichever_step_it_hits() {
    let ((server, stall, _place), ended) = stalled(5);
    ended.assert_code(1);
    assert_sound(&ended);
    let journey = &ended.result()["series"][0];
    assert!(journey["step"].is_null(), "{journey}");
    assert_stall(journey, drain_ms(&server, stall, (200, 5)));
}

/// A sixth of the time nobody listens: the claim is missed, and no failure counts as a fast answer.
#[test]
fn refused_connections_never_improve_a_claim() {
    let (place, ended) = measured(|| {
        let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).refuse(window(5)));
        load(&server, (30, 50, 1), "latency: { p95: 200ms }")
    });
    ended.assert_code(1);
    assert_sound(&ended);
    let series = &ended.result()["series"][1];
    assert!(series["p95"].is_null(), "{series}");
    let refused = series["counts"]["failed"]["connect_refused"]
        .as_u64()
        .expect("some");
    assert!((200..=300).contains(&refused), "{refused} of 250");
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
}

/// Everything fails: the safety limit ends the run long before the load is over.
#[test]
fn a_target_that_only_fails_ends_the_run_by_its_safety_limit() {
    let place = Place::new();
    let gone = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).refuse(Window {
        from_ns: 0,
        until_ns: u64::MAX,
    }));
    let scenario = format!(
        "# Does a run end when nothing works?\nversion: 1\nname: hopeless\ntarget: {{ url: \"{}\" }}\n\
         load: {{ people: {{ journeys: {{ look: 1 }}, stages: [{{ name: steady, for: 2min, rate: 20/s }}] }} }}\n\
         hypothesis: [{{ name: fast, expect: {{ latency: {{ p95: 200ms }} }} }}]\n\
         safety: {{ abort_if: {{ errors: 50%, for: 3s }} }}\n",
        gone.url()
    );
    std::fs::create_dir(place.path().join("journeys")).expect("our folder");
    let journey = "# A page.\nversion: 1\nname: look\nsteps: [{ name: page, get: / }]\n";
    std::fs::write(place.path().join("journeys/look.yaml"), journey).expect("our folder");
    std::fs::write(place.path().join("hopeless.yaml"), scenario).expect("our folder");
    let ended = place.run(&["run", "hopeless.yaml"]);
    ended.assert_code(4);
    assert_sound(&ended);
    assert_eq!(ended.result()["outcome"], "aborted");
}

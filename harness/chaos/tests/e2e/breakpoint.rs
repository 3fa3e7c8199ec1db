//! The search for the highest rate that holds, against a server that serves exactly so many a second.

use std::time::Duration;

use chaos_testkit::server::{Law, Server, Settings};

use crate::leftovers;
use crate::program::{Ended, Place, measured};
use crate::verdicts::assert_sound;

/// Requests a second that the server can serve, one after the other.
const CAPACITY: f64 = 500.0;

fn search(capacity: f64, search: &str, more: &str) -> (Place, Ended) {
    let service = Duration::from_secs_f64(1.0 / capacity);
    let server = Server::start(Settings::new(Law::Queue { service }));
    let place = Place::new();
    let scenario = format!(
        "# How many requests can it take?\nversion: 1\nname: limit\ntarget: {{ url: \"{}\" }}\n\
         load:\n  people:\n    journeys: {{ look: 1 }}\n    arrivals: even\n    timeout: 2s\n    patience: 2s\n\
         \x20   stages:\n      - {{ name: steady, for: 3s, rate: 100/s }}\n      - {{ name: find, search: {{ {search} }} }}\n\
         hypothesis:\n  - {{ name: fast, expect: {{ latency: {{ p95: 200ms }} }} }}\n{more}",
        server.url()
    );
    std::fs::create_dir(place.path().join("journeys")).expect("our folder");
    let journey = "# A page.\nversion: 1\nname: look\nsteps: [{ name: page, get: / }]\n";
    std::fs::write(place.path().join("journeys/look.yaml"), journey).expect("our folder");
    std::fs::write(place.path().join("limit.yaml"), scenario).expect("our folder");
    let ended = place.run(&["run", "limit.yaml"]);
    (place, ended)
}

/// A rate of x % over the capacity makes a queue grow by x % of the step: with 8 s and a limit of 200 ms
/// more than 2.5 % are felt, and the two rates are at most 5 % apart.
#[test]
fn a_known_capacity_is_found_within_five_percent() {
    let (place, ended) = measured(|| {
        search(
            CAPACITY,
            "from: 300/s, to: 1200/s, step: 8s, factor: 2, rest: 1s",
            "  - { name: sale, expect: { capacity: { min: 400/s } } }\n",
        )
    });
    ended.assert_code(0);
    assert_sound(&ended);
    let result = ended.result();
    let capacity = &result["capacity"];
    let holds = capacity["holds"].as_f64().expect("a rate holds");
    let breaks = capacity["breaks"].as_f64().expect("a rate breaks");
    assert!(
        (holds / CAPACITY - 1.0).abs() <= 0.05 && holds < breaks && breaks <= holds * 1.06,
        "{holds} holds and {breaks} breaks of {CAPACITY}: {capacity}"
    );
    assert_eq!(capacity["ended"], "found");
    assert!(ended.stderr.contains("olds up to "), "{}", ended.stderr);
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
}

#[test]
fn a_target_that_breaks_at_once_does_not_hold() {
    let (_place, ended) = measured(|| {
        search(
            120.0,
            "from: 150/s, to: 600/s, step: 4s, factor: 2, rest: 1s",
            "",
        )
    });
    ended.assert_code(1);
    assert_sound(&ended);
    let capacity = &ended.result()["capacity"];
    assert!(capacity["holds"].is_null(), "{capacity}");
    assert_eq!(capacity["ended"], "bottom");
    let sentence = capacity["sentence"].as_str().expect("words");
    assert!(sentence.contains("breaks already at 150/s"), "{sentence}");
}

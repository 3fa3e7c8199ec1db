//! What people do around a run: begin a scenario, look at the machine, ask what a code means, keep a
//! target up, and read annotations in CI.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use chaos_testkit::server::{Law, Server, Settings};

use crate::leftovers::{self, assert_clean};
use crate::outcomes::Small;
use crate::program::{Ended, Place, eventually, measured};
use crate::verdicts::assert_sound;

#[test]
fn what_init_makes_can_be_run_as_it_is() {
    if !crate::your_own::has_python() {
        return;
    }
    let (place, ended) = measured(|| {
        let place = Place::new();
        place.run(&["init", "shop"]).assert_code(0);
        place
            .run(&["validate", "scenarios/shop.yaml"])
            .assert_code(0);
        // Shorter than it is written: the shortest with enough before its fault.
        let ended = place.run(&["run", "scenarios/shop.yaml", "--time-scale", "0.65"]);
        (place, ended)
    });
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{}",
        ended.stderr
    );
    assert_sound(&ended);
    assert!(ended.result()["faults"][0]["effective"].is_u64());
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
    place.run(&["init", "shop"]).assert_code(2);
}

#[test]
fn this_machine_passes_its_own_examination() {
    let place = Place::new();
    let told = place.run(&["doctor"]);
    told.assert_code(0);
    assert!(!told.stdout.contains("FAIL"), "{}", told.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["doctor", "--json"]).stdout).expect("JSON");
    assert!(json.as_array().is_some_and(|all| all.len() >= 8), "{json}");
}

#[test]
fn codes_are_explained() {
    let place = Place::new();
    for (code, says) in [
        ("3", "inconclusive"),
        ("integrity", "exit code 8"),
        ("E101", "not YAML"),
        ("e163", "5 s"),
    ] {
        let ended = place.run(&["explain", code]);
        ended.assert_code(0);
        assert!(ended.stdout.contains(says), "{code}: {}", ended.stdout);
    }
    place.run(&["explain", "E999"]).assert_code(2);
}

/// The first line of the answer to a GET of `path`.
fn status_line(address: &str, path: &str) -> std::io::Result<String> {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn the_proxy_can_be_started_alone() {
    let (place, server) = (Place::new(), Server::prompt());
    let mut proxy = Command::new(crate::program::chaos())
        .args(["proxy", "--listen", "127.0.0.1:0", "--to"])
        .arg(server.url().trim_start_matches("http://"))
        .env("XDG_STATE_HOME", place.state())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut told = String::new();
    let mut log = BufReader::new(proxy.stderr.take().expect("a pipe"));
    log.read_line(&mut told).expect("text");
    let (_, address) = told.trim().split_once("address=").expect("an address");
    let answered = status_line(address, "/");
    proxy.kill().expect("our child");
    proxy.wait().expect("our child");
    assert_eq!(answered.expect("an answer"), "HTTP/1.1 200 OK");
}

#[test]
fn a_target_is_kept_up_and_taken_down() {
    let place = Place::new();
    let up = place.aside(&["deploy", "smoke", "--detach"]);
    let said = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(0), "{said}");
    let address = String::from_utf8_lossy(&up.stdout).trim().to_owned();
    assert_eq!(
        status_line(&address, "/products").expect("it answers"),
        "HTTP/1.1 200 OK"
    );
    let down = place.aside(&["teardown"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert_eq!(down.status.code(), Some(0), "{said}");
    assert_eq!(leftovers::state(&place), Vec::<String>::new());
    assert!(status_line(&address, "/products").is_err());
    assert_clean(&place, "teardown");
    eventually("the supervisor to end", Duration::from_secs(5), || {
        leftovers::supervisors(&place).is_empty()
    });
    assert_eq!(place.aside(&["teardown"]).status.code(), Some(2));
}

/// A claim that is missed, with a name that would like to be a command of the CI.
fn missed_in_ci() -> (Place, Ended) {
    let slow = Server::start(Settings::new(Law::Fixed(Duration::from_millis(30))));
    measured(|| {
        let place = Place::new();
        let small = Small {
            stages: "{ name: steady, for: 1s, rate: 300/s }",
            claim: "{ name: \"::error::x\", expect: { latency: { p95: 10ms } } }",
            rest: "",
        };
        small.write(&place, &slow.url());
        let child = place
            .command(&["run", "small.yaml"])
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", place.path().join("step.md"))
            .spawn()
            .expect("the program starts");
        let ended = place.wait(child);
        (place, ended)
    })
}

#[test]
fn ci_gets_annotations_and_foreign_text_is_none() {
    let (place, ended) = missed_in_ci();
    ended.assert_code(1);
    let text = ended.stdout.clone() + &ended.stderr;
    let commands: Vec<&str> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("::") || line.contains("##["))
        .collect();
    let [command] = commands.as_slice() else {
        panic!("not one annotation: {commands:#?}")
    };
    let place_and_title = "::error file=small.yaml,line=6,title=not held%3A %3A%3Aerror%3A%3Ax::";
    assert!(command.starts_with(place_and_title), "{command}");
    assert!(command.contains("measured"), "{command}");
    let summary = std::fs::read_to_string(place.path().join("step.md")).expect("a summary");
    assert!(summary.contains("not held"), "{summary}");
}

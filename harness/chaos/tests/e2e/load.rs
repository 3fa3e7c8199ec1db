//! `chaos load` against servers whose own log says what really happened.

use std::time::Duration;

use base64::Engine;
use chaos_testkit::server::{Law, Reply, Server, Settings};
use chaos_testkit::{RawServer, raw::Act};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Ended, PATIENCE, Place, eventually, measured};
use crate::signals::send;

fn load(flags: &[&str]) -> Ended {
    load_in(&Place::new(), flags)
}

fn load_in(place: &Place, flags: &[&str]) -> Ended {
    let flags: Vec<&str> = ["load"].iter().chain(flags).copied().collect();
    let ended = place.run(&flags);
    assert!(ended.out.is_none(), "no folder is made");
    ended
}

/// The one document on standard output, which is what its schema says.
fn json(ended: &Ended) -> Value {
    let schema = Place::new().run(&["schema", "load"]).stdout;
    let schema: Value = serde_json::from_str(&schema).expect("a schema");
    let value: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ended.stdout, ended.stderr));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|it| it.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    value
}

fn slow(milliseconds: u64) -> Server {
    Server::start(Settings::new(Law::Fixed(Duration::from_millis(
        milliseconds,
    ))))
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    format!("http://{address}/")
}

#[test]
fn a_number_of_requests_is_sent_exactly_whatever_the_model() {
    for flags in [
        &["-n", "1000", "-c", "7", "-t", "2"][..],
        &["-n", "3", "-c", "7", "-t", "2"],
        &["-n", "500", "-c", "7", "-t", "2", "--warmup", "200ms"],
        &["-n", "600", "-c", "7", "--rate", "1000/s"],
    ] {
        let server = slow(2);
        let url = server.url();
        let all: Vec<&str> = [url.as_str()].iter().chain(flags).copied().collect();
        let ended = load(&[&all[..], &["--json"]].concat());
        ended.assert_code(0);
        let result = json(&ended);
        let asked: u64 = flags[1].parse().expect("a number");
        assert_eq!(result["measured"]["counts"]["ok"], asked, "{flags:?}");
        assert_eq!(result["conservation"]["exact"], true, "{flags:?}");
        let length = result["measured"]["length"].as_u64().expect("a length");
        assert!(length < 5_000_000_000, "{flags:?}: {length} ns, not 24 h");
        if !flags.contains(&"--warmup") {
            assert_eq!(server.seen(), asked, "{flags:?}");
        }
    }
}

#[test]
fn a_warm_up_of_part_of_a_second_is_rounded_up_and_takes_nothing_from_the_numbers() {
    for flags in [
        &["-n", "1000", "-c", "4", "--warmup", "250ms"][..],
        &["-n", "1000", "-c", "4", "--warmup", "500ms"],
        &[
            "--rate",
            "500/s",
            "-d",
            "2s",
            "--warmup",
            "250ms",
            "--expect",
            "rate>=500/s",
        ],
    ] {
        let (_server, ended) = measured(|| {
            let server = Server::prompt();
            let url = server.url();
            let ended = load(&[&[url.as_str(), "--json"], flags].concat());
            (server, ended)
        });
        ended.assert_code(0);
        let result = json(&ended);
        assert_eq!(result["measured"]["counts"]["ok"], 1_000, "{flags:?}");
        assert!(result["measured"]["all"]["p50"].is_u64(), "{result:#}");
        assert!(
            ended.stderr.contains("note: --warmup: ") && ended.stderr.contains("rounded up to 1s"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn cores_are_kept_awake_or_nothing_is_sent() {
    let server = Server::prompt();
    let ended = load(&[&server.url(), "-n", "10", "--keep-awake"]);
    let may = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/cpu_dma_latency");
    if may.is_ok() {
        ended.assert_code(0);
    } else {
        ended.assert_code(5);
        assert!(
            ended.stderr.contains("keep cores awake") && ended.stderr.contains("it takes root"),
            "{}",
            ended.stderr
        );
        assert_eq!(server.seen(), 0);
    }
}

#[test]
fn closed_load_counts_what_the_server_counts_and_ends_with_zero() {
    let server = Server::prompt();
    let place = Place::new();
    let url = format!("{}/items?page=1", server.url());
    let log = place.path().join("run.hlog");
    let log = log.display().to_string();
    let ended = load_in(
        &place,
        &[
            &url,
            "-d",
            "1s",
            "-c",
            "4",
            "-t",
            "1",
            "--json",
            "--latency-log",
            &log,
        ],
    );
    ended.assert_code(0);
    let result = json(&ended);
    assert_eq!(result["measured"]["counts"]["ok"], server.seen());
    assert_eq!(
        (&result["model"], &result["times"]),
        (&"closed".into(), &"service".into())
    );
    assert_eq!(result["measured"]["connections_max"], 4);
    assert_eq!(result["conservation"]["exact"], true);
    assert!(
        server
            .log()
            .iter()
            .all(|served| served.path == "/items?page=1" && served.method == "GET")
    );
    assert_eq!(
        logged(&std::fs::read_to_string(&log).expect("it was written")),
        server.seen()
    );
    assert!(ended.stderr.contains("service time"), "{}", ended.stderr);
}

#[test]
fn a_log_that_cannot_be_written_costs_nothing_but_the_log() {
    let server = Server::prompt();
    let full = ["-n", "10", "--json", "--latency-log", "/dev/full"];
    let ended = load(&[&[server.url().as_str()], &full[..]].concat());
    ended.assert_code(5);
    assert_eq!(json(&ended)["measured"]["counts"]["ok"], 10);
    assert!(
        ended.stderr.contains("failed to write `/dev/full`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_log_of_before_is_replaced_only_by_another() {
    let place = Place::new();
    let log = place.path().join("run.hlog");
    let before = "before\n".repeat(10_000);
    std::fs::write(&log, &before).expect("our folder");
    let path = log.display().to_string();
    let read = || std::fs::read_to_string(&log).expect("it is there");
    load_in(&place, &[&nobody(), "--latency-log", &path]).assert_code(5);
    assert!(read() == before, "the log of before is gone");
    let server = Server::prompt();
    load_in(&place, &[&server.url(), "-n", "10", "--latency-log", &path]).assert_code(0);
    assert_eq!(logged(&read()), 10);
}

/// Answers in an interval log, all requests together.
fn logged(text: &str) -> u64 {
    let mut sum = 0;
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        let LogEntry::Interval(interval) = entry.expect("a line it knows") else {
            continue;
        };
        if interval.tag().is_none() {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(interval.encoded_histogram())
                .expect("base64");
            let part: Histogram<u64> = Deserializer::new()
                .deserialize(&mut bytes.as_slice())
                .expect("a histogram");
            sum += part.len();
        }
    }
    sum
}

#[test]
fn open_load_sends_what_is_due_and_does_not_count_its_warm_up() {
    let (server, ended) = measured(|| {
        let server = Server::prompt();
        let ended = load(&[
            &server.url(),
            "--rate",
            "200/s",
            "-n",
            "200",
            "--warmup",
            "1s",
            "--json",
            "-X",
            "put",
            "-H",
            "X-Tag: {a}",
            "--body",
            "{\"n\": 1}",
            "--expect",
            "p95<=2s",
            "--expect",
            "rate>=190/s",
        ]);
        (server, ended)
    });
    ended.assert_code(0);
    let result = json(&ended);
    assert_eq!(
        (&result["model"], &result["times"]),
        (&"open".into(), &"response".into())
    );
    assert_eq!(
        (
            &result["measured"]["offered"],
            &result["measured"]["counts"]["ok"]
        ),
        (&200.into(), &200.into())
    );
    assert_eq!(server.seen(), 400);
    let served = &server.log()[0];
    assert_eq!(
        (
            served.method.as_str(),
            served.tag.as_deref(),
            served.body.as_slice()
        ),
        ("PUT", Some("{a}"), &b"{\"n\": 1}"[..])
    );
    let statuses = result["expectations"].as_array().expect("a list").iter();
    let statuses: Vec<&Value> = statuses.map(|expectation| &expectation["status"]).collect();
    assert_eq!(statuses, ["held", "held"]);
}

#[test]
fn a_slow_server_breaks_an_expectation() {
    let (_server, ended) = measured(|| {
        let server = slow(60);
        let ended = load(&[
            &server.url(),
            "--rate",
            "200/s",
            "-d",
            "1s",
            "--expect",
            "p95<=20ms",
        ]);
        (server, ended)
    });
    ended.assert_code(1);
    assert!(
        ended.stderr.contains("not held    p95<=20ms: p95 6"),
        "{}",
        ended.stderr
    );
    for word in ["endpoint", "journey", "stage"] {
        assert!(!ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

/// Begun at 0, 300, 600 and 900 ms: what is answered at 1,200 ms is no part of what a second brought.
#[test]
fn what_comes_after_the_end_makes_no_higher_rate() {
    let server = slow(300);
    let url = server.url();
    for length in [&["-d", "1s"][..], &["-d", "700ms", "--warmup", "400ms"]] {
        let flags = [&url, "-c", "4", "--json", "--expect", "rate>=14/s"];
        let ended = load(&[&flags[..], length].concat());
        ended.assert_code(1);
        let rate = json(&ended)["measured"]["good_per_second"].as_f64();
        let rate = rate.expect("a rate");
        assert!((8.0..13.4).contains(&rate), "{rate}");
    }
}

#[test]
fn too_few_requests_decide_nothing() {
    let server = slow(300);
    let ended = load(&[&server.url(), "-c", "1", "-d", "1s", "--expect", "p95<=2s"]);
    ended.assert_code(3);
    assert!(
        ended.stderr.contains("too few requests"),
        "{}",
        ended.stderr
    );
}

#[test]
fn bad_answers_are_answers_unless_something_is_expected() {
    let refuse = || {
        let settings = Settings::new(Law::Fixed(Duration::ZERO)).answer(|_, _| Reply {
            status: 503,
            headers: Vec::new(),
            body: String::new(),
        });
        Server::start(settings)
    };
    let server = refuse();
    let ended = load(&[&server.url(), "-c", "2", "-d", "300ms", "--json"]);
    ended.assert_code(0);
    let result = json(&ended);
    assert_eq!(
        result["measured"]["counts"]["failed"]["status"],
        server.seen()
    );
    assert_eq!(result["measured"]["all"]["p50"], Value::Null);
    assert!(
        ended.stderr.contains("unexpected status"),
        "{}",
        ended.stderr
    );
    let server = refuse();
    let ended = load(&[
        &server.url(),
        "-c",
        "2",
        "-d",
        "1s",
        "--expect",
        "errors<=50%",
    ]);
    ended.assert_code(1);
}

#[test]
fn an_answer_that_is_too_large_is_an_answer() {
    let settings = Settings::new(Law::Fixed(Duration::ZERO)).answer(|_, _| Reply {
        status: 200,
        headers: Vec::new(),
        body: "x".repeat((16 << 20) + 1),
    });
    let server = Server::start(settings);
    let ended = load(&[&server.url(), "-n", "2", "-c", "1"]);
    ended.assert_code(0);
    assert!(
        ended.stderr.contains("answer too large"),
        "{}",
        ended.stderr
    );
}

#[test]
fn nothing_there_is_noticed_at_once() {
    let ended = load(&[&nobody(), "-d", "60s"]);
    ended.assert_code(5);
    assert!(
        ended.stderr.contains("refused") && ended.stderr.contains("is the server running"),
        "{}",
        ended.stderr
    );
    // RFC 6761: this name never has an address.
    let ended = load(&["http://shop.invalid/"]);
    ended.assert_code(5);
    assert!(
        ended
            .stderr
            .contains("find the host of `http://shop.invalid`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_server_that_never_answers_is_no_measurement() {
    let server = RawServer::start(vec![Act::Hang]);
    let ended = load(&[
        &server.url(),
        "-c",
        "2",
        "-d",
        "300ms",
        "--timeout",
        "200ms",
        "--json",
    ]);
    ended.assert_code(5);
    assert!(ended.stderr.contains("no answer from"), "{}", ended.stderr);
    assert_eq!(json(&ended)["exit"]["name"], "environment");
}

/// Sends one signal after the other, each when the program has taken the one before.
fn stopped(server: &Server, flags: &[&str], signals: &[Signal]) -> Ended {
    let place = Place::new();
    let url = server.url();
    let all: Vec<&str> = ["load", &url, "-d", "60s", "--json"]
        .iter()
        .chain(flags)
        .copied()
        .collect();
    let child = place.command(&all).spawn().expect("the program starts");
    eventually("a request", PATIENCE, || server.seen() > 0);
    for signal in signals {
        send(&child, *signal);
        eventually("it is told", PATIENCE, || {
            std::fs::read_to_string(place.path().join("stderr"))
                .is_ok_and(|text| text.contains("stopped by the user"))
        });
    }
    place.wait(child)
}

#[test]
fn ctrl_c_ends_it_and_shows_what_was_seen() {
    let server = Server::prompt();
    let ended = stopped(&server, &["-c", "2"], &[Signal::INT]);
    ended.assert_code(130);
    let result = json(&ended);
    assert_eq!(result["interrupted"], true);
    assert!(
        result["measured"]["counts"]["ok"].as_u64() > Some(0),
        "{result:#}"
    );
    assert_eq!(
        result["conservation"]["exact"], true,
        "{:#}",
        result["conservation"]
    );
    assert!(
        ended.stderr.contains("  stopped     after "),
        "{}",
        ended.stderr
    );
    stopped(&Server::prompt(), &["-c", "2"], &[Signal::TERM]).assert_code(143);
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_answers() {
    let server = slow(3_600_000);
    let ended = stopped(
        &server,
        &["-c", "2", "--timeout", "50s"],
        &[Signal::INT, Signal::INT],
    );
    ended.assert_code(130);
    assert_eq!(json(&ended)["interrupted"], true);
}

#[test]
fn bad_input_is_refused_before_anything_is_sent() {
    let server = Server::prompt();
    let url = server.url();
    let place = Place::new();
    let latin = place.path().join("latin");
    std::fs::write(&latin, b"\xe9").expect("our folder");
    let latin = format!("@{}", latin.display());
    for (flags, says) in [
        (vec![], "<URL>"),
        (vec!["--duration", "0s"], "--duration"),
        (vec!["--duration", "10"], "write `10s`"),
        (vec!["--rate", "500"], "500/s"),
        (vec!["--rate", "0/s"], "--rate"),
        (vec!["-c", "0"], "--connections"),
        (vec!["-n", "0"], "--requests"),
        (vec!["-H", "nonsense"], "--header"),
        (vec!["--insecure"], "--insecure"),
        (vec!["--expect", "p95<=fast"], "--expect"),
        (vec!["--body", "@/no/such/file"], "--body"),
        (vec!["--body", &latin], "UTF-8"),
        (
            vec!["--latency-log", "/no/such/folder/log"],
            "--latency-log",
        ),
    ] {
        let address = (!flags.is_empty()).then_some(url.as_str());
        let all: Vec<&str> = address.into_iter().chain(flags.iter().copied()).collect();
        let ended = load(&all);
        ended.assert_code(2);
        assert!(ended.stderr.contains(says), "{flags:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{flags:?}");
    }
    assert_eq!(server.seen(), 0);
}

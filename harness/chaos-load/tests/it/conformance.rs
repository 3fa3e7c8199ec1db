//! HTTP/1.1 as RFC 9112 has it, against scripted bytes: what is an answer, where it ends, and
//! whether its connection carries the next request.

use std::time::Duration;

use chaos_plan::plan::{Check, Extract, Method, Must, StatusRange, Step};
use chaos_record::outcome::FailKind;
use chaos_testkit::plan::{PlanBuilder, get, template};
use chaos_testkit::raw::Act;
use chaos_testkit::{RawServer, Server};

use crate::ran::{Ran, assert_all_failed, play};

/// One user asks ten times, one after the other, whatever the machine is busy with.
async fn ten(step: Step, url: &str) -> Ran {
    let plan = PlanBuilder::new()
        .timeout_ms(5_000)
        .patience_ms(10_000)
        .users("s", 0.3, 1)
        .cycle_ms(30)
        .journey("j", 1.0, vec![step])
        .build();
    let ran = play(plan, url, 1).await;
    ran.assert_conserved();
    assert!(
        (9..=11).contains(&ran.requests().total()),
        "{:?}",
        ran.requests()
    );
    ran
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The connection carries the next request too.
    Kept,
    /// Each request needs a connection of its own.
    Closed,
}

async fn check_step(step: Step, script: Vec<Act>, after: After) {
    let server = RawServer::start(script.clone());
    let ran = ten(step, &server.url()).await;
    let requests = ran.requests();
    assert_eq!(requests.ok, requests.total(), "{script:?}: {requests:?}");
    let connections = match after {
        After::Kept => 1,
        After::Closed => requests.total(),
    };
    assert_eq!(ran.reports[0].connections_opened, connections, "{script:?}");
}

async fn check(answer: &str, after: After) {
    check_step(get("g", "/g"), vec![Act::text(answer)], after).await;
}

async fn refused(answer: &str, kind: FailKind) {
    let server = RawServer::start(vec![Act::text(answer), Act::Hang]);
    let ran = ten(get("g", "/g"), &server.url()).await;
    assert_all_failed(&ran.requests(), kind);
}

/// Expects the JSON body `{"n": 7}`.
fn reading_seven() -> Step {
    let mut step = get("g", "/g");
    step.checks.push(Check {
        of: Extract::Json("/n".to_owned()),
        must: Must::Equal("7".to_owned()),
    });
    step
}

#[tokio::test]
async fn a_length_ends_the_body_and_keeps_the_connection() {
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        After::Kept,
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        After::Kept,
    )
    .await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", After::Kept).await;
}

#[tokio::test]
async fn chunks_are_put_together() {
    let start = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let plain = format!("{start}3\r\n{{\"n\r\n5;x=y\r\n\": 7}}\r\n0\r\n\r\n");
    check_step(reading_seven(), vec![Act::text(&plain)], After::Kept).await;
    let trailers = format!("{start}008\r\n{{\"n\": 7}}\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n");
    check_step(reading_seven(), vec![Act::text(&trailers)], After::Kept).await;
    // Bytes that come one at a time are put together as well.
    let acts = plain.bytes().map(|byte| Act::Write(vec![byte])).collect();
    check_step(reading_seven(), acts, After::Kept).await;
}

#[tokio::test]
async fn heads_before_the_answer_are_passed_over() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"n\": 7}";
    let at_once = format!("HTTP/1.1 100 Continue\r\n\r\n{answer}");
    check_step(reading_seven(), vec![Act::text(&at_once)], After::Kept).await;
    let apart = vec![
        Act::text("HTTP/1.1 100 Continue\r\n\r\n"),
        Act::text("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
        Act::text(answer),
    ];
    check_step(reading_seven(), apart, After::Kept).await;
}

#[tokio::test]
async fn answers_that_have_no_body_end_with_their_head() {
    check("HTTP/1.1 204 No Content\r\n\r\n", After::Kept).await;
    check(
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        After::Kept,
    )
    .await;
    let head = Step {
        method: Method::Head,
        ..get("g", "/g")
    };
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n";
    check_step(head.clone(), vec![Act::text(long)], After::Kept).await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    check_step(head, vec![Act::text(chunked)], After::Kept).await;
}

#[tokio::test]
async fn a_connection_is_kept_as_both_sides_say() {
    let body = "content-length: 2\r\n\r\nok";
    check(
        &format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{body}"),
        After::Closed,
    )
    .await;
    check(&format!("HTTP/1.0 200 OK\r\n{body}"), After::Closed).await;
    check(
        &format!("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n{body}"),
        After::Kept,
    )
    .await;
    // Whoever asks for the end of the connection does not use it again.
    let mut step = get("g", "/g");
    step.headers
        .push(("connection".to_owned(), template("close")));
    let answer = format!("HTTP/1.1 200 OK\r\n{body}");
    check_step(step, vec![Act::text(&answer)], After::Closed).await;
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    for version in ["1.0", "1.1"] {
        let answer = format!("HTTP/{version} 200 OK\r\n\r\n{{\"n\": 7}}");
        let script = vec![Act::text(&answer), Act::Close];
        check_step(reading_seven(), script, After::Closed).await;
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_never_taken_for_the_next() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"n\": 7}";
    let other = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"n\": 8}";
    let both = vec![Act::Write([answer, other].concat().into_bytes())];
    check_step(reading_seven(), both, After::Closed).await;
    check("HTTP/1.1 204 No Content\r\n\r\nbody", After::Closed).await;
    // Two framings: read as chunked, and nothing behind it is trusted.
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    check(two, After::Closed).await;
}

#[tokio::test]
async fn heads_are_read_up_to_their_limits() {
    let lines = |count: usize, length: usize| {
        let line = format!("x-filler: {}\r\n", "x".repeat(length));
        format!(
            "HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n",
            line.repeat(count)
        )
    };
    check(&lines(99, 10), After::Kept).await;
    check(&lines(99, 2_000), After::Kept).await;
    refused(&lines(100, 10), FailKind::TooLarge).await;
    refused(&lines(99, 3_000), FailKind::TooLarge).await;
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_refused() {
    for length in [
        "2\r\ncontent-length: 3",
        "2, 3",
        "-2",
        "0x2",
        "",
        "99999999999999999999",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nok");
        refused(&answer, FailKind::Protocol).await;
    }
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let server = Server::prompt();
    let body = "0123456789abcdef".repeat(1 << 17);
    let step = Step {
        method: Method::Post,
        body: Some(template(&body)),
        ..get("g", "/g")
    };
    let ran = ten(step, &server.url()).await;
    assert_eq!(ran.requests().ok, ran.requests().total());
    let log = server.log();
    assert_eq!(log.len() as u64, ran.requests().total());
    assert!(log.iter().all(|served| served.body == body.as_bytes()));
}

#[tokio::test]
async fn an_answer_counts_even_if_the_server_never_read_the_body() {
    let step = Step {
        method: Method::Post,
        body: Some(template(&"x".repeat(16 << 20))),
        statuses: vec![StatusRange { from: 413, to: 413 }],
        ..get("g", "/g")
    };
    let answer = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
    let server = RawServer::start(vec![Act::text(answer), Act::Pause(Duration::from_hours(1))]);
    let ran = ten(step, &server.url()).await;
    let requests = ran.requests();
    assert_eq!(
        (requests.ok, requests.written),
        (requests.total(), requests.total()),
        "{requests:?}"
    );
    assert_eq!(ran.reports[0].connections_opened, requests.total());
}

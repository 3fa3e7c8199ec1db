//! Each way an answer can be missing is counted under its own kind, within its limit.

use std::time::Duration;

use chaos_plan::plan::{Check, Extract, Must, Step};
use chaos_record::outcome::{Counts, FailKind};
use chaos_testkit::plan::{PlanBuilder, get};
use chaos_testkit::raw::Act;
use chaos_testkit::server::Reply;
use chaos_testkit::{Law, RawServer, Server, Settings};

use crate::ran::{Ran, assert_all_failed, play};

/// Ten requests in half a second, with 300 ms for each.
async fn ten(step: Step, url: &str) -> Ran {
    let plan = PlanBuilder::new()
        .timeout_ms(300)
        .patience_ms(1_000)
        .stage("s", 0.5, 20.0)
        .journey("j", 1.0, vec![step])
        .build();
    let ran = play(plan, url, 1).await;
    ran.assert_conserved();
    ran
}

async fn check(script: Vec<Act>, kind: FailKind) -> Counts {
    let server = RawServer::start(script);
    let counts = ten(get("g", "/g"), &server.url()).await.step(0, 0);
    assert_all_failed(&counts, kind);
    assert_eq!(counts.written, 10);
    counts
}

fn reading_the_body() -> Step {
    let mut step = get("g", "/g");
    step.checks.push(Check {
        of: Extract::Json("/n".to_owned()),
        must: Must::Exist,
    });
    step
}

#[tokio::test]
async fn no_answer_is_a_timeout() {
    check(vec![Act::Hang], FailKind::Timeout).await;
}

#[tokio::test]
async fn a_body_that_never_ends_in_time_is_a_timeout() {
    check(
        vec![
            Act::text("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx"),
            Act::Hang,
        ],
        FailKind::Timeout,
    )
    .await;
}

#[tokio::test]
async fn a_slow_body_that_ends_in_time_is_an_answer_up_to_its_last_byte() {
    let script = vec![
        Act::text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na"),
        Act::Pause(Duration::from_millis(100)),
        Act::text("b"),
    ];
    let server = RawServer::start(script);
    let ran = ten(get("g", "/g"), &server.url()).await;
    assert_eq!(ran.step(0, 0).ok, 10);
    assert!(ran.response_ms(0.0, |series| series == 1) >= 100.0);
    let clocks = &ran.windows.clocks[&0];
    assert!(
        clocks.service.min() >= 99_900 && clocks.first_byte.len() == 10,
        "{}",
        clocks.service.min()
    );
    assert!(clocks.first_byte.value_at_quantile(0.5) < clocks.service.value_at_quantile(0.5));
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_a_reset() {
    check(vec![Act::Close], FailKind::Reset).await;
    check(
        vec![Act::text("HTTP/1.1 200 OK\r\ncontent-le"), Act::Close],
        FailKind::Reset,
    )
    .await;
    check(
        vec![
            Act::text("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"),
            Act::Close,
        ],
        FailKind::Reset,
    )
    .await;
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_failure() {
    check(
        vec![Act::text("SSH-2.0-OpenSSH_9.6\r\n\r\n"), Act::Close],
        FailKind::Protocol,
    )
    .await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    check(vec![Act::text(chunked), Act::Hang], FailKind::Protocol).await;
    // A head without end, far beyond any limit.
    let filler = b"x-filler: 0123456789012345678901234567890123456789\r\n".repeat(12_000);
    check(
        vec![
            Act::text("HTTP/1.1 200 OK\r\n"),
            Act::Write(filler),
            Act::Hang,
        ],
        FailKind::TooLarge,
    )
    .await;
}

#[tokio::test]
async fn a_body_without_end_is_given_up() {
    let endless = |step: Step| async {
        let head = Act::text("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
        let server = RawServer::start(vec![head, Act::WriteForEver(vec![b' '; 1 << 16])]);
        // Room in time to read what the limit allows, even on a busy machine.
        let plan = PlanBuilder::new()
            .timeout_ms(10_000)
            .patience_ms(10_000)
            .stage("s", 0.5, 4.0)
            .journey("j", 1.0, vec![step])
            .build();
        let ran = play(plan, &server.url(), 1).await;
        ran.assert_conserved();
        assert_all_failed(&ran.step(0, 0), FailKind::TooLarge);
    };
    endless(get("g", "/g")).await;
    endless(reading_the_body()).await;
}

#[tokio::test]
async fn a_body_is_kept_up_to_its_limit_and_drained_beyond_it() {
    let body = format!("{{\"n\": 1, \"filler\": \"{}\"}}", "x".repeat(1 << 20));
    let server = Server::start(
        Settings::new(Law::Fixed(Duration::ZERO)).answer(move |_, _| Reply::json(body.clone())),
    );
    assert_all_failed(
        &ten(reading_the_body(), &server.url()).await.step(0, 0),
        FailKind::TooLarge,
    );
    assert_eq!(ten(get("g", "/g"), &server.url()).await.step(0, 0).ok, 10);
}

#[tokio::test]
async fn patience_that_ends_first_sheds_the_request() {
    let server = RawServer::start(vec![Act::Hang]);
    let steps = vec![get("a", "/a"), get("b", "/b")];
    let plan = PlanBuilder::new()
        .timeout_ms(2_000)
        .patience_ms(100)
        .stage("s", 0.5, 20.0)
        .journey("j", 1.0, steps)
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    assert_eq!(
        (
            ran.journey(0).shed,
            ran.step(0, 0).shed,
            ran.step(0, 0).written
        ),
        (10, 10, 10)
    );
    assert_eq!(ran.step(0, 1).not_reached, 10);
}

#[tokio::test]
async fn a_port_nobody_listens_on_refuses_each_request_once() {
    let url = Server::prompt().url();
    let ran = ten(get("g", "/g"), &url).await;
    assert_all_failed(&ran.step(0, 0), FailKind::ConnectRefused);
    assert_eq!(
        (ran.step(0, 0).written, ran.reports[0].connections_opened),
        (0, 0)
    );
    assert_eq!(ran.windows.clocks[&0].lag.len(), 10);
}

#[tokio::test]
async fn a_connection_the_server_closes_after_each_answer_is_no_failure() {
    let announced = Settings::new(Law::Fixed(Duration::ZERO)).answer(|_, _| Reply {
        headers: vec![("connection".to_owned(), "close".to_owned())],
        ..Reply::json("{}")
    });
    let server = Server::start(announced);
    let ran = ten(get("g", "/g"), &server.url()).await;
    assert_eq!(
        (ran.step(0, 0).ok, ran.reports[0].connections_opened),
        (10, 10)
    );
    // Closed without a word: the idle connection is found closed, and another is taken in silence.
    let silent = RawServer::start(vec![
        Act::text("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        Act::Close,
    ]);
    let ran = ten(get("g", "/g"), &silent.url()).await;
    assert_eq!(
        (ran.step(0, 0).ok, ran.reports[0].connections_opened),
        (10, 10)
    );
}

#[tokio::test]
async fn a_kept_connection_is_used_again() {
    let server = Server::prompt();
    let ran = ten(get("g", "/g"), &server.url()).await;
    assert_eq!(
        (ran.step(0, 0).ok, ran.reports[0].connections_max),
        (10, ran.reports[0].connections_opened)
    );
    assert!(ran.reports[0].connections_opened < 10, "{:?}", ran.reports);
}

//! Servers that mean ill: none hangs the engine, makes it grow, or is counted as something else.

use std::time::Duration;

use chaos_plan::plan::{Extract, HttpVersion, Method, Running, Step, Target};
use chaos_record::outcome::{Counts, FailKind};
use chaos_testkit::RawServer;
use chaos_testkit::plan::{PlanBuilder, get, template};
use chaos_testkit::raw::{Act, frame};

use crate::ran::{Ran, play};

/// Most that this process may ever hold, whatever servers send; they offer gigabytes.
const RESIDENT_MIB_MAX: u64 = 384;
/// What HTTP/2 calls its frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// `:status: 200` (RFC 7541, appendix A).
const STATUS_200: &[u8] = &[0x88];

/// Ten requests of half a second at most.
async fn ten(script: Vec<Act>, http: HttpVersion, step: Step) -> Ran {
    let server = RawServer::start(script);
    let target = Target::Url(Running {
        http,
        ..Running::new(server.url())
    });
    let plan = PlanBuilder::new()
        .target(target)
        .timeout_ms(500)
        .patience_ms(3_000)
        .stage("s", 0.5, 20.0)
        .journey("j", 1.0, vec![step])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    let peak_mib = peak_mib();
    assert!(peak_mib < RESIDENT_MIB_MAX, "{peak_mib} MiB resident");
    ran
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    peak.expect("a peak in kB") / 1_024
}

/// All ten end in one of these ways, and at least one in the first.
async fn check(http: HttpVersion, script: Vec<Act>, kinds: &[FailKind]) -> Ran {
    let ran = ten(script, http, get("g", "/g")).await;
    assert_kinds(&ran.step(0, 0), kinds);
    ran
}

fn assert_kinds(counts: &Counts, kinds: &[FailKind]) {
    let of = |kind: &FailKind| counts.failed[*kind as usize];
    assert_eq!(
        kinds.iter().map(of).sum::<u64>(),
        10,
        "{kinds:?} in {counts:?}"
    );
    assert!(of(&kinds[0]) > 0, "{kinds:?} in {counts:?}");
}

async fn check_1(script: Vec<Act>, kind: FailKind) {
    check(HttpVersion::Http1, script, &[kind]).await;
}

/// After the preface and settings, once the first request has come.
async fn check_2(settings: &[u8], then: Vec<Act>, kinds: &[FailKind]) -> Ran {
    check(HttpVersion::Http2, answering(settings, then), kinds).await
}

fn answering(settings: &[u8], then: Vec<Act>) -> Vec<Act> {
    let mut script = vec![
        Act::frame((SETTINGS, 0, 0), settings),
        // The rest of the preface, `SM`.
        Act::Skip(6),
        Act::AwaitFrame(HEADERS),
    ];
    script.extend(then);
    script
}

fn head(fields: &str) -> Act {
    Act::text(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
}

#[tokio::test]
async fn a_byte_a_second_is_no_answer_in_time() {
    let drip = |first: Act| {
        vec![
            first,
            Act::Pause(Duration::from_secs(1)),
            Act::text("x"),
            Act::Hang,
        ]
    };
    check_1(drip(Act::text("HTTP/1.1 200 OK\r\nx: ")), FailKind::Timeout).await;
    check_1(drip(head("content-length: 1000\r\n")), FailKind::Timeout).await;
}

#[tokio::test]
async fn a_head_without_end_is_too_large() {
    let line = format!("x-filler: {}\r\n", "y".repeat(1_000));
    let lines = Act::WriteForEver(line.repeat(60).into_bytes());
    check_1(
        vec![Act::text("HTTP/1.1 200 OK\r\n"), lines],
        FailKind::TooLarge,
    )
    .await;
    let no_line_end = Act::WriteForEver(vec![b'y'; 1 << 16]);
    check_1(
        vec![Act::text("HTTP/1.1 200 OK\r\nx: "), no_line_end],
        FailKind::TooLarge,
    )
    .await;
}

#[tokio::test]
async fn preliminary_answers_without_end_are_too_large() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1_000);
    check_1(
        vec![Act::WriteForEver(hints.into_bytes())],
        FailKind::TooLarge,
    )
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_told_from_a_broken_connection() {
    for text in [
        "\0\0\0\0",
        "HTTP/1.1 999999 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\nb@d name: 1\r\n\r\n",
    ] {
        check_1(vec![Act::text(text), Act::Hang], FailKind::Protocol).await;
    }
    let two_lengths = head("content-length: 1\r\ncontent-length: 2\r\n");
    check_1(vec![two_lengths, Act::text("ab")], FailKind::Protocol).await;
    let chunk = head("transfer-encoding: chunked\r\n");
    check_1(
        vec![chunk, Act::text("fffffffffffffffff\r\n"), Act::Hang],
        FailKind::Protocol,
    )
    .await;
    check_1(
        vec![Act::text("HTTP/1.1 200 OK\r\ncontent-l"), Act::Close],
        FailKind::Reset,
    )
    .await;
    check_1(
        vec![
            head("content-length: 10\r\n"),
            Act::text("short"),
            Act::Close,
        ],
        FailKind::Reset,
    )
    .await;
}

/// What follows the announced length belongs to no request: the answer stands, the connection does not.
#[tokio::test]
async fn more_than_was_announced_is_never_taken_for_the_next_answer() {
    let more = vec![
        head("content-length: 1\r\n"),
        Act::text("aHTTP/1.1 500 No\r\n\r\n"),
    ];
    let ran = ten(more, HttpVersion::Http1, get("g", "/g")).await;
    assert_eq!(ran.step(0, 0).failed[FailKind::Status as usize], 0);
    assert_eq!(ran.step(0, 0).ok, 10, "{:?}", ran.step(0, 0));
    assert_eq!(ran.reports[0].connections_opened, 10);
}

#[tokio::test]
async fn bytes_that_are_no_text_in_a_header_harm_only_who_reads_it() {
    let script = || {
        vec![Act::Write(
            b"HTTP/1.1 200 OK\r\nx-order: \xff\xfe\r\ncontent-length: 0\r\n\r\n".to_vec(),
        )]
    };
    let ran = ten(script(), HttpVersion::Http1, get("g", "/g")).await;
    assert_eq!(ran.step(0, 0).ok, 10);
    let mut reading = get("g", "/g");
    let order = Extract::Header("x-order".to_owned());
    reading.extract.insert("order".to_owned(), order);
    let ran = ten(script(), HttpVersion::Http1, reading).await;
    assert_kinds(&ran.step(0, 0), &[FailKind::Extract]);
}

#[tokio::test]
async fn http_1_0_is_understood() {
    let check = async |fields: &str, then: Vec<Act>, connections: u64| {
        let mut script = vec![Act::text(&format!("HTTP/1.0 200 OK\r\n{fields}\r\nab"))];
        script.extend(then);
        let ran = ten(script, HttpVersion::Http1, get("g", "/g")).await;
        assert_eq!(ran.step(0, 0).ok, 10, "{:?}", ran.step(0, 0));
        assert_eq!(ran.reports[0].connections_opened, connections, "{fields}");
    };
    check("content-length: 2\r\nconnection: keep-alive\r\n", vec![], 1).await;
    check("content-length: 2\r\n", vec![Act::Close], 10).await;
    check("", vec![Act::Close], 10).await;
}

#[tokio::test]
async fn settings_that_never_come_are_a_connect_without_end() {
    check(
        HttpVersion::Http2,
        vec![Act::Hang],
        &[FailKind::ConnectTimeout],
    )
    .await;
}

#[tokio::test]
async fn an_answer_in_http_1_1_is_no_http_2() {
    let script = vec![head("content-length: 0\r\n"), Act::Hang];
    check(HttpVersion::Http2, script, &[FailKind::Protocol]).await;
}

#[tokio::test]
async fn a_request_that_was_not_looked_at_is_told_apart() {
    let goaway = [0_u8; 8];
    let then = vec![Act::frame((GOAWAY, 0, 0), &goaway), Act::Hang];
    check_2(&[], then, &[FailKind::Refused]).await;
    let refused = [0, 0, 0, 7];
    let then = vec![Act::frame((RST_STREAM, 0, 1), &refused), Act::Close];
    check_2(&[], then, &[FailKind::Refused]).await;
    let internal_error = [0, 0, 0, 2];
    let then = vec![Act::frame((RST_STREAM, 0, 1), &internal_error), Act::Close];
    check_2(&[], then, &[FailKind::Reset]).await;
    check_2(&[], vec![Act::Close], &[FailKind::Reset]).await;
}

#[tokio::test]
async fn what_is_no_answer_by_http_2_is_a_protocol_failure() {
    let promise = Act::frame((PUSH_PROMISE, 4, 1), &[0, 0, 0, 2, 0x82]);
    check_2(&[], vec![promise, Act::Hang], &[FailKind::Protocol]).await;
    let capital = [STATUS_200, b"\x00\x01A\x01b"].concat();
    let too_short = [STATUS_200, b"\x0f\x0d\x011"].concat();
    for answer in [
        Act::frame((DATA, 1, 1), b"early"),
        Act::frame((HEADERS, 5, 1), &capital),
        Act::frame((HEADERS, 5, 1), &too_short),
    ] {
        // The connection goes on without its first stream, and its peer says nothing more.
        let ended = [FailKind::Protocol, FailKind::Timeout];
        let ran = check_2(&[], vec![answer, Act::Hang], &ended).await;
        assert!(ran.reports[0].connections_opened < 10);
    }
}

#[tokio::test]
async fn floods_of_small_frames_end_at_the_limit_of_the_request() {
    let ping = frame((PING, 0, 0), &[0; 8]).repeat(1_000);
    check_2(&[], vec![Act::WriteForEver(ping)], &[FailKind::Timeout]).await;
    let settings = frame((SETTINGS, 0, 0), &[0, 4, 0, 1, 0, 0]).repeat(1_000);
    check_2(&[], vec![Act::WriteForEver(settings)], &[FailKind::Timeout]).await;
    let reset = frame((RST_STREAM, 0, 1), &[0, 0, 0, 8]).repeat(1_000);
    let ended = [FailKind::Reset, FailKind::Timeout, FailKind::Protocol];
    check_2(&[], vec![Act::WriteForEver(reset)], &ended).await;
}

#[tokio::test]
async fn a_head_without_end_is_too_large_by_http_2_too() {
    let more = frame((CONTINUATION, 0, 1), &[0; 64]).repeat(1_000);
    let then = vec![
        Act::frame((HEADERS, 0, 1), STATUS_200),
        Act::WriteForEver(more),
    ];
    check_2(&[], then, &[FailKind::TooLarge, FailKind::Protocol]).await;
}

#[tokio::test]
async fn a_body_without_end_is_too_large_by_http_2_too() {
    let data = frame((DATA, 0, 1), &[0; 16_384]).repeat(4);
    let then = vec![
        Act::frame((HEADERS, 4, 1), STATUS_200),
        Act::WriteForEver(data),
    ];
    // What still comes after that, for a stream that was given up, is an error of the connection.
    let ended = [
        FailKind::TooLarge,
        FailKind::Protocol,
        FailKind::Timeout,
        FailKind::Reset,
    ];
    check_2(&[], then, &ended).await;
}

#[tokio::test]
async fn a_window_that_never_opens_is_no_answer_in_time() {
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut step = get("p", "/p");
    step.method = Method::Post;
    step.body = Some(template("body"));
    let script = answering(&no_window, vec![Act::Hang]);
    let ran = ten(script, HttpVersion::Http2, step).await;
    assert_kinds(&ran.step(0, 0), &[FailKind::Timeout]);
}

//! HTTP/2 and TLS through the whole engine, against servers that speak them.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::plan::{Extract, HttpVersion, Method, Running, Step, Target};
use chaos_record::outcome::FailKind;
use chaos_testkit::plan::{PlanBuilder, get, template};
use chaos_testkit::server::{Certificate, DRAWN, MEASURED, Reply, Served, Version};
use chaos_testkit::{Law, Server, Settings};

use crate::ran::{Ran, assert_all_failed, play};

/// A server that is spoken to in this way, on a certificate of its own if it has one.
pub(crate) fn target(server: &Server, http: HttpVersion, insecure: bool) -> Target {
    Target::Url(Running {
        http,
        insecure,
        ..Running::new(server.url())
    })
}

fn settings(version: Version) -> Settings {
    Settings::new(Law::Fixed(Duration::ZERO)).version(version)
}

fn under_tls(version: Version) -> Server {
    Server::start(settings(version).tls(Certificate::of(&["127.0.0.1"])))
}

async fn fifty(server: &Server, http: HttpVersion, insecure: bool, step: Step) -> Ran {
    let plan = PlanBuilder::new()
        .target(target(server, http, insecure))
        .timeout_ms(5_000)
        .stage("s", 0.5, 100.0)
        .journey("j", 1.0, vec![step])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    ran
}

#[tokio::test]
async fn prior_knowledge_carries_requests_with_their_bodies_over_one_connection() {
    let server = Server::start(settings(Version::Http2));
    let mut step = get("p", "/p?q=1");
    step.method = Method::Post;
    step.body = Some(template("hello"));
    step.headers = vec![
        ("x-tag".to_owned(), template("t")),
        ("connection".to_owned(), template("keep-alive")),
    ];
    let ran = fifty(&server, HttpVersion::Http2, false, step).await;
    assert_eq!((ran.step(0, 0).ok, ran.step(0, 0).written), (50, 50));
    assert_eq!(ran.reports[0].connections_opened, 1);
    for served in server.log() {
        assert_eq!(
            (served.method.as_str(), served.path.as_str()),
            ("POST", "/p?q=1")
        );
        assert_eq!(
            (served.tag.as_deref(), served.body.as_slice()),
            (Some("t"), &b"hello"[..])
        );
    }
}

/// Fifty of these answers are more than the server may send on one connection before we make room for more.
#[tokio::test]
async fn what_was_read_makes_room_for_what_follows() {
    let long = "x".repeat(200_000);
    let server = settings(Version::Http2).answer(move |_, _| Reply::json(long.clone()));
    let server = Server::start(server);
    let ran = fifty(&server, HttpVersion::Http2, false, get("g", "/g")).await;
    assert_eq!(ran.step(0, 0).ok, 50);
    assert_eq!(ran.reports[0].connections_opened, 1);
}

/// The delay in the header is the one in the server's log, by either version.
#[tokio::test]
async fn an_answer_carries_the_delay_that_was_measured() {
    for (version, http) in [
        (Version::Http1, HttpVersion::Http1),
        (Version::Http2, HttpVersion::Http2),
    ] {
        let law = Law::Fixed(Duration::from_millis(3));
        let server = Server::start(Settings::new(law).version(version));
        let mut step = get("g", "/g");
        step.extract = BTreeMap::from([
            ("drawn".to_owned(), Extract::Header(DRAWN.to_owned())),
            ("measured".to_owned(), Extract::Header(MEASURED.to_owned())),
        ]);
        let plan = PlanBuilder::new()
            .target(target(&server, http, false))
            .stage("s", 0.2, 50.0)
            .journey("j", 1.0, vec![step, get("r", "/{drawn}/{measured}")])
            .build();
        play(plan, &server.url(), 1).await.assert_conserved();
        let log = server.log();
        let measured = |served: &Served| (served.answered_ns - served.arrived_ns) / 1_000;
        let mut told: Vec<String> = log
            .iter()
            .map(|served| format!("/3000/{}", measured(served)))
            .collect();
        told.sort_unstable();
        let repeated = log.iter().filter(|served| served.path != "/g");
        assert_eq!(repeated.clone().count(), 10);
        for served in repeated {
            assert!(told.binary_search(&served.path).is_ok(), "{}", served.path);
        }
    }
}

#[tokio::test]
async fn under_tls_both_sides_agree_on_the_version() {
    for (offered, asked, streams_share) in [
        (Version::Either, HttpVersion::Auto, true),
        (Version::Http1, HttpVersion::Auto, false),
        (Version::Either, HttpVersion::Http1, false),
    ] {
        let server = under_tls(offered);
        let mut step = get("g", "/g");
        step.think = Duration::ZERO;
        let ran = fifty(&server, asked, true, step).await;
        assert_eq!(ran.step(0, 0).ok, 50, "{offered:?} {asked:?}");
        assert_eq!(server.spoke_http2(), streams_share, "{offered:?} {asked:?}");
    }
}

#[tokio::test]
async fn a_certificate_nobody_signed_fails_each_request_under_its_own_kind() {
    let ran = fifty(
        &under_tls(Version::Either),
        HttpVersion::Auto,
        false,
        get("g", "/g"),
    )
    .await;
    assert_all_failed(&ran.step(0, 0), FailKind::Tls);
    // In clear text behind `https`.
    let clear = Server::prompt();
    let plan = PlanBuilder::new()
        .target(target(&clear, HttpVersion::Auto, true))
        .stage("s", 0.5, 20.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let url = clear.url().replace("http:", "https:");
    let ran = play(plan, &url, 1).await;
    ran.assert_conserved();
    assert_all_failed(&ran.step(0, 0), FailKind::Tls);
}

/// The slow streams are given up, the fast ones on the same connection are answered.
#[tokio::test]
async fn a_timeout_ends_its_stream_and_not_the_connection() {
    let law = Law::TwoPoint {
        fast: Duration::ZERO,
        slow: Duration::from_mins(1),
        slow_share: 0.3,
    };
    let server = Server::start(Settings::new(law).version(Version::Http2));
    let plan = PlanBuilder::new()
        .target(target(&server, HttpVersion::Http2, false))
        .timeout_ms(200)
        .stage("s", 1.0, 100.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    let counts = ran.step(0, 0);
    let timeouts = counts.failed[FailKind::Timeout as usize];
    assert_eq!(counts.ok + timeouts, 100, "{counts:?}");
    assert!(timeouts > 10 && counts.ok > 40, "{counts:?}");
    assert_eq!(ran.reports[0].connections_opened, 1);
}

#[tokio::test]
async fn kept_connections_carry_no_more_than_their_streams() {
    let law = Law::Fixed(Duration::from_millis(50));
    for (allowed, expected) in [(100, 4), (2, 2)] {
        let server = Server::start(Settings::new(law).version(Version::Http2).streams(allowed));
        let plan = PlanBuilder::new()
            .target(target(&server, HttpVersion::Http2, false))
            .connections(3)
            .streams(4)
            .stage("s", 0.5, 400.0)
            .journey("j", 1.0, vec![get("g", "/g")])
            .build();
        let ran = play(plan, &server.url(), 1).await;
        ran.assert_conserved();
        assert_eq!(ran.step(0, 0).ok, 200);
        assert_eq!(
            (
                ran.reports[0].connections_opened,
                ran.reports[0].connections_max
            ),
            (3, 3)
        );
        assert_eq!(server.at_once_max(), 3 * expected);
    }
}

/// Three connections for two workers: each has as many users as its connections carry.
#[tokio::test]
async fn users_go_where_their_connections_are() {
    let law = Law::Fixed(Duration::from_millis(50));
    let server = Server::start(Settings::new(law).version(Version::Http2));
    let plan = PlanBuilder::new()
        .target(target(&server, HttpVersion::Http2, false))
        .connections(3)
        .streams(2)
        .users("s", 0.5, 6)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(server.at_once_max(), 6);
}

#[tokio::test]
async fn those_who_come_together_share_a_connection_that_is_being_opened() {
    let server = under_tls(Version::Http2);
    let plan = PlanBuilder::new()
        .target(target(&server, HttpVersion::Http2, true))
        .users("s", 0.5, 50)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    assert!(ran.step(0, 0).ok >= 50);
    assert_eq!(ran.reports[0].connections_opened, 1);
    // Nobody listens: each of those who waited for it is refused, too.
    let gone = Server::start(settings(Version::Http2));
    let plan = PlanBuilder::new()
        .target(target(&gone, HttpVersion::Http2, false))
        .users("s", 0.1, 50)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let url = gone.url();
    drop(gone);
    let ran = play(plan, &url, 1).await;
    ran.assert_conserved();
    assert_all_failed(&ran.step(0, 0), FailKind::ConnectRefused);
}

//! `chaos load` whose connections cannot be opened says why, and whose fault it is.

use std::process::Stdio;

use chaos_testkit::Server;
use chaos_testkit::raw::Act;
use chaos_testkit::{Law, RawServer, Settings};
use rustix::process::{Resource, Rlimit, prlimit};

use crate::program::{Ended, Place};
use crate::signals::pid;

/// `chaos load` that may open so many descriptors: it reads its body, which comes once it is limited.
fn limited(descriptors: u64, flags: &[&str]) -> Ended {
    let place = Place::new();
    let all = [&["load", "--body", "@/dev/stdin"], flags].concat();
    let mut child = place
        .command(&all)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let limit = Rlimit {
        current: Some(descriptors),
        maximum: Some(descriptors),
    };
    prlimit(Some(pid(&child)), Resource::Nofile, limit).expect("our child");
    drop(child.stdin.take());
    place.wait(child)
}

/// 200 users on some forty connections wait for each other: their times are not the server's.
#[test]
fn our_own_lack_of_descriptors_is_not_laid_at_the_servers_door() {
    let server = Server::start(Settings::new(Law::Fixed(std::time::Duration::from_millis(
        20,
    ))));
    let url = server.url();
    let flags = [&url, "-X", "POST", "-c", "200", "-t", "1", "-d", "1s"];
    let ended = limited(64, &[&flags[..], &["--json"]].concat());
    ended.assert_code(3);
    let result: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a document");
    let complaints = result["generator"]["complaints"].to_string();
    assert!(complaints.contains("descriptors"), "{complaints}");
    let failed = &result["measured"]["connections_failed"];
    assert!(failed["exhausted"].as_u64() > Some(0), "{failed}");
    assert!(ended.stderr.contains("descriptors"), "{}", ended.stderr);
}

#[test]
fn a_server_that_speaks_another_protocol_is_told_apart_from_a_slow_one() {
    let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let server = RawServer::start(vec![Act::text(answer), Act::Close]);
    let flags = ["--http2", "-c", "2", "-d", "500ms", "--timeout", "300ms"];
    let place = Place::new();
    let ended = place.run(&[&["load", &server.url()], &flags[..]].concat());
    ended.assert_code(5);
    let line = ended
        .stderr
        .lines()
        .find(|line| line.trim_start().starts_with("connections"));
    assert!(
        line.is_some_and(|line| line.contains("not valid HTTP")),
        "{}",
        ended.stderr
    );
}

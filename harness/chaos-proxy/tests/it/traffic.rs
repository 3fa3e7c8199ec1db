//! What callers see of the connections it carries.

use std::net::SocketAddr;

use chaos_proxy::protocol::{Answer, Command};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::{Proxy, connect, echo, greeted, is_reset, nobody, soon};

/// A proxy with one edge, whose callee's side the test holds itself.
async fn by_hand() -> (Proxy, SocketAddr, TcpListener) {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let callee = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    proxy
        .route(
            "api",
            &[("api-1", callee.local_addr().expect("an address"))],
        )
        .await;
    (proxy, address, callee)
}

async fn pair(address: SocketAddr, callee: &TcpListener) -> (TcpStream, TcpStream) {
    let client = connect(address).await;
    let (server, _) = soon(callee.accept()).await.expect("a connection");
    (client, server)
}

#[tokio::test]
async fn new_connections_go_round_and_avoid_the_busy() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let (a, b) = (echo("a").await, echo("b").await);
    proxy.route("api", &[("api-1", a), ("api-2", b)]).await;
    let mut names = Vec::new();
    let mut open = Vec::new();
    for _ in 0..6 {
        let (stream, name) = greeted(address).await;
        open.push(stream);
        names.push(name);
    }
    names.sort_unstable();
    assert_eq!(names, ["a", "a", "a", "b", "b", "b"]);
}

#[tokio::test]
async fn an_instance_that_cannot_be_reached_is_passed_over() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let (dead, dead_too, alive) = (nobody().await, nobody().await, echo("a").await);
    proxy
        .route(
            "api",
            &[("api-1", dead), ("api-2", dead_too), ("api-3", alive)],
        )
        .await;
    for _ in 0..5 {
        assert_eq!(greeted(address).await.1, "a");
    }
}

#[tokio::test]
async fn without_an_instance_the_caller_is_reset() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    is_reset(&mut connect(address).await).await;
    proxy
        .route(
            "api",
            &[("api-1", nobody().await), ("api-2", nobody().await)],
        )
        .await;
    is_reset(&mut connect(address).await).await;
}

#[tokio::test]
async fn an_ejected_instance_finishes_what_it_has_and_gets_nothing_new() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let (a, b) = (echo("a").await, echo("b").await);
    proxy.route("api", &[("api-1", a)]).await;
    let (mut old, _) = greeted(address).await;
    proxy.route("api", &[("api-1", a), ("api-2", b)]).await;
    let eject = Command::Eject {
        service: "api".to_owned(),
        instance: "api-1".to_owned(),
    };
    assert_eq!(proxy.ask(eject).await, Answer::Done);
    for _ in 0..3 {
        assert_eq!(greeted(address).await.1, "b");
    }
    old.write_all(b"still here")
        .await
        .expect("an open connection");
    let mut answer = [0; 10];
    soon(old.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"still here");
}

#[tokio::test]
async fn a_fin_stays_a_fin_and_the_other_direction_goes_on() {
    let (_proxy, address, callee) = by_hand().await;
    let (mut client, mut server) = pair(address, &callee).await;
    client.write_all(b"question").await.expect("open");
    client.shutdown().await.expect("half closed");
    let mut question = String::new();
    soon(server.read_to_string(&mut question))
        .await
        .expect("a clean end");
    assert_eq!(question, "question");
    server
        .write_all(b"answer")
        .await
        .expect("the other half is open");
    drop(server);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer))
        .await
        .expect("a clean end");
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn a_fin_of_the_callee_leaves_the_way_to_it_open() {
    let (_proxy, address, callee) = by_hand().await;
    let (mut client, mut server) = pair(address, &callee).await;
    server.write_all(b"answer").await.expect("open");
    server.shutdown().await.expect("half closed");
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer))
        .await
        .expect("a clean end");
    assert_eq!(answer, "answer");
    client
        .write_all(b"afterthought")
        .await
        .expect("the other half is open");
    drop(client);
    let mut rest = String::new();
    soon(server.read_to_string(&mut rest))
        .await
        .expect("a clean end");
    assert_eq!(rest, "afterthought");
}

#[tokio::test]
async fn a_reset_of_the_callee_is_a_reset_for_the_caller() {
    let (_proxy, address, callee) = by_hand().await;
    let (mut client, server) = pair(address, &callee).await;
    server.set_zero_linger().expect("a socket option");
    drop(server);
    is_reset(&mut client).await;
}

#[tokio::test]
async fn a_reset_of_the_caller_is_a_reset_for_the_callee() {
    let (_proxy, address, callee) = by_hand().await;
    let (client, mut server) = pair(address, &callee).await;
    client.set_zero_linger().expect("a socket option");
    drop(client);
    is_reset(&mut server).await;
}

#[tokio::test]
async fn bytes_arrive_whole_however_slowly_they_are_taken() {
    const LENGTH: usize = 8 << 20;
    let (mut proxy, address, callee) = by_hand().await;
    let (mut client, mut server) = pair(address, &callee).await;
    let sent: Vec<u8> = (0..LENGTH)
        .map(|at| u8::try_from(at % 251).expect("below 251"))
        .collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        client.write_all(&sent).await.expect("open");
        client.shutdown().await.expect("half closed");
        client
    });
    // Nothing is read at first, so that every buffer on the way fills up.
    let mut held = 0;
    loop {
        let now = proxy.stats().await[0].bytes_in;
        if now > 0 && now == held {
            break;
        }
        held = now;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        held < LENGTH as u64,
        "the proxy must not take in what it cannot pass on"
    );
    let mut received = Vec::with_capacity(LENGTH);
    soon(server.read_to_end(&mut received))
        .await
        .expect("a clean end");
    assert!(
        received == expected,
        "{} bytes, other than sent",
        received.len()
    );
    soon(writer).await.expect("no panic");
    assert_eq!(proxy.stats().await[0].bytes_in, LENGTH as u64);
}

#[tokio::test]
async fn many_connections_at_once_leave_nothing_open() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let (a, b) = (echo("a").await, echo("b").await);
    proxy.route("api", &[("api-1", a), ("api-2", b)]).await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        callers.spawn(async move {
            let (mut stream, _) = greeted(address).await;
            stream.write_all(b"ping").await.expect("open");
            let mut pong = [0; 4];
            soon(stream.read_exact(&mut pong)).await.expect("an answer");
        });
    }
    assert_eq!(callers.join_all().await.len(), 200);
    soon(async {
        while proxy.stats().await[0].open > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(proxy.stats().await[0].bytes_in, 800);
}

//! Commands and answers.

use chaos_proxy::ProxyError;
use chaos_proxy::protocol::{Answer, Command, EdgeStats, Route};
use tokio::net::TcpStream;

use crate::bench::{Proxy, echo, greeted, is_reset, nobody, soon};

#[tokio::test]
async fn listening_twice_gives_the_same_address() {
    let mut proxy = Proxy::start();
    let first = proxy.listen("front-1", "api").await;
    assert_eq!(proxy.listen("front-1", "api").await, first);
    assert_ne!(proxy.listen("front-2", "api").await, first);
    assert_ne!(proxy.listen("front-1", "db").await, first);
    proxy.end().await.expect("a clean end");
}

#[tokio::test]
async fn the_end_of_the_input_closes_listeners_and_connections() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let api = echo("a").await;
    proxy.route("api", &[("api-1", api)]).await;
    let (mut stream, _) = greeted(address).await;
    proxy.end().await.expect("a clean end");
    is_reset(&mut stream).await;
    assert!(soon(TcpStream::connect(address)).await.is_err());
}

#[tokio::test]
async fn a_command_it_does_not_know_is_refused_under_its_id() {
    let mut proxy = Proxy::start();
    let response = proxy
        .line(r#"{"id": 77, "command": {"dance": {}}}"#)
        .await
        .expect("an answer");
    assert_eq!(response.id, 77);
    assert!(matches!(response.answer, Answer::Failed { .. }));
    assert_eq!(proxy.stats().await, []);
}

#[tokio::test]
async fn what_is_no_command_at_all_ends_it() {
    let mut proxy = Proxy::start();
    assert_eq!(proxy.line("what").await, None);
    assert!(matches!(
        proxy.ended().await,
        Err(ProxyError::Garbled { .. })
    ));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_changes_nothing() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let api = echo("a").await;
    proxy.route("api", &[("api-1", api)]).await;
    let instances = vec![Route {
        instance: "api-2".to_owned(),
        address: "nowhere".to_owned(),
    }];
    let answer = proxy
        .ask(Command::Route {
            service: "api".to_owned(),
            instances,
        })
        .await;
    assert!(matches!(answer, Answer::Failed { why } if why.contains("`nowhere`")));
    assert_eq!(greeted(address).await.1, "a");
}

#[tokio::test]
async fn forgetting_a_caller_closes_only_its_edges() {
    let mut proxy = Proxy::start();
    let gone = proxy.listen("front-1", "api").await;
    let stays = proxy.listen("front-2", "api").await;
    let api = echo("a").await;
    proxy.route("api", &[("api-1", api)]).await;
    let (mut cut, _) = greeted(gone).await;
    let (_kept, _) = greeted(stays).await;
    assert_eq!(
        proxy
            .ask(Command::Forget {
                caller: "front-1".to_owned()
            })
            .await,
        Answer::Done
    );
    is_reset(&mut cut).await;
    greeted(stays).await;
    let callers: Vec<String> = proxy
        .stats()
        .await
        .into_iter()
        .map(|edge| edge.caller)
        .collect();
    assert_eq!(callers, ["front-2"]);
}

#[tokio::test]
async fn counters_tell_what_an_edge_did() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let unreachable = nobody().await;
    proxy.route("api", &[("api-1", unreachable)]).await;
    let mut refused = crate::bench::connect(address).await;
    is_reset(&mut refused).await;
    let api = echo("a").await;
    proxy
        .route("api", &[("api-1", unreachable), ("api-2", api)])
        .await;
    let (_open, _) = greeted(address).await;
    let (_open_too, _) = greeted(address).await;
    let edges = proxy.stats().await;
    let expected = EdgeStats {
        caller: "front-1".to_owned(),
        callee: "api".to_owned(),
        accepted: 3,
        open: 2,
        retried: edges[0].retried,
        refused: 1,
        bytes_in: 0,
        bytes_out: 2,
    };
    assert_eq!(edges, [expected]);
    assert!((1..=2).contains(&edges[0].retried), "{edges:?}");
}

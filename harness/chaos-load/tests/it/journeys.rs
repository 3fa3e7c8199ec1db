//! What is sent: values from data and answers, think time, the same requests for the same seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaos_load::{Address, Engine, EngineConfig, EngineError, FaultClock};
use chaos_plan::plan::{Arrivals, Extract, Method, Row};
use chaos_testkit::plan::{PlanBuilder, get, get_then_think, template};
use chaos_testkit::server::Reply;
use chaos_testkit::{Law, Server, Settings};

use crate::ran::{play, soon_ns};

fn words(words: &[&str]) -> Vec<Row> {
    words
        .iter()
        .map(|word| Row::Value((*word).to_owned()))
        .collect()
}

#[tokio::test]
async fn what_one_answer_gives_goes_into_the_next_request() {
    // The first answer hands out a token made from the request's own body.
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).answer(
        |served, number| {
            let name = String::from_utf8_lossy(&served.body)
                .replace(['{', '}', '"'], "")
                .replace("name:", "");
            Reply {
                headers: vec![("x-cart".to_owned(), format!("c{number}"))],
                ..Reply::json(format!(
                    "{{\"session\": {{\"token\": \"{name}-{number}\"}}}}"
                ))
            }
        },
    ));
    let mut enter = get("enter", "/enter");
    enter.method = Method::Post;
    enter
        .headers
        .push(("content-type".to_owned(), template("application/json")));
    enter.body = Some(template("{{\"name\":\"{name}\"}}"));
    enter.extract.insert(
        "token".to_owned(),
        Extract::Json("/session/token".to_owned()),
    );
    enter
        .extract
        .insert("cart".to_owned(), Extract::Header("x-cart".to_owned()));
    let mut show = get("show", "/carts/{cart}?name={name}");
    show.headers.push(("x-tag".to_owned(), template("{token}")));
    let data = BTreeMap::from([("name".to_owned(), words(&["ann", "bob"]))]);
    let plan = PlanBuilder::new()
        .stage("s", 1.0, 20.0)
        .journey_with_data("j", 1.0, data, vec![enter, show])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(ran.journey(0).ok, 20);
    let log = server.log();
    for (number, entered) in log
        .iter()
        .enumerate()
        .filter(|(_, served)| served.path == "/enter")
    {
        let name = if entered.body == br#"{"name":"ann"}"# {
            "ann"
        } else {
            "bob"
        };
        let shown: Vec<_> = log
            .iter()
            .filter(|served| served.path == format!("/carts/c{number}?name={name}"))
            .collect();
        assert_eq!(shown.len(), 1, "cart c{number}");
        assert_eq!(
            shown[0].tag.as_deref(),
            Some(&format!("{name}-{number}")[..])
        );
    }
}

#[tokio::test]
async fn the_same_seed_sends_the_same_requests_whatever_the_number_of_workers() {
    let sent = async |workers, seed| {
        let server = Server::prompt();
        let data = BTreeMap::from([("item".to_owned(), words(&["a", "b", "c", "d", "e"]))]);
        let plan = PlanBuilder::new()
            .seed(seed)
            .arrivals(Arrivals::Poisson)
            .stage("s", 0.5, 100.0)
            .journey_with_data(
                "j",
                2.0,
                data,
                vec![
                    get("item", "/items/{item}/{uuid}"),
                    get("again", "/again/{item}/{uuid}"),
                ],
            )
            .journey("k", 1.0, vec![get("other", "/other/{uuid}")])
            .build();
        play(plan, &server.url(), workers).await.assert_conserved();
        let mut paths: Vec<String> = server.log().into_iter().map(|served| served.path).collect();
        paths.sort();
        paths
    };
    let one = sent(1, 7).await;
    assert!(one.len() > 50);
    assert_eq!(one, sent(2, 7).await);
    assert_eq!(one, sent(3, 7).await);
    assert_ne!(one, sent(1, 8).await);
}

#[tokio::test]
async fn think_time_delays_the_next_step_and_is_not_charged_to_the_journey() {
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(20))));
    let steps = vec![
        get_then_think("a", "/a", 200),
        get_then_think("b", "/b", 5_000),
    ];
    let plan = PlanBuilder::new()
        .stage("s", 0.5, 20.0)
        .journey("j", 1.0, steps)
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    let log = server.log();
    let [first, second] = ["/a", "/b"].map(|path| {
        log.iter()
            .filter(|served| served.path == path)
            .map(|served| served.arrived_ns)
            .min()
            .expect(path)
    });
    assert!(second - first >= 220_000_000, "{}", second - first);
    // Two answers of 20 ms each; the pause between them is not in it, and the one after the last step is not taken.
    let (response_ms, extra_ms) = (
        ran.response_ms(0.5, |series| series == 0),
        2.0 * ran.own_delay_ms(),
    );
    assert!(
        (40.0..100.0 + extra_ms).contains(&response_ms),
        "{response_ms}"
    );
    assert!(ran.reports[0].wall_ns < 4_000_000_000);
}

#[tokio::test]
async fn what_cannot_be_played_is_refused_at_once() {
    let start = |address: &str, path: &str, workers| {
        let plan = PlanBuilder::new()
            .stage("s", 1.0, 1.0)
            .journey("j", 1.0, vec![get("g", path)])
            .build();
        let config = EngineConfig {
            plan: Arc::new(plan),
            address: Address::resolve(address)?,
            workers,
            start_ns: soon_ns(),
            faults: Arc::new(FaultClock::new(0)),
            operations: None,
        };
        Engine::start(config).map(drop)
    };
    let here = "http://127.0.0.1:9";
    assert!(matches!(
        start("ftp://127.0.0.1:9", "/", 1),
        Err(EngineError::Address(_))
    ));
    assert!(matches!(
        start(here, "/{unknown}", 1),
        Err(EngineError::Prepare(_))
    ));
    assert!(matches!(
        start(here, "no/slash", 1),
        Err(EngineError::Prepare(_))
    ));
    assert!(matches!(
        start(here, "/", 0),
        Err(EngineError::Workers { workers: 0 })
    ));
    assert!(start(here, "/", 1).is_ok());
}

//! The operation log: in it before the request is out, and never surer of an outcome than the shopper can be.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos_load::read_operations;
use chaos_plan::Plan;
use chaos_plan::plan::{Acknowledges, Extract, Method, Step};
use chaos_record::operation::{Operation, OperationOutcome};
use chaos_testkit::plan::{PlanBuilder, get, template};
use chaos_testkit::raw::Act;
use chaos_testkit::server::Reply;
use chaos_testkit::{Law, RawServer, Server, Settings, eventually};
use tempfile::TempDir;

use crate::ran::{Playing, Ran, soon_ns};

/// A step whose answer names an order and its amount, under a key the server sees as its tag.
fn pay(path: &str) -> Step {
    let mut step = get("pay", path);
    step.method = Method::Post;
    step.headers
        .push(("x-tag".to_owned(), template("{uuid.pay}")));
    step.acknowledges = Some(Acknowledges {
        key: template("{uuid.pay}"),
        order: Extract::Json("/order".to_owned()),
        amount: Some(Extract::Json("/total".to_owned())),
    });
    step
}

/// Twenty in half a second, with 300 ms for each.
fn twenty() -> PlanBuilder {
    PlanBuilder::new()
        .timeout_ms(300)
        .patience_ms(1_000)
        .stage("s", 0.5, 40.0)
}

fn twenty_of(step: Step) -> Plan {
    twenty().journey("j", 1.0, vec![step]).build()
}

/// Plays a plan and reads its log back.
async fn logged(plan: Plan, url: &str) -> (Ran, Vec<Operation>) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("operations.jsonl");
    let playing = Playing::start_logging(soon_ns(), plan, url, 2, Some(path.clone()));
    let ran = playing.end().await;
    ran.assert_conserved();
    assert_eq!(ran.log_failures, [] as [String; 0]);
    (ran, read_operations(&path).expect("a whole log"))
}

fn count(operations: &[Operation], outcome: OperationOutcome) -> usize {
    let of_it = operations
        .iter()
        .filter(|operation| operation.outcome == outcome);
    of_it.count()
}

/// Asserts that all twenty ended like this, and that none of them promised anything.
fn assert_all(operations: &[Operation], outcome: OperationOutcome) {
    assert_eq!(count(operations, outcome), 20, "{operations:?}");
    assert_eq!(operations.len(), 20);
    for operation in operations {
        assert!(operation.ended.is_some_and(|ended| ended >= operation.at));
        assert_eq!((&operation.order, operation.amount), (&None, None));
    }
}

#[tokio::test]
async fn an_operation_is_in_the_log_before_the_server_sees_it() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("operations.jsonl");
    let log = path.clone();
    // The server looks for the key in the log while the request waits for its answer.
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).answer(
        move |served, number| {
            let operations = read_operations(&log).unwrap_or_default();
            let found = operations.iter().any(|operation| {
                Some(&operation.key) == served.tag.as_ref() && operation.ended.is_none()
            });
            Reply {
                status: if found { 201 } else { 500 },
                ..Reply::json(format!(
                    "{{\"order\": \"o-{number}\", \"total\": {}}}",
                    number * 100
                ))
            }
        },
    ));
    let plan = twenty()
        .journey("look", 1.0, vec![get("a", "/a")])
        .journey("pay", 3.0, vec![get("b", "/b"), pay("/pay")])
        .build();
    // The steps that are no operations have no tag: any status is fine for them.
    let plan = with_any_status(&plan);
    let playing = Playing::start_logging(soon_ns(), plan, &server.url(), 2, Some(path.clone()));
    let ran = playing.end().await;
    ran.assert_conserved();
    let operations = read_operations(&path).expect("a whole log");
    assert_eq!(operations.len() as u64, ran.journey(1).ok);
    let served = server.log();
    for operation in &operations {
        assert_eq!(
            (operation.outcome, operation.journey, operation.step),
            (OperationOutcome::Ok, 1, 1),
            "{operation:?}"
        );
        let number = served
            .iter()
            .position(|served| served.tag.as_ref() == Some(&operation.key))
            .expect("the server saw it");
        assert_eq!(operation.order, Some(format!("o-{number}")));
        assert_eq!(operation.amount, i64::try_from(number * 100).ok());
        let ended = operation.ended.expect("it ended");
        assert!(operation.at < ended && ended < 60_000_000_000);
    }
    let keys: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation.key.as_str())
        .collect();
    assert_eq!(keys.len(), operations.len(), "each has a key of its own");
}

/// The same plan in which every step but an operation takes any status.
fn with_any_status(plan: &Plan) -> Plan {
    let mut content = serde_json::to_value(plan).expect("a plan is plain data");
    let journeys = content["load"]["journeys"].as_array_mut().expect("a list");
    for journey in journeys {
        for step in journey["steps"].as_array_mut().expect("a list") {
            if step["acknowledges"].is_null() {
                step["statuses"][0]["to"] = 599.into();
            }
        }
    }
    serde_json::from_value(content).expect("a plan")
}

#[tokio::test]
async fn a_status_refuses_only_if_it_says_so_for_sure() {
    const REFUSED: [u16; 5] = [400, 401, 404, 410, 422];
    const OPEN: [u16; 7] = [408, 409, 425, 429, 500, 502, 503];
    let server = Server::start(
        Settings::new(Law::Fixed(Duration::ZERO)).answer(|served, _| Reply {
            status: served.path[1..].parse().expect("a status"),
            ..Reply::json(r#"{"order": "o", "total": 1}"#)
        }),
    );
    let mut plan = PlanBuilder::new().stage("s", 1.0, 200.0);
    for status in REFUSED.into_iter().chain(OPEN) {
        plan = plan.journey(&status.to_string(), 1.0, vec![pay(&format!("/{status}"))]);
    }
    let (_, operations) = logged(plan.build(), &server.url()).await;
    assert_eq!(operations.len(), 200);
    for operation in operations {
        let expected = if operation.journey < REFUSED.len() {
            OperationOutcome::Fail
        } else {
            OperationOutcome::Unknown
        };
        assert_eq!(operation.outcome, expected, "{operation:?}");
        assert_eq!(operation.order, None);
    }
}

#[tokio::test]
async fn a_refused_connection_is_refused() {
    let url = Server::prompt().url();
    let (ran, operations) = logged(twenty_of(pay("/pay")), &url).await;
    assert_all(&operations, OperationOutcome::Fail);
    assert_eq!(ran.step(0, 0).written, 0);
}

#[tokio::test]
async fn what_was_written_and_not_answered_is_unknown() {
    let cut = Act::text("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nno");
    for script in [vec![Act::Close], vec![Act::Hang], vec![cut, Act::Close]] {
        let server = RawServer::start(script);
        let (ran, operations) = logged(twenty_of(pay("/pay")), &server.url()).await;
        assert_all(&operations, OperationOutcome::Unknown);
        assert_eq!(ran.step(0, 0).written, 20);
    }
}

#[tokio::test]
async fn an_answer_without_what_it_must_say_is_unknown() {
    for body in [
        r#"{"total": 1}"#,
        r#"{"order": "o", "total": 1.5}"#,
        "thanks",
    ] {
        let settings = Settings::new(Law::Fixed(Duration::ZERO));
        let server = Server::start(settings.answer(move |_, _| Reply::json(body)));
        let (ran, operations) = logged(twenty_of(pay("/pay")), &server.url()).await;
        assert_all(&operations, OperationOutcome::Unknown);
        assert_eq!(ran.step(0, 0).failed_total(), 20);
    }
}

#[tokio::test]
async fn what_is_shed_is_refused_only_if_nothing_was_written() {
    // Two users are due every 50 ms and wait 300 ms for each answer that does not come: they fall
    // behind until patience is over before some of their journeys begin.
    let server = RawServer::start(vec![Act::Hang]);
    let plan = PlanBuilder::new()
        .cycle_ms(50)
        .timeout_ms(300)
        .patience_ms(1_000)
        .users("s", 3.0, 2)
        .journey("j", 1.0, vec![pay("/pay")])
        .build();
    let (ran, operations) = logged(plan, &server.url()).await;
    let step = ran.step(0, 0);
    assert_eq!(operations.len() as u64, step.total());
    assert!(step.written > 10 && step.shed > 10, "{step:?}");
    assert_eq!(
        (
            count(&operations, OperationOutcome::Unknown) as u64,
            count(&operations, OperationOutcome::Fail) as u64,
        ),
        (step.written, step.total() - step.written)
    );
}

#[tokio::test]
async fn what_the_end_of_the_run_cuts_off_is_unknown() {
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_mins(1))));
    let plan = PlanBuilder::new()
        .timeout_ms(60_000)
        .patience_ms(60_000)
        .stage("s", 30.0, 100.0)
        .journey("j", 1.0, vec![pay("/pay")])
        .build();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("operations.jsonl");
    let playing = Playing::start_logging(soon_ns(), plan, &server.url(), 2, Some(path.clone()));
    eventually!(server.seen() >= 10);
    // What is under way is in the log already, and open.
    let begun = read_operations(&path).expect("a log");
    assert!(begun.len() >= 10);
    assert!(begun.iter().all(
        |operation| operation.ended.is_none() && operation.outcome == OperationOutcome::Unknown
    ));
    playing.engine.stop();
    let ran = playing.end().await;
    ran.assert_conserved();
    let operations = read_operations(&path).expect("a whole log");
    let unknown = count(&operations, OperationOutcome::Unknown) as u64;
    assert_eq!(unknown, ran.step(0, 0).written);
    assert_eq!(operations.len() as u64, unknown);
    assert!(operations.iter().all(|operation| operation.ended.is_some()));
}

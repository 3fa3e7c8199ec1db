//! Payments fall silent while shoppers go on buying.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::client::Client;
use crate::fleet::Fleet;

/// Whether the program is as fast as it is meant to be, so that times can be held against it.
const OPTIMISED: bool = !cfg!(debug_assertions);
/// Check-outs begun in a second, whatever becomes of those before.
const PER_SECOND: u32 = if OPTIMISED { 100 } else { 20 };
/// When payments are paused, since the first check-out.
const PAUSED_AT: Duration = Duration::from_secs(2);
/// When they go on.
const RESUMED_AT: Duration = Duration::from_secs(if OPTIMISED { 12 } else { 8 });
/// When the last check-out is begun.
const END: Duration = Duration::from_secs(if OPTIMISED { 20 } else { 10 });
/// Every check-out is clear and quick from so long after the pause.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// Every check-out succeeds from so long after payments go on.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);
/// A check-out that cannot be paid is answered within this.
const QUICK: Duration = Duration::from_millis(300);

/// One check-out as its shopper felt it.
#[derive(Debug)]
struct Bought {
    begun: Duration,
    took: Duration,
    status: u16,
    retry_after: Option<String>,
    key: String,
    text: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_payments_are_paused_check_outs_are_refused_quickly_and_nothing_is_left_half_done() {
    let fleet = Fleet::start().await;
    let mut shoppers = Vec::new();
    for number in 1..=20 {
        shoppers.push(fleet.at("gateway").logged_in(number).await);
    }
    let start = Instant::now();
    let (mut bought, paused, resumed) = buy_while_payments_pause(&fleet, &shoppers, start).await;
    bought.sort_by_key(|bought| bought.begun);
    let refused: Vec<&Bought> = bought
        .iter()
        .filter(|one| one.text.contains("is not asked"))
        .collect();
    let while_paused = bought
        .iter()
        .filter(|one| (paused..resumed).contains(&one.begun))
        .count();
    assert!(
        refused.len() * 3 > while_paused,
        "{} of {while_paused}",
        refused.len()
    );
    for one in refused {
        assert_eq!(one.status, 503, "{one:?}");
        assert!(one.retry_after.is_some(), "{one:?}");
        assert!(
            one.text.contains("payments") && one.text.contains("Idempotency-Key"),
            "{one:?}"
        );
    }
    if OPTIMISED {
        println!("{}", in_time(&bought, paused, resumed));
    }
    nothing_half_done(&fleet, &shoppers, &bought).await;
    closed_again(&fleet, &shoppers[0]).await;
}

// What shoppers felt, and when payments were paused and went on.
async fn buy_while_payments_pause(
    fleet: &Fleet,
    shoppers: &[Client],
    start: Instant,
) -> (Vec<Bought>, Duration, Duration) {
    let mut buying = JoinSet::new();
    let (mut paused, mut resumed) = (None, None);
    let all = u32::try_from(END.as_secs()).unwrap() * PER_SECOND;
    for number in 0..all {
        let due = Duration::from_secs(1) * number / PER_SECOND;
        tokio::time::sleep_until((start + due).into()).await;
        if paused.is_none() && due >= PAUSED_AT {
            fleet.signal("payments", Signal::STOP);
            paused = Some(start.elapsed());
        }
        if resumed.is_none() && due >= RESUMED_AT {
            fleet.signal("payments", Signal::CONT);
            resumed = Some(start.elapsed());
        }
        let shopper = shoppers[number as usize % shoppers.len()].clone();
        buying.spawn(async move { buy(&shopper, &format!("key-{number}"), start).await });
    }
    (buying.join_all().await, paused.unwrap(), resumed.unwrap())
}

// The promised times, which only an optimised program on a machine of its own can keep; the figures.
fn in_time(bought: &[Bought], paused: Duration, resumed: Duration) -> String {
    let open = paused + OPEN_WITHIN..resumed;
    let first = bought.iter().find(|one| one.status == 503).unwrap();
    let last = bought.iter().rfind(|one| one.status != 200).unwrap();
    let while_open = || bought.iter().filter(|one| open.contains(&one.begun));
    let slowest = while_open().map(|one| one.took).max().unwrap();
    let hung = bought.iter().filter(|one| one.took >= QUICK).count();
    for one in while_open() {
        assert!(one.status == 503 && one.took < QUICK, "{one:?}");
    }
    for one in bought
        .iter()
        .filter(|one| one.begun >= resumed + CLOSED_WITHIN)
    {
        assert_eq!(one.status, 200, "{one:?}");
    }
    format!(
        "{} check-outs; paused at {paused:?}, first 503 begun at {:?}; {} begun while open, slowest {slowest:?}; \
         {hung} of all took {QUICK:?} or more; resumed at {resumed:?}, last refusal begun at {:?}",
        bought.len(),
        first.begun,
        while_open().count(),
        last.begun,
    )
}

// The breaker of every instance opened and closes by itself as shoppers come.
async fn closed_again(fleet: &Fleet, shopper: &Client) {
    for (number, orders) in fleet.each("orders").into_iter().enumerate() {
        let opened = orders
            .metric("upstream_breaker_opened_total{callee=\"payments\"}")
            .await;
        assert!(opened >= 1);
        let state = "upstream_breaker_state{callee=\"payments\"}";
        let closed = async {
            let mut turn = 0;
            while orders.metric(state).await > 0 {
                buy(shopper, &format!("again-{number}-{turn}"), Instant::now()).await;
                turn += 1;
            }
        };
        let closed = tokio::time::timeout(Duration::from_secs(20), closed).await;
        closed.expect("the breaker did not close");
    }
    for gateway in fleet.each("gateway") {
        assert_eq!(gateway.metric("upstream_breaker_opened_total").await, 0);
    }
}

async fn buy(shopper: &Client, key: &str, start: Instant) -> Bought {
    let wish = json!({ "items": [{ "product_id": "p-0120", "quantity": 1 }] });
    let begun = start.elapsed();
    let reply = shopper
        .with("idempotency-key", key)
        .post("/checkout", wish)
        .await;
    Bought {
        begun,
        took: start.elapsed().saturating_sub(begun),
        status: reply.status.as_u16(),
        retry_after: reply
            .headers
            .get("retry-after")
            .map(|value| value.to_str().unwrap().to_owned()),
        key: key.to_owned(),
        text: reply.text,
    }
}

// Every order is at its end, with one charge if it is sold and none if not; whoever was refused buys
// under the same key and is charged once.
async fn nothing_half_done(fleet: &Fleet, shoppers: &[Client], bought: &[Bought]) {
    at_rest(&fleet.at("orders"), &["confirmed", "cancelled", "refused"]).await;
    for (number, one) in bought.iter().enumerate() {
        if one.status != 200 && number % 10 == 0 {
            let number: usize = one.key.trim_start_matches("key-").parse().unwrap();
            let shopper = &shoppers[number % shoppers.len()];
            let again = buy(shopper, &one.key, Instant::now()).await;
            assert!([200, 409].contains(&again.status), "{again:?}");
        }
    }
    let orders = at_rest(&fleet.at("orders"), &["confirmed", "cancelled", "refused"]).await;
    let charges = read(&fleet.at("bank")).await.remove("charge").unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut charged: Vec<String> = charges
        .iter()
        .map(|charge| text(&charge["order"]))
        .collect();
    charged.sort_unstable();
    let mut sold: Vec<String> = orders
        .iter()
        .filter(|order| text(order["states"].as_array().unwrap().last().unwrap()) == "confirmed")
        .map(|order| text(&order["id"]))
        .collect();
    sold.sort_unstable();
    assert_eq!(charged, sold);
    let acknowledged = bought.iter().filter(|one| one.status == 200).count();
    assert!(
        sold.len() >= acknowledged,
        "{} of {acknowledged}",
        sold.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_instances_that_hangs_or_dies_opens_no_breaker() {
    let mut fleet = Fleet::start().await;
    let shopper = fleet.at("gateway").logged_in(1).await;
    let mut sold = 0;
    for (number, signal) in [Signal::KILL, Signal::STOP].into_iter().enumerate() {
        let name = ["dies", "hangs"][number];
        fleet.signal_one("payments", number, signal);
        let mut buying = JoinSet::new();
        for number in 0..8 {
            let shopper = shopper.clone();
            buying.spawn(async move {
                let (mut statuses, start) = (Vec::new(), Instant::now());
                while start.elapsed() < Duration::from_secs(4) {
                    let key = format!("{name}-{number}-{}", statuses.len());
                    statuses.push(buy(&shopper, &key, start).await.status);
                }
                statuses
            });
        }
        let statuses: Vec<u16> = buying.join_all().await.into_iter().flatten().collect();
        // What hangs costs those whom it holds; what is gone costs nobody.
        let failed: Vec<&u16> = statuses.iter().filter(|status| **status != 200).collect();
        let is_hanging = signal == Signal::STOP;
        assert!(
            failed.iter().all(|status| is_hanging && **status == 504),
            "{name}: {failed:?}"
        );
        assert!(
            statuses.len() > failed.len() * 2,
            "{name}: {} of {}",
            failed.len(),
            statuses.len()
        );
        sold += statuses.len() - failed.len();
        fleet.add("payments").await;
    }
    assert!(sold > 50, "only {sold} were sold");
    for orders in fleet.each("orders") {
        assert_eq!(orders.metric("upstream_breaker_opened_total").await, 0);
    }
}

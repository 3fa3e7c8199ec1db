//! Payments fall silent while shoppers go on buying.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::client::Client;
use crate::fleet::Fleet;

/// Check-outs begun in a second, whatever becomes of those before: what a program that is not optimised
/// can take beside other tests, or what is asked for.
const PER_SECOND: u32 = if cfg!(debug_assertions) { 50 } else { 100 };
/// When payments are paused, since the first check-out.
const PAUSED_AT: Duration = Duration::from_secs(2);
/// When they go on.
const RESUMED_AT: Duration = Duration::from_secs(8);
/// When the last check-out is begun.
const END: Duration = Duration::from_secs(15);
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
    let mut buying = JoinSet::new();
    let start = Instant::now();
    let (mut paused, mut resumed) = (None, None);
    for number in 0..END.as_millis() as u32 * PER_SECOND / 1000 {
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
    let (paused, resumed) = (paused.unwrap(), resumed.unwrap());
    let mut bought = buying.join_all().await;
    bought.sort_by_key(|bought| bought.begun);

    let open = paused + OPEN_WITHIN..resumed;
    let refused: Vec<_> = bought
        .iter()
        .filter(|one| open.contains(&one.begun))
        .collect();
    let slowest = refused.iter().map(|one| one.took).max().unwrap();
    let first_refusal = bought.iter().find(|one| one.status == 503).unwrap();
    let hung = bought.iter().filter(|one| one.took >= QUICK).count();
    let last_refusal = bought.iter().rfind(|one| one.status != 200).unwrap();
    println!(
        "paused at {paused:?}, first 503 begun at {:?}; {} refused while open, slowest {slowest:?}; \
         {hung} took {QUICK:?} or more; resumed at {resumed:?}, last refusal begun at {:?}",
        first_refusal.begun,
        refused.len(),
        last_refusal.begun,
    );
    for one in refused {
        assert!(one.status == 503 && one.took < QUICK, "{one:?}");
        assert!(one.retry_after.is_some(), "{one:?}");
        assert!(
            one.text.contains("payments") && one.text.contains("Idempotency-Key"),
            "{one:?}"
        );
    }
    for one in bought
        .iter()
        .filter(|one| one.begun >= resumed + CLOSED_WITHIN)
    {
        assert_eq!(one.status, 200, "{one:?}");
    }
    nothing_half_done(&fleet, &shoppers, &bought).await;
    for orders in fleet.each("orders") {
        let opened = orders
            .metric("upstream_breaker_opened_total{callee=\"payments\"}")
            .await;
        assert!((1..=2).contains(&opened), "opened {opened} times");
        let state = orders
            .metric("upstream_breaker_state{callee=\"payments\"}")
            .await;
        assert_eq!(state, 0);
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

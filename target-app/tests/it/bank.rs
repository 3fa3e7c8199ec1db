//! The bank as its callers see it, also when it is killed.

use serde_json::{Value, json};

use crate::audit::read;
use crate::client::{Client, Reply};
use crate::shop::{Process, settings};

async fn charge(bank: &Client, key: &str, order: &str, amount: i64, card: &str) -> Reply {
    bank.with("idempotency-key", key)
        .post(
            "/charges",
            json!({ "order": order, "amount": amount, "card": card }),
        )
        .await
}

async fn refund(bank: &Client, key: &str, charge: &str) -> Reply {
    bank.with("idempotency-key", key)
        .post("/refunds", json!({ "charge": charge }))
        .await
}

#[tokio::test]
async fn a_key_moves_money_once_whoever_dies() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.insert("BANK_DELAY_MS", "0".to_owned());
    let mut bank = Process::start("bank", &settings).await;
    let first = charge(&bank.client, "k-1", "o-1", 990, "card-demo").await;
    let first = first.expect(201).json();
    let declined = charge(&bank.client, "k-2", "o-2", 990, "card-declined").await;
    declined.expect(402);
    bank.child.kill().await.unwrap();

    let mut bank = Process::start("bank", &settings).await;
    let again = charge(&bank.client, "k-1", "o-1", 990, "card-demo").await;
    assert_eq!(again.expect(201).json(), first);
    let declined = charge(&bank.client, "k-2", "o-2", 990, "card-declined").await;
    declined.expect(402);
    for (order, amount, card) in [
        ("o-1", 991, "card-demo"),
        ("o-9", 990, "card-demo"),
        ("o-1", 990, "x"),
    ] {
        let other = charge(&bank.client, "k-1", order, amount, card).await;
        assert_eq!(other.expect(422).text_at("/field"), "Idempotency-Key");
    }
    let back = refund(&bank.client, "k-3", "ch-1").await.expect(201).json();
    bank.child.kill().await.unwrap();

    let bank = Process::start("bank", &settings).await;
    let again = refund(&bank.client, "k-3", "ch-1").await;
    assert_eq!(again.expect(201).json(), back);
    refund(&bank.client, "k-4", "ch-1").await.expect(409);
    refund(&bank.client, "k-1", "ch-1").await.expect(422);
    charge(&bank.client, "k-5", "o-5", 0, "card-demo")
        .await
        .expect(400);
    let told = read(&bank.client).await;
    assert_eq!(
        told["charge"],
        [json!({ "id": "ch-1", "order": "o-1", "amount": 990 })]
    );
    assert_eq!(
        told["refund"],
        [json!({ "id": "re-3", "charge": "ch-1", "order": "o-1", "amount": 990 })]
    );
    bank.terminate();
    assert_eq!(bank.end().await.0, Some(0));
}

#[tokio::test]
async fn a_torn_log_is_mended_and_a_second_bank_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut bank = Process::start("bank", &settings).await;
    for number in 1..=3 {
        let (key, order) = (format!("k-{number}"), format!("o-{number}"));
        let charged = charge(&bank.client, &key, &order, 990, "card-demo").await;
        charged.expect(201);
    }
    bank.child.kill().await.unwrap();
    let ledger = folder.path().join("ledger.jsonl");
    let text = std::fs::read(&ledger).unwrap();
    std::fs::write(&ledger, &text[..text.len() - 20]).unwrap();

    let bank = Process::start("bank", &settings).await;
    assert_eq!(read(&bank.client).await["charge"].len(), 2);
    let again = charge(&bank.client, "k-3", "o-3", 990, "card-demo").await;
    assert_eq!(again.expect(201).text_at("/id"), "ch-3");
    assert_eq!(std::fs::read(&ledger).unwrap(), text);

    let mut second = crate::shop::command("bank", &settings).spawn().unwrap();
    let begun = std::time::Instant::now();
    assert!(!second.wait().await.unwrap().success());
    assert!(begun.elapsed().as_secs() >= 9, "{:?}", begun.elapsed());
    bank.client.get("/ready").await.expect(200);
    bank.terminate();
    let (code, log) = bank.end().await;
    assert_eq!(code, Some(0));
    assert_eq!(log.last().unwrap()["message"], Value::from("stopped"));
}

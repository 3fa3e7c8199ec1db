//! Many at the same moment, over two instances of each role.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Any, AnyPool, Transaction};
use tokio::task::JoinSet;

use crate::audit::read;
use crate::client::Client;
use crate::kinds::on_each_kind;
use crate::shop::{Process, Shop};

/// Asks so many times at once, each of the callers in turn; the statuses of the answers.
async fn at_once<F>(
    callers: &[Client],
    times: usize,
    ask: impl Fn(Client, usize) -> F,
) -> Vec<(u16, Value)>
where
    F: Future<Output = (u16, Value)> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for turn in 0..times {
        asking.spawn(ask(callers[turn % callers.len()].clone(), turn));
    }
    asking.join_all().await
}

/// Asks, and again while the store says that it is too busy at this moment.
pub(crate) async fn post(client: Client, path: String, wish: Value) -> (u16, Value) {
    let answered = async {
        loop {
            let reply = client.post(&path, wish.clone()).await;
            if !matches!(reply.status.as_u16(), 502..=504) {
                return (reply.status.as_u16(), reply.json());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answered)
        .await
        .expect("the store stayed busy")
}

fn count(answers: &[(u16, Value)], status: u16) -> usize {
    answers.iter().filter(|(seen, _)| *seen == status).count()
}

/// What is left of a product, by the number at the end of its id.
async fn left(catalog: &Client, number: usize) -> Value {
    read(catalog).await["stock"][number - 1]["available"].clone()
}

// The shop's catalog and one more instance of it.
async fn two_catalogs(shop: &Shop) -> (Process, [Client; 2]) {
    let second = Process::start("catalog", &shop.settings()).await;
    let both = [shop.catalog.clone(), second.client.clone()];
    (second, both)
}

async fn set_stock(shop: &Shop, product: &str, pieces: i64) {
    sqlx::query("UPDATE stock SET initial = $2, available = $2 WHERE product_id = $1")
        .bind(product)
        .bind(pieces)
        .execute(&shop.book("catalog").await)
        .await
        .unwrap();
}

on_each_kind!(no_more_is_set_aside_than_there_is_and_nobody_waits_in_a_ring);
async fn no_more_is_set_aside_than_there_is_and_nobody_waits_in_a_ring() {
    let shop = Shop::open().await;
    let (_second, catalogs) = two_catalogs(&shop).await;
    set_stock(&shop, "p-0081", 10).await;
    let answers = at_once(&catalogs, 30, |catalog, turn| {
        // Every other order names the products the other way round.
        let mut products = ["p-0081", "p-0082", "p-0083"];
        if turn % 2 == 1 {
            products.reverse();
        }
        let lines = products.map(|id| json!({ "product_id": id, "quantity": 1 }));
        let wish = json!({ "order_id": format!("o-{turn}"), "lines": lines });
        post(catalog, "/reservations".to_owned(), wish)
    })
    .await;
    assert_eq!(
        (count(&answers, 200), count(&answers, 409)),
        (10, 20),
        "{answers:?}"
    );
    assert_eq!(left(&shop.catalog, 81).await, 0);
    assert_eq!(left(&shop.catalog, 82).await, 999_990);

    // Each is given back from both sides at once, and asked for once more meanwhile.
    let answers = at_once(&catalogs, 90, |catalog, turn| {
        let order = format!("o-{}", turn / 3);
        let lines = json!([{ "product_id": "p-0081", "quantity": 1 }]);
        let wish = json!({ "order_id": order, "lines": lines });
        let path = match turn % 3 {
            1 => "/reservations".to_owned(),
            _ => format!("/reservations/{order}/release"),
        };
        post(catalog, path, wish)
    })
    .await;
    assert_eq!(
        count(&answers, 200) + count(&answers, 409),
        90,
        "{answers:?}"
    );
    assert_eq!(left(&shop.catalog, 81).await, 10);
    assert_eq!(left(&shop.catalog, 82).await, 1_000_000);
    shop.close().await;
}

on_each_kind!(an_order_asked_for_and_given_up_at_once_holds_all_or_nothing);
async fn an_order_asked_for_and_given_up_at_once_holds_all_or_nothing() {
    let shop = Shop::open().await;
    let (_second, catalogs) = two_catalogs(&shop).await;
    let answers = at_once(&catalogs, 60, |catalog, turn| {
        let order = format!("o-{}", turn / 3);
        let lines = json!([{ "product_id": "p-0084", "quantity": 1 }]);
        let wish = json!({ "order_id": order, "lines": lines });
        let path = match turn % 3 {
            2 => format!("/reservations/{order}/release"),
            _ => "/reservations".to_owned(),
        };
        post(catalog, path, wish)
    })
    .await;
    assert_eq!(
        count(&answers, 200) + count(&answers, 409),
        60,
        "{answers:?}"
    );
    // Whoever was first, each order ends given back.
    assert_eq!(left(&shop.catalog, 84).await, 1_000_000);
    shop.close().await;
}

on_each_kind!(money_moves_once_for_a_key_and_all_who_ask_at_once_hear_so);
async fn money_moves_once_for_a_key_and_all_who_ask_at_once_hear_so() {
    let shop = Shop::open().await;
    let second = Process::start("payments", &shop.settings()).await;
    let payments = [shop.payments.clone(), second.client.clone()];
    let book = shop.book("payments").await;
    let mut busy = 0;
    for round in 0..10 {
        let (order, key) = (format!("o-{round}"), format!("charge-{round}"));
        let wish =
            json!({ "order_id": order, "shopper_id": "s", "amount": 990, "card": "card-demo" });
        let held = hold_writers(
            &shop,
            &book,
            "LOCK TABLE charges IN SHARE ROW EXCLUSIVE MODE",
        )
        .await;
        let (answer, ()) = tokio::join!(
            one_answer(&payments, "/charges", &key, &wish),
            let_go(&book, held)
        );
        let (charge, put_off) = answer;
        let wish = json!({ "order_id": order, "charge_id": charge["charge_id"] });
        let key = format!("refund-{round}");
        busy += put_off + one_answer(&payments, "/refunds", &key, &wish).await.1;
    }
    let moved = read(&shop.bank).await;
    assert_eq!((moved["charge"].len(), moved["refund"].len()), (10, 10));
    // That others want the same is no reason to put anybody off; that no connection came free is one.
    let mut waits = 0;
    for client in &payments {
        waits += client.metric("database_acquire_seconds_count").await
            - client
                .metric("database_acquire_seconds_bucket{le=\"1.0\"}")
                .await;
    }
    assert!(busy <= waits, "{busy} were put off, {waits} waited in vain");
    shop.close().await;
}

// Who writes waits from now on; on files they take turns by themselves.
async fn hold_writers(
    shop: &Shop,
    book: &AnyPool,
    lock: &'static str,
) -> Option<Transaction<'static, Any>> {
    if !shop.settings().contains_key("DATABASE_URL") {
        return None;
    }
    let mut held = book.begin().await.unwrap();
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    Some(held)
}

// Lets all writers go at the same moment, as soon as there are some, and before they lose patience.
async fn let_go(book: &AnyPool, held: Option<Transaction<'static, Any>>) {
    let Some(held) = held else { return };
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let some = async {
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(book)
            .await
            .unwrap()
            < 4
        {}
    };
    drop(tokio::time::timeout(Duration::from_millis(500), some).await);
    held.rollback().await.unwrap();
}

// The answer that all get who ask for the same with the same key at once, and how many of them the store
// was too busy for.
async fn one_answer(callers: &[Client], path: &str, key: &str, wish: &Value) -> (Value, u64) {
    let answers = at_once(callers, 24, |caller, _| {
        let caller = caller.with("idempotency-key", key);
        let (path, wish) = (path.to_owned(), wish.clone());
        async move {
            let reply = caller.post(&path, wish).await;
            (reply.status.as_u16(), reply.json())
        }
    })
    .await;
    let caller = callers[0].with("idempotency-key", key);
    let last = post(caller, path.to_owned(), wish.clone()).await;
    assert_eq!(last.0, 200, "{path}: {last:?}");
    let mut busy = 0;
    for answer in answers {
        match answer.0 {
            502..=504 => busy += u64::from(answer.1["error"] == "the store is busy"),
            _ => assert_eq!(answer, last, "{path}"),
        }
    }
    (last.1, busy)
}

on_each_kind!(a_cart_is_sold_once_and_as_it_was);
async fn a_cart_is_sold_once_and_as_it_was() {
    let shop = Shop::open().await;
    let orders = shop
        .orders
        .clone()
        .map(|orders| orders.with("x-shopper-id", "s-0001"));
    for round in 0..5 {
        let maker = orders[0].with("idempotency-key", &format!("cart-{round}"));
        let cart = maker.cart_with("p-0085", 1).await;
        let answers = at_once(&orders, 12, |orders, turn| {
            let key = format!("{round}-{turn}");
            let orders = orders.with("idempotency-key", &key);
            match turn % 3 {
                0 => {
                    let piece = json!({ "product_id": "p-0086", "quantity": 1 });
                    post(orders, format!("/carts/{cart}/items"), piece)
                }
                _ => post(orders, "/checkout".to_owned(), json!({ "cart_id": cart })),
            }
        })
        .await;
        let sold: Vec<&Value> = answers
            .iter()
            .filter(|(status, answer)| *status == 200 && answer["status"] == "confirmed")
            .map(|(_, answer)| answer)
            .collect();
        assert_eq!(sold.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|(status, _)| matches!(status, 200 | 409)),
            "{answers:?}"
        );
        // What was added is in the order, or was refused.
        let cart = orders[0]
            .get(&format!("/carts/{cart}"))
            .await
            .expect(200)
            .json();
        assert_eq!(cart["total"], sold[0]["amount"]);
    }
    shop.close().await;
}

on_each_kind!(a_cart_holds_no_more_products_than_it_may);
async fn a_cart_holds_no_more_products_than_it_may() {
    let shop = Shop::open().await;
    let orders = shop
        .orders
        .clone()
        .map(|orders| orders.with("x-shopper-id", "s-0001"));
    let maker = orders[0].with("idempotency-key", "cart");
    let cart = maker.cart_with("p-0200", 1).await;
    let answers = at_once(&orders, 60, |orders, turn| {
        let piece = json!({ "product_id": format!("p-{:04}", turn + 1), "quantity": 1 });
        let orders = orders.with("idempotency-key", &format!("add-{turn}"));
        post(orders, format!("/carts/{cart}/items"), piece)
    })
    .await;
    assert_eq!(
        (count(&answers, 200), count(&answers, 409)),
        (49, 11),
        "{answers:?}"
    );
    shop.close().await;
}

on_each_kind!(a_caller_that_goes_away_leaves_no_transaction_open);
async fn a_caller_that_goes_away_leaves_no_transaction_open() {
    let shop = Shop::open().await;
    let book = shop.book("catalog").await;
    // Each lot goes away a little later than the one before, from before the first statement on.
    for lot in 0..40_u64 {
        let mut asking = JoinSet::new();
        for turn in 0..8 {
            let catalog = shop.catalog.clone();
            let lines = json!([{ "product_id": "p-0087", "quantity": 1 }]);
            let wish = json!({ "order_id": format!("o-{lot}-{turn}"), "lines": lines });
            asking.spawn(tokio::time::timeout(
                Duration::from_micros(500 + lot * 250),
                async move { catalog.post("/reservations", wish).await },
            ));
        }
        asking.join_all().await;
        none_is_open(&shop, &book).await;
    }
    // What is still being finished comes to rest, and then stock and reservations agree.
    let agreed = async {
        let held = "SELECT count(*) FROM reservations WHERE state = 'reserved'";
        loop {
            let held: i64 = sqlx::query_scalar(held).fetch_one(&book).await.unwrap();
            if left(&shop.catalog, 87).await == 1_000_000 - held {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), agreed)
        .await
        .expect("stock was set aside for nobody");
    shop.close().await;
}

// The server itself gives up a forgotten transaction after 5 s, and with it what was promised in it.
async fn none_is_open(shop: &Shop, book: &AnyPool) {
    if !shop.settings().contains_key("DATABASE_URL") {
        return;
    }
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let ended = async {
        while sqlx::query_scalar::<_, i64>(open)
            .fetch_one(book)
            .await
            .unwrap()
            > 0
        {}
    };
    tokio::time::timeout(Duration::from_secs(3), ended)
        .await
        .expect("a transaction stayed open");
}

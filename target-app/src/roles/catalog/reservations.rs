//! Sets stock aside for an order, all of it or none, and gives it back.
//!
//! Invariant: an order's reservation is decided once; asking again gives the same decision, and stock
//! that was given back cannot be taken by a late repetition. At every commit, for each product,
//! `initial` is `available` plus what reservations in state `reserved` hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Any, AnyConnection, Transaction};

use super::careless::{Careless, write_back};
use crate::clock;
use crate::database::{Database, Dialect};
use crate::http::error::{ApiError, again};

/// The most different products in one order.
const LINES_MAX: usize = 50;

/// What an order wants set aside.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Wish {
    pub(super) order_id: String,
    pub(super) lines: Vec<WishedLine>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct WishedLine {
    pub(super) product_id: String,
    pub(super) quantity: i64,
}

/// What was decided, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    pub(super) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) amount: i64,
    pub(super) lines: Vec<Line>,
}

/// Stock set aside, at the price of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) product_id: String,
    pub(super) name: String,
    pub(super) quantity: i64,
    pub(super) unit_price: i64,
}

/// Decides a wish, or repeats what was decided.
///
/// Of two processes that decide the same order at once, the second one cannot write its decision; it
/// looks again and finds the first one's.
pub(super) async fn reserve(
    database: &Database,
    wish: &Wish,
    careless: Option<&Careless>,
) -> Result<Decision, ApiError> {
    let quantities = wish.lines.iter().all(|line| line.quantity > 0);
    if wish.lines.is_empty() || wish.lines.len() > LINES_MAX || !quantities {
        return Err(ApiError::invalid(
            "lines",
            format!("1 to {LINES_MAX} lines with quantities above 0 are needed"),
        ));
    }
    again(|| decide(database, wish, careless)).await
}

async fn decide(
    database: &Database,
    wish: &Wish,
    careless: Option<&Careless>,
) -> Result<Decision, ApiError> {
    let seen = match careless {
        None => None,
        Some(careless) => careless.look(database, &wish.lines).await?,
    };
    let mut transaction = database.begin().await?;
    if let Some(decision) = decided(&mut transaction, database.dialect(), &wish.order_id).await? {
        transaction.rollback().await?;
        return Ok(decision);
    }
    let decision = match price(&mut transaction, database.dialect(), &wish.lines).await? {
        Ok(mut lines) => {
            if let Some(careless) = careless {
                for line in &mut lines {
                    line.unit_price = careless.price(&line.product_id, line.unit_price);
                }
            }
            match &seen {
                None => take(&mut transaction, &lines).await?,
                Some(seen) => write_back(&mut transaction, seen, &lines).await?,
            }
            let amount = lines
                .iter()
                .map(|line| line.quantity * line.unit_price)
                .sum();
            Decision {
                state: "reserved".to_owned(),
                reason: None,
                amount,
                lines,
            }
        }
        Err(reason) => Decision {
            state: "refused".to_owned(),
            reason: Some(reason),
            amount: 0,
            lines: Vec::new(),
        },
    };
    write(&mut transaction, &wish.order_id, &decision).await?;
    transaction.commit().await?;
    Ok(decision)
}

/// Gives back what an order holds; an order that has not asked yet will be refused.
pub(super) async fn release(database: &Database, order_id: &str) -> Result<(), ApiError> {
    again(|| give_back(database, order_id)).await
}

async fn give_back(database: &Database, order_id: &str) -> Result<(), ApiError> {
    let mut transaction = database.begin().await?;
    match decided(&mut transaction, database.dialect(), order_id).await? {
        Some(decision) if decision.state == "reserved" => {
            let statement = "UPDATE stock SET available = available + $2 WHERE product_id = $1";
            move_stock(&mut transaction, statement, &decision.lines).await?;
            sqlx::query(
                "UPDATE reservations SET state = 'released', reason = $2 WHERE order_id = $1",
            )
            .bind(order_id)
            .bind(RELEASED)
            .execute(&mut *transaction)
            .await?;
        }
        Some(_) => {}
        None => {
            let reason = Some(RELEASED.to_owned());
            let stone = Decision {
                state: "released".to_owned(),
                reason,
                amount: 0,
                lines: Vec::new(),
            };
            write(&mut transaction, order_id, &stone).await?;
        }
    }
    Ok(transaction.commit().await?)
}

/// What a released order is told if it asks once more.
const RELEASED: &str = "the order was given up";

type Row = (String, Option<String>, i64, String);

// Locks the decision, so that stock is given back once.
async fn decided(
    connection: &mut AnyConnection,
    dialect: Dialect,
    order_id: &str,
) -> Result<Option<Decision>, ApiError> {
    let row: Option<Row> = sqlx::query_as(dialect.pick(
        "SELECT state, reason, amount, lines FROM reservations WHERE order_id = $1",
        "SELECT state, reason, amount, lines FROM reservations WHERE order_id = $1 FOR UPDATE",
    ))
    .bind(order_id)
    .fetch_optional(connection)
    .await?;
    let Some((state, reason, amount, lines)) = row else {
        return Ok(None);
    };
    let lines = serde_json::from_str(&lines)
        .map_err(|error| ApiError::internal(format!("stored lines: {error}")))?;
    Ok(Some(Decision {
        state,
        reason,
        amount,
        lines,
    }))
}

/// Name, price and what is left of a product.
type Offer = (String, i64, i64);

// What there is of each product. Rows are locked in the order of their ids by whoever sets stock aside
// or gives it back, so that nobody waits in a ring.
async fn offers(
    connection: &mut AnyConnection,
    dialect: Dialect,
    wished: &[WishedLine],
) -> Result<BTreeMap<String, Offer>, sqlx::Error> {
    let ids: Vec<&str> = wished.iter().map(|line| line.product_id.as_str()).collect();
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(dialect.pick(
        "SELECT p.id, p.name, p.price, s.available FROM products p JOIN stock s ON s.product_id = p.id
         WHERE p.id IN (SELECT value FROM json_each($1))",
        "SELECT p.id, p.name, p.price, s.available FROM products p JOIN stock s ON s.product_id = p.id
         WHERE s.product_id = ANY(ARRAY(SELECT json_array_elements_text($1::json)))
         ORDER BY s.product_id FOR UPDATE OF s",
    ))
    .bind(json!(ids).to_string())
    .fetch_all(connection)
    .await?;
    let offer = |(id, name, price, left)| (id, (name, price, left));
    Ok(rows.into_iter().map(offer).collect())
}

// The lines with names and prices, or why they cannot be had.
async fn price(
    connection: &mut AnyConnection,
    dialect: Dialect,
    wished: &[WishedLine],
) -> Result<Result<Vec<Line>, String>, ApiError> {
    let offers = offers(connection, dialect, wished).await?;
    let mut lines: Vec<Line> = Vec::with_capacity(wished.len());
    for WishedLine {
        product_id,
        quantity,
    } in wished
    {
        let Some((name, unit_price, available)) = offers.get(product_id) else {
            return Ok(Err(format!("there is no product `{product_id}`")));
        };
        if lines.iter().any(|line| line.product_id == *product_id) {
            return Ok(Err(format!(
                "product `{product_id}` stands in the order twice"
            )));
        }
        if available < quantity {
            return Ok(Err(format!("only {available} of `{product_id}` are left")));
        }
        lines.push(Line {
            product_id: product_id.clone(),
            name: name.clone(),
            quantity: *quantity,
            unit_price: *unit_price,
        });
    }
    Ok(Ok(lines))
}

async fn take(transaction: &mut Transaction<'_, Any>, lines: &[Line]) -> Result<(), ApiError> {
    let statement = "UPDATE stock SET available = available - $2 WHERE product_id = $1";
    move_stock(transaction, statement, lines).await
}

async fn move_stock(
    transaction: &mut Transaction<'_, Any>,
    statement: &'static str,
    lines: &[Line],
) -> Result<(), ApiError> {
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_unstable_by(|one, other| one.product_id.cmp(&other.product_id));
    for line in lines {
        sqlx::query(statement)
            .bind(&line.product_id)
            .bind(line.quantity)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

async fn write(
    transaction: &mut Transaction<'_, Any>,
    order_id: &str,
    decision: &Decision,
) -> Result<(), ApiError> {
    let lines = serde_json::to_string(&decision.lines)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    sqlx::query(
        "INSERT INTO reservations (order_id, state, reason, amount, lines, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(order_id)
    .bind(&decision.state)
    .bind(&decision.reason)
    .bind(decision.amount)
    .bind(lines)
    .bind(clock::now_ms())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stock {
        database: Database,
        _folder: tempfile::TempDir,
    }

    impl Stock {
        async fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(folder.path(), "catalog", super::super::MIGRATIONS)
                .await
                .unwrap();
            super::super::seed::products(&database, 20).await.unwrap();
            sqlx::query("UPDATE stock SET initial = 5, available = 5 WHERE product_id = 'p-0002'")
                .execute(database.writer())
                .await
                .unwrap();
            Self {
                database,
                _folder: folder,
            }
        }

        async fn ask(&self, order_id: &str, lines: &[(&str, i64)]) -> Decision {
            let line = |(product, quantity): &(&str, i64)| WishedLine {
                product_id: (*product).to_owned(),
                quantity: *quantity,
            };
            let wish = Wish {
                order_id: order_id.to_owned(),
                lines: lines.iter().map(line).collect(),
            };
            reserve(&self.database, &wish, None).await.unwrap()
        }

        async fn left(&self) -> i64 {
            sqlx::query_scalar("SELECT available FROM stock WHERE product_id = 'p-0002'")
                .fetch_one(self.database.reader())
                .await
                .unwrap()
        }
    }

    #[tokio::test]
    async fn asking_twice_takes_stock_once_and_gives_the_same_answer() {
        let stock = Stock::open().await;
        let first = stock.ask("o-1", &[("p-0002", 3), ("p-0001", 1)]).await;
        assert_eq!(
            first.amount,
            3 * first.lines[0].unit_price + first.lines[1].unit_price
        );
        assert_eq!(
            stock.ask("o-1", &[("p-0002", 3), ("p-0001", 1)]).await,
            first
        );
        assert_eq!(stock.left().await, 2);
    }

    #[tokio::test]
    async fn a_refusal_takes_nothing_and_stays() {
        let stock = Stock::open().await;
        let refused = stock.ask("o-1", &[("p-0001", 1), ("p-0002", 6)]).await;
        assert_eq!((refused.state.as_str(), stock.left().await), ("refused", 5));
        assert_eq!(stock.ask("o-1", &[("p-0002", 1)]).await, refused);
        assert_eq!(stock.ask("o-2", &[("p-9999", 1)]).await.state, "refused");
        assert_eq!(
            stock
                .ask("o-3", &[("p-0002", 3), ("p-0002", 3)])
                .await
                .state,
            "refused"
        );
    }

    #[tokio::test]
    async fn stock_is_given_back_once() {
        let stock = Stock::open().await;
        stock.ask("o-1", &[("p-0002", 4)]).await;
        for _ in 0..2 {
            release(&stock.database, "o-1").await.unwrap();
        }
        assert_eq!(stock.left().await, 5);
        assert_eq!(stock.ask("o-1", &[("p-0002", 4)]).await.state, "released");
        assert_eq!(stock.left().await, 5);
    }

    #[tokio::test]
    async fn an_order_given_up_before_it_asked_gets_nothing() {
        let stock = Stock::open().await;
        release(&stock.database, "o-late").await.unwrap();
        assert_eq!(
            stock.ask("o-late", &[("p-0002", 1)]).await.state,
            "released"
        );
        assert_eq!(stock.left().await, 5);
    }

    #[tokio::test]
    async fn many_at_once_never_sell_more_than_there_is() {
        let stock = Stock::open().await;
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..12 {
            let database = stock.database.clone();
            asking.spawn(async move {
                let lines = vec![WishedLine {
                    product_id: "p-0002".to_owned(),
                    quantity: 1,
                }];
                reserve(
                    &database,
                    &Wish {
                        order_id: format!("o-{number}"),
                        lines,
                    },
                    None,
                )
                .await
                .unwrap()
                .state
            });
        }
        let states = asking.join_all().await;
        assert_eq!(
            states.iter().filter(|state| *state == "reserved").count(),
            5
        );
        assert_eq!(stock.left().await, 0);
    }
}

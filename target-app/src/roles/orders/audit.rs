//! Reads out all orders for an audit.
//!
//! Invariant: one statement reads them all, so an answer shows one moment.

use futures_util::TryStreamExt as _;

use crate::audit::{Book, Line, Lines};
use crate::database::Database;
use crate::http::error::ApiError;

/// The orders of this role's database.
pub(super) struct OrderBook(pub(super) Database);

/// Id, key, amount, lines as JSON, states as JSON.
type Row = (String, String, i64, String, String);

impl Book for OrderBook {
    async fn read_out(&self, lines: &mut Lines) -> Result<(), ApiError> {
        let mut moment = self.0.snapshot().await?;
        let mut rows = sqlx::query_as(self.0.dialect().pick(
            "SELECT id, request_key, amount, lines,
                    (SELECT json_group_array(state ORDER BY step) FROM order_states WHERE order_id = id)
             FROM orders ORDER BY id",
            "SELECT id, request_key, amount, lines,
                    (SELECT json_agg(state ORDER BY step)::text FROM order_states WHERE order_id = id)
             FROM orders ORDER BY id",
        ))
        .fetch(&mut *moment);
        while let Some(row) = rows.try_next().await? {
            lines.put(&line(row).map_err(|error| ApiError::internal(error.to_string()))?)?;
        }
        Ok(())
    }
}

fn line((id, key, amount, items, states): Row) -> Result<Line, serde_json::Error> {
    Ok(Line::Order {
        id,
        key,
        amount,
        states: serde_json::from_str(&states)?,
        items: serde_json::from_str(&items)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_history_follows_every_change_and_begins_where_older_orders_stood() {
        let folder = tempfile::tempdir().unwrap();
        let migrations = super::super::MIGRATIONS;
        let old = Database::open(folder.path(), "orders", &migrations[..1])
            .await
            .unwrap();
        let make =
            "INSERT INTO orders (id, shopper_id, request_key, fingerprint, card, lines, state, due,
                                        created_at, updated_at)
                    VALUES ($1, 's', $1, 'x', 'card-demo', '[]', 'pending', 1, 0, 0)";
        let move_on = "UPDATE orders SET state = $1 WHERE id = $2";
        sqlx::query(make)
            .bind("o-old")
            .execute(old.writer())
            .await
            .unwrap();
        sqlx::query(move_on)
            .bind("reserved")
            .bind("o-old")
            .execute(old.writer())
            .await
            .unwrap();
        old.close().await;

        let new = Database::open(folder.path(), "orders", migrations)
            .await
            .unwrap();
        sqlx::query(make)
            .bind("o-new")
            .execute(new.writer())
            .await
            .unwrap();
        for (state, id) in [
            ("reserved", "o-new"),
            ("confirmed", "o-old"),
            ("confirmed", "o-new"),
        ] {
            sqlx::query(move_on)
                .bind(state)
                .bind(id)
                .execute(new.writer())
                .await
                .unwrap();
        }
        check(&new, "o-old", "reserved confirmed").await;
        check(&new, "o-new", "pending reserved confirmed").await;
    }

    async fn check(database: &Database, id: &str, states: &str) {
        let history: Vec<String> =
            sqlx::query_scalar("SELECT state FROM order_states WHERE order_id = $1 ORDER BY step")
                .bind(id)
                .fetch_all(database.reader())
                .await
                .unwrap();
        assert_eq!(history.join(" "), states);
    }
}

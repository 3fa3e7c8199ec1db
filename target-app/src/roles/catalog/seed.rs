//! Makes the products: always the same names and prices for the same numbers.
//!
//! Invariant: running it twice, or in several processes at once, makes them once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};
use sqlx::{Any, Transaction};

use super::assortment;
use crate::database::{Database, Dialect};

/// Products of the demonstration shop.
pub(super) const PRODUCTS: u32 = 200;
/// Pieces of each: far more than any run sells.
const STOCK: i64 = 1_000_000;

/// Kinds of product with their category and their lowest price in hundredths.
const KINDS: [(&str, &str, i64); 20] = [
    ("Desk Lamp", "lighting", 2490),
    ("Floor Lamp", "lighting", 5990),
    ("Pendant Light", "lighting", 4490),
    ("Armchair", "furniture", 18_900),
    ("Dining Chair", "furniture", 7900),
    ("Side Table", "furniture", 5900),
    ("Bookshelf", "furniture", 9900),
    ("Coat Rack", "furniture", 3900),
    ("Tea Kettle", "kitchen", 2990),
    ("Coffee Mug", "kitchen", 890),
    ("Bread Knife", "kitchen", 1990),
    ("Cutting Board", "kitchen", 1790),
    ("Frying Pan", "kitchen", 3490),
    ("Wool Blanket", "textiles", 4990),
    ("Linen Cushion", "textiles", 1990),
    ("Bath Towel", "textiles", 1490),
    ("Wall Clock", "decoration", 2790),
    ("Picture Frame", "decoration", 1290),
    ("Flower Vase", "decoration", 1690),
    ("Candle Holder", "decoration", 990),
];
/// Lines a kind comes in.
const LINES: [&str; 10] = [
    "Oslo", "Lisbon", "Kyoto", "Aarhus", "Verona", "Galway", "Tallinn", "Bergen", "Ghent", "Porto",
];

/// Makes so many products if there are none.
pub(super) async fn products(database: &Database, count: u32) -> Result<(), sqlx::Error> {
    let mut transaction = alone(database).await?;
    let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM products LIMIT 1")
        .fetch_optional(&mut *transaction)
        .await?;
    if there.is_some() {
        return transaction.rollback().await;
    }
    let rows: Vec<Value> = (1..=count).map(product).collect();
    insert(&mut transaction, database.dialect(), &rows).await?;
    transaction.commit().await
}

/// Makes those of some numbers that are not there: the demonstration's own up to [`PRODUCTS`], and beyond
/// that the assortment of a seed. Says how many it made.
pub(super) async fn missing(
    database: &Database,
    numbers: RangeInclusive<u32>,
    seed: u64,
) -> Result<usize, sqlx::Error> {
    let mut transaction = alone(database).await?;
    let there: Vec<i64> =
        sqlx::query_scalar("SELECT number FROM products WHERE number BETWEEN $1 AND $2")
            .bind(i64::from(*numbers.start()))
            .bind(i64::from(*numbers.end()))
            .fetch_all(&mut *transaction)
            .await?;
    let there: BTreeSet<i64> = there.into_iter().collect();
    let missing = numbers.filter(|number| !there.contains(&i64::from(*number)));
    let rows: Vec<Value> = missing
        .map(|number| match number {
            ..=PRODUCTS => product(number),
            _ => assortment::product(number, seed),
        })
        .collect();
    if rows.is_empty() {
        transaction.rollback().await?;
        return Ok(0);
    }
    insert(&mut transaction, database.dialect(), &rows).await?;
    transaction.commit().await?;
    Ok(rows.len())
}

/// A transaction that alone may change the list: one process at a time makes products; others go on reading, and selling what is there.
pub(super) async fn alone(database: &Database) -> Result<Transaction<'static, Any>, sqlx::Error> {
    let mut transaction = database.begin().await?;
    if database.dialect() == Dialect::Postgres {
        sqlx::query("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction)
}

// Products, their words and their stock. Stock outlives a product that was taken off the list, since what
// was sold of it must stay known.
async fn insert(
    transaction: &mut Transaction<'_, Any>,
    dialect: Dialect,
    rows: &[Value],
) -> Result<(), sqlx::Error> {
    let rows = json!(rows).to_string();
    sqlx::query(dialect.pick(
        "INSERT INTO products (number, id, name, category, description, price)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1)",
        "INSERT INTO products (number, id, name, category, description, price)
         SELECT (value ->> 0)::bigint, value ->> 1, value ->> 2, value ->> 3, value ->> 4, (value ->> 5)::bigint
         FROM json_array_elements($1::json)",
    ))
    .bind(&rows)
    .execute(&mut **transaction)
    .await?;
    // PostgreSQL keeps the words by itself.
    if dialect == Dialect::Sqlite {
        sqlx::query(
            "INSERT INTO product_words (rowid, name, category)
             SELECT value ->> 0, value ->> 2, value ->> 3 FROM json_each($1)",
        )
        .bind(&rows)
        .execute(&mut **transaction)
        .await?;
    }
    sqlx::query(dialect.pick(
        "INSERT INTO stock (product_id, initial, available)
         SELECT value ->> 1, $2, $2 FROM json_each($1) WHERE true ON CONFLICT (product_id) DO NOTHING",
        "INSERT INTO stock (product_id, initial, available)
         SELECT value ->> 1, $2, $2 FROM json_array_elements($1::json) ON CONFLICT (product_id) DO NOTHING",
    ))
    .bind(&rows)
    .bind(STOCK)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The id of the product of a number that was seeded.
pub(super) fn id(number: u32) -> String {
    format!("p-{number:04}")
}

fn product(number: u32) -> Value {
    let at = number as usize - 1;
    let (kind, category, base) = KINDS[at % KINDS.len()];
    let line = LINES[at / KINDS.len() % LINES.len()];
    let edition = at / (KINDS.len() * LINES.len());
    let name = if edition == 0 {
        format!("{line} {kind}")
    } else {
        format!("{line} {kind} {}", edition + 1)
    };
    // Spread over half the base price again, in steps of ten cents.
    let price = base + i64::from(number) * 37 % 50 * base / 1000 * 10;
    let description = format!("{name}, made to last, from our {category} department.");
    json!([number, id(number), name, category, description, price])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_prices_are_sound() {
        let products: Vec<Value> = (1..=1000).map(product).collect();
        let names: BTreeSet<&str> = products
            .iter()
            .map(|row| row[2].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 1000);
        assert!(
            products
                .iter()
                .all(|row| (500..50_000).contains(&row[5].as_i64().unwrap()))
        );
        assert_eq!(products[0][1], "p-0001");
        assert_eq!(products[0], product(1));
    }

    #[tokio::test]
    async fn seeding_twice_makes_each_product_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "catalog", super::super::MIGRATIONS)
            .await
            .unwrap();
        for _ in 0..2 {
            products(&database, PRODUCTS).await.unwrap();
        }
        let counted: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM products), (SELECT sum(available) FROM stock)",
        )
        .fetch_one(database.reader())
        .await
        .unwrap();
        assert_eq!(counted, (i64::from(PRODUCTS), i64::from(PRODUCTS) * STOCK));
    }
    #[tokio::test]
    async fn only_what_is_missing_is_made_and_can_be_found() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "catalog", super::super::MIGRATIONS)
            .await
            .unwrap();
        products(&database, PRODUCTS).await.unwrap();
        assert_eq!(missing(&database, 1..=1000, 7).await.unwrap(), 800);
        assert_eq!(missing(&database, 1..=1000, 7).await.unwrap(), 0);
        sqlx::query("DELETE FROM products WHERE number = 500")
            .execute(database.writer())
            .await
            .unwrap();
        assert_eq!(missing(&database, 1..=1000, 7).await.unwrap(), 1);
        let counted: (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM stock),
                    (SELECT count(*) FROM product_words JOIN products p ON p.number = product_words.rowid
                     WHERE product_words MATCH 'lighting')",
        )
        .fetch_one(database.reader())
        .await
        .unwrap();
        assert_eq!(counted, (1000, 1000, 30 + 160));
    }
}

//! Makes the products: always the same names and prices for the same numbers.
//!
//! Invariant: running it twice, or in several processes at once, makes them once.

use serde_json::{Value, json};

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
    let mut transaction = database.begin().await?;
    if database.dialect() == Dialect::Postgres {
        // One process at a time, as the write lock has it on SQLite; reading goes on.
        sqlx::query("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
    }
    let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM products LIMIT 1")
        .fetch_optional(&mut *transaction)
        .await?;
    if there.is_some() {
        return transaction.rollback().await;
    }
    let rows: Vec<Value> = (1..=count).map(product).collect();
    sqlx::query(database.dialect().pick(
        "INSERT INTO products (number, id, name, category, description, price)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1)",
        "INSERT INTO products (number, id, name, category, description, price)
         SELECT (value ->> 0)::bigint, value ->> 1, value ->> 2, value ->> 3, value ->> 4, (value ->> 5)::bigint
         FROM json_array_elements($1::json)",
    ))
    .bind(json!(rows).to_string())
    .execute(&mut *transaction)
    .await?;
    // PostgreSQL keeps the words by itself.
    if database.dialect() == Dialect::Sqlite {
        sqlx::query("INSERT INTO product_words (product_words) VALUES ('rebuild')")
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(
        "INSERT INTO stock (product_id, initial, available) SELECT id, $1, $1 FROM products",
    )
    .bind(STOCK)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
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
    json!([
        number,
        format!("p-{number:04}"),
        name,
        category,
        description,
        price
    ])
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
}

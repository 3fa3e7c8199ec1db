//! What admins do to the list: put a product on it, change one, take one off.
//!
//! A change of a price is for what is bought afterwards: an order keeps the prices it was reserved at, and
//! a cart is charged at those of the moment of its check-out.
//!
//! Invariant: only a request that the gateway marked as an admin's changes anything; what was sold of a
//! product stays known after it is off the list.

use std::sync::Arc;

use ::http::request::Parts;
use ::http::{StatusCode, header};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{Any, Transaction};

use super::{CURRENCY, Shelf, seed};
use crate::database::Dialect;
use crate::http::body::Body;
use crate::http::context::SCOPE;
use crate::http::error::ApiError;
use crate::http::extract::{IdempotencyKey, Ids};
use crate::http::fields::Fields;

/// The most pieces a new product can begin with.
const STOCK_MAX: i64 = 1_000_000_000;
/// The highest price, in hundredths.
const PRICE_MAX: i64 = 10_000_000;

/// Proof that an admin asks.
pub(super) struct Admin;

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let is_admin = parts
            .headers
            .get(SCOPE)
            .is_some_and(|scope| scope == "admin");
        is_admin.then_some(Self).ok_or_else(|| {
            ApiError::new(
                StatusCode::FORBIDDEN,
                "only admins change the list of products",
            )
            .help("log in as somebody whose token has the scope `admin`")
        })
    }
}

/// A product as admins write it.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    name: String,
    category: String,
    description: String,
    price: i64,
}

impl Wish {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let wish = Self {
            name: line(fields, "name", 120)?,
            category: line(fields, "category", 40)?,
            description: fields.text("description", 1..=2000)?,
            price: fields.integer("price", 1..=PRICE_MAX)?,
        };
        Ok(wish)
    }

    fn document(&self, id: &str) -> Json<Value> {
        Json(json!({
            "id": id, "name": self.name, "category": self.category,
            "description": self.description, "price": self.price, "currency": CURRENCY,
        }))
    }
}

// One line of text that shows something.
fn line(fields: &mut Fields, name: &str, length: usize) -> Result<String, ApiError> {
    let text = fields.text(name, 1..=length)?.trim().to_owned();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(fields.wrong(name, "must be one line that is not empty"));
    }
    Ok(text)
}

/// `POST /products`
pub(super) async fn create(
    _: Admin,
    State(shelf): State<Arc<Shelf>>,
    key: IdempotencyKey,
    Body(body): Body,
) -> Result<impl axum::response::IntoResponse, ApiError> {
    let mut fields = Fields::parse(&body)?;
    let wish = Wish::read(&mut fields)?;
    let stock = fields.integer("stock", 0..=STOCK_MAX)?;
    fields.finish()?;
    // The key names the product, so that a request sent again finds what it made.
    let id = id_of(&key.required()?);
    let database = &shelf.database;
    let mut transaction = seed::alone(database).await?;
    let made = sqlx::query(
        "INSERT INTO products (number, id, name, category, description, price)
         SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5 FROM products WHERE true
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&id)
    .bind(&wish.name)
    .bind(&wish.category)
    .bind(&wish.description)
    .bind(wish.price)
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if made > 0 {
        sqlx::query(
            "INSERT INTO stock (product_id, initial, available) VALUES ($1, $2, $2)
             ON CONFLICT (product_id) DO NOTHING",
        )
        .bind(&id)
        .bind(stock)
        .execute(&mut *transaction)
        .await?;
        index(&mut transaction, database.dialect(), &id, "").await?;
    }
    transaction.commit().await?;
    shelf.cache.forget(&id).await;
    let place = [(header::LOCATION, format!("/products/{id}"))];
    Ok((StatusCode::CREATED, place, wish.document(&id)))
}

fn id_of(key: &str) -> String {
    let start = Sha256::digest(key.as_bytes()).into_iter().take(8);
    format!(
        "p-{:016x}",
        start.fold(0_u64, |id, byte| id << 8 | u64::from(byte))
    )
}

/// `PUT /products/{id}`
pub(super) async fn replace(
    _: Admin,
    State(shelf): State<Arc<Shelf>>,
    ids: Ids,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let id = ids.get("id");
    let mut fields = Fields::parse(&body)?;
    let wish = Wish::read(&mut fields)?;
    fields.finish()?;
    let dialect = shelf.database.dialect();
    let mut transaction = seed::alone(&shelf.database).await?;
    index(&mut transaction, dialect, id, "delete").await?;
    let replaced = sqlx::query(
        "UPDATE products SET name = $2, category = $3, description = $4, price = $5 WHERE id = $1",
    )
    .bind(id)
    .bind(&wish.name)
    .bind(&wish.category)
    .bind(&wish.description)
    .bind(wish.price)
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if replaced == 0 {
        return Err(super::no_such_product(id));
    }
    index(&mut transaction, dialect, id, "").await?;
    transaction.commit().await?;
    shelf.cache.forget(id).await;
    Ok(wish.document(id))
}

/// `DELETE /products/{id}`
pub(super) async fn remove(
    _: Admin,
    State(shelf): State<Arc<Shelf>>,
    ids: Ids,
) -> Result<StatusCode, ApiError> {
    let id = ids.get("id");
    let mut transaction = seed::alone(&shelf.database).await?;
    index(&mut transaction, shelf.database.dialect(), id, "delete").await?;
    // Its stock stays: it tells what was sold.
    sqlx::query("DELETE FROM products WHERE id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    shelf.cache.forget(id).await;
    // Gone is gone, also when it was gone before: so the request can be repeated.
    Ok(StatusCode::NO_CONTENT)
}

// Adds the words of a product as it stands, or takes them out with `delete`; PostgreSQL does so by itself.
// FTS5 must be told the old words to forget them (https://www.sqlite.org/fts5.html, section 6.3).
async fn index(
    transaction: &mut Transaction<'_, Any>,
    dialect: Dialect,
    id: &str,
    command: &str,
) -> Result<(), sqlx::Error> {
    if dialect == Dialect::Postgres {
        return Ok(());
    }
    let statement = if command.is_empty() {
        "INSERT INTO product_words (rowid, name, category) SELECT number, name, category FROM products WHERE id = $1"
    } else {
        "INSERT INTO product_words (product_words, rowid, name, category)
         SELECT 'delete', number, name, category FROM products WHERE id = $1"
    };
    sqlx::query(statement)
        .bind(id)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &Value, fine: bool) {
        let read = Fields::parse(body.to_string().as_bytes())
            .and_then(|mut fields| Wish::read(&mut fields));
        assert_eq!(read.is_ok(), fine, "{body}: {read:?}");
    }

    #[test]
    fn a_product_has_a_name_a_category_and_a_price() {
        let product = |name: &str, price: Value| json!({ "name": name, "category": "x", "description": "y", "price": price });
        check(&product("Lamp", json!(990)), true);
        check(&product("  ", json!(990)), false);
        check(&product("two\nlines", json!(990)), false);
        check(&product(&"x".repeat(121), json!(990)), false);
        check(&product("Lamp", json!(0)), false);
        check(&product("Lamp", json!(9.9)), false);
        check(&json!({ "name": "Lamp" }), false);
    }

    #[test]
    fn one_key_is_one_id() {
        assert_eq!(id_of("key-1"), id_of("key-1"));
        assert_ne!(id_of("key-1"), id_of("key-2"));
        assert_eq!(id_of("key-1").len(), 18);
    }
}

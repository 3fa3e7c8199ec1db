//! Carts: each belongs to one shopper, and a shopper may have many at once.
//!
//! Invariant: repeating a request with its key changes nothing more; a cart held by an order does not
//! change.

use std::sync::Arc;

use ::http::StatusCode;
use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{Any, FromRow, Row as _, Transaction};
use uuid::Uuid;

use super::Orders;
use crate::clock;
use crate::database::Dialect;
use crate::http::body::Body;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::extract::{IdempotencyKey, Ids, Shopper, is_id};
use crate::http::fields::Fields;
use crate::roles::CURRENCY;

/// The most pieces of one product in a cart or order.
pub(super) const QUANTITY_MAX: i64 = 100;
/// The most different products in a cart or order.
pub(super) const LINES_MAX: usize = 50;

/// One product in a cart.
#[derive(Debug, Serialize)]
struct CartLine {
    product_id: String,
    name: String,
    unit_price: i64,
    quantity: i64,
}

impl FromRow<'_, AnyRow> for CartLine {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let (product_id, name) = (row.try_get("product_id")?, row.try_get("name")?);
        Ok(Self {
            product_id,
            name,
            unit_price: row.try_get("unit_price")?,
            quantity: row.try_get("quantity")?,
        })
    }
}

/// A product and how many of it, as shoppers send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) product_id: String,
    pub(super) quantity: i64,
}

impl Piece {
    /// Reads the two fields out of an object that holds no others.
    pub(super) fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let product_id = fields.text("product_id", 1..=64)?;
        if !is_id(&product_id) {
            return Err(fields.wrong("product_id", "must be an id such as p-0001"));
        }
        let quantity = fields.integer("quantity", 1..=QUANTITY_MAX)?;
        fields.finish()?;
        Ok(Self {
            product_id,
            quantity,
        })
    }
}

/// `POST /carts`
pub(super) async fn create(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    key: IdempotencyKey,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id: String = sqlx::query_scalar(
        "INSERT INTO carts (id, shopper_id, request_key, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (shopper_id, request_key) DO UPDATE SET request_key = excluded.request_key
         RETURNING id",
    )
    .bind(format!("c-{}", Uuid::now_v7().simple()))
    .bind(shopper)
    .bind(key.required()?)
    .bind(clock::now_ms())
    .fetch_one(orders.database.writer())
    .await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({ "id": id, "items": [], "total": 0, "currency": CURRENCY })),
    ))
}

/// `GET /carts/{id}`
pub(super) async fn show(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    ids: Ids,
) -> Result<Json<Value>, ApiError> {
    let id = ids.get("id");
    let order_id = orders.owned_cart(id, &shopper).await?;
    let lines: Vec<CartLine> = sqlx::query_as(
        "SELECT product_id, name, unit_price, quantity FROM cart_lines WHERE cart_id = $1",
    )
    .bind(id)
    .fetch_all(orders.database.reader())
    .await?;
    let total: i64 = lines
        .iter()
        .map(|line| line.quantity * line.unit_price)
        .sum();
    Ok(Json(
        json!({ "id": id, "items": lines, "total": total, "currency": CURRENCY, "order_id": order_id }),
    ))
}

/// `POST /carts/{id}/items`
pub(super) async fn add(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    context: Context,
    ids: Ids,
    key: IdempotencyKey,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let piece = Piece::read(Fields::parse(&body)?)?;
    let key = key.required()?;
    orders.open_cart(ids.get("id"), &shopper).await?;
    let product = orders.product(&piece.product_id, &context).await?;
    let quantity = orders
        .add_line(ids.get("id"), &piece, &product, &key)
        .await?;
    Ok(Json(json!({
        "cart_id": ids.get("id"), "product_id": piece.product_id, "name": product.name,
        "unit_price": product.price, "quantity": quantity,
    })))
}

/// `DELETE /carts/{id}/items/{product_id}`
pub(super) async fn remove(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    ids: Ids,
) -> Result<StatusCode, ApiError> {
    orders.open_cart(ids.get("id"), &shopper).await?;
    let mut transaction = orders.changing(ids.get("id")).await?;
    sqlx::query(
        "DELETE FROM cart_lines WHERE cart_id = $1 AND product_id = $2
         AND EXISTS (SELECT 1 FROM carts WHERE id = $1 AND order_id IS NULL)",
    )
    .bind(ids.get("id"))
    .bind(ids.get("product_id"))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    // Gone is gone, also when it was gone before: so the request can be repeated.
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Product {
    name: String,
    price: i64,
}

impl Orders {
    // The order that holds the cart, if any; another shopper's cart does not exist.
    async fn owned_cart(&self, id: &str, shopper: &str) -> Result<Option<String>, ApiError> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as("SELECT order_id FROM carts WHERE id = $1 AND shopper_id = $2")
                .bind(id)
                .bind(shopper)
                .fetch_optional(self.database.reader())
                .await?;
        row.map(|(order_id,)| order_id)
            .ok_or_else(|| no_such_cart(id))
    }

    async fn open_cart(&self, id: &str, shopper: &str) -> Result<(), ApiError> {
        match self.owned_cart(id, shopper).await? {
            None => Ok(()),
            Some(order_id) => Err(already_ordered(id, &order_id)),
        }
    }

    async fn product(&self, id: &str, context: &Context) -> Result<Product, ApiError> {
        let answer = self
            .catalog
            .get_json(&format!("/products/{id}"), context)
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(ApiError::not_found(format!("there is no product `{id}`"))
                .field("product_id")
                .help("GET /products lists what there is"));
        }
        Ok(self.catalog.document(&answer, &[StatusCode::OK])?)
    }

    // A transaction that nobody else changes the cart in, nor takes it for an order.
    async fn changing(&self, cart: &str) -> Result<Transaction<'static, Any>, ApiError> {
        let mut transaction = self.database.begin().await?;
        if self.database.dialect() == Dialect::Postgres {
            sqlx::query("SELECT 1 FROM carts WHERE id = $1 FOR UPDATE")
                .bind(cart)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction)
    }

    // The new quantity. One statement checks the bounds and the key and adds.
    async fn add_line(
        &self,
        cart: &str,
        piece: &Piece,
        product: &Product,
        key: &str,
    ) -> Result<i64, ApiError> {
        let mut transaction = self.changing(cart).await?;
        let quantity: Option<i64> = sqlx::query_scalar(
            "INSERT INTO cart_lines (cart_id, product_id, name, unit_price, quantity, last_key)
             SELECT $1, $2, $3, $4, $5, $6
             WHERE EXISTS (SELECT 1 FROM carts WHERE id = $1 AND order_id IS NULL)
               AND (SELECT count(*) FROM cart_lines WHERE cart_id = $1 AND product_id <> $2) < $7
             ON CONFLICT (cart_id, product_id) DO UPDATE SET
               quantity = CASE cart_lines.last_key WHEN excluded.last_key THEN cart_lines.quantity
                          ELSE cart_lines.quantity + excluded.quantity END,
               last_key = excluded.last_key
             WHERE cart_lines.last_key = excluded.last_key OR cart_lines.quantity + excluded.quantity <= $8
             RETURNING quantity",
        )
        .bind(cart)
        .bind(&piece.product_id)
        .bind(&product.name)
        .bind(product.price)
        .bind(piece.quantity)
        .bind(key)
        .bind(i64::try_from(LINES_MAX).unwrap_or(i64::MAX))
        .bind(QUANTITY_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        quantity.ok_or_else(|| {
            ApiError::conflict("this cart cannot take the product").field("quantity").help(format!(
                "a cart that is not ordered yet holds at most {LINES_MAX} products, and {QUANTITY_MAX} of each"
            ))
        })
    }
}

/// 404 for a cart that is not there, or not the shopper's.
pub(super) fn no_such_cart(id: &str) -> ApiError {
    ApiError::not_found(format!("you have no cart `{id}`"))
        .field("cart_id")
        .help("POST /carts makes one")
}

/// 409 for a cart that an order holds.
pub(super) fn already_ordered(id: &str, order_id: &str) -> ApiError {
    ApiError::conflict(format!("cart `{id}` is already ordered as `{order_id}`"))
        .field("cart_id")
        .help("POST /carts makes a new cart")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, fine: bool) {
        let read = Fields::parse(body.as_bytes()).and_then(Piece::read);
        assert_eq!(read.is_ok(), fine, "{body}: {read:?}");
    }

    #[test]
    fn a_piece_is_one_product_and_a_bounded_quantity() {
        check(r#"{"product_id": "p-0001", "quantity": 1}"#, true);
        check(r#"{"product_id": "p-0001", "quantity": 100}"#, true);
        check(r#"{"product_id": "p-0001", "quantity": 101}"#, false);
        check(r#"{"product_id": "p-0001", "quantity": -1}"#, false);
        check(r#"{"product_id": "../users", "quantity": 1}"#, false);
        check(r#"{"product_id": 7, "quantity": 1}"#, false);
        check(r#"{"product_id": "p-0001"}"#, false);
        check(
            r#"{"product_id": "p-0001", "quantity": 1, "price": 0}"#,
            false,
        );
    }
}

//! `POST /checkout` turns a cart, or a list of products, into an order; `GET /orders/{id}` shows it.
//!
//! Invariant: one key of one shopper makes at most one order, whatever is sent with it and however
//! often.

use std::sync::Arc;

use ::http::StatusCode;
use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};
use sqlx::{Any, Transaction};
use uuid::Uuid;

use super::Orders;
use super::carts::{LINES_MAX, Piece, already_ordered, no_such_cart};
use super::order::Order;
use super::state::State;
use crate::clock;
use crate::database::Dialect;
use crate::http::body::Body;
use crate::http::context::Context;
use crate::http::error::{ApiError, again};
use crate::http::extract::{IdempotencyKey, Ids, Shopper, is_id};
use crate::http::fields::Fields;
use crate::roles::CURRENCY;

/// The card charged unless the shopper names one.
const CARD: &str = "card-demo";

/// What a shopper wants to buy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purchase {
    Cart(String),
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone)]
struct Wish {
    purchase: Purchase,
    card: String,
}

impl Wish {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let cart = fields.optional_text("cart_id", 1..=64)?;
        let pieces = fields.optional_list("items", 1..=LINES_MAX)?;
        let card = fields
            .optional_text("card", 1..=64)?
            .unwrap_or_else(|| CARD.to_owned());
        let purchase = match (cart, pieces) {
            (Some(cart), None) if is_id(&cart) => Purchase::Cart(cart),
            (Some(_), None) => return Err(fields.wrong("cart_id", "must be the id of a cart")),
            (None, Some(pieces)) => Purchase::Pieces(
                pieces
                    .into_iter()
                    .map(Piece::read)
                    .collect::<Result<_, _>>()?,
            ),
            (None, None) => {
                return Err(fields
                    .wrong("cart_id", "is missing")
                    .help("send `cart_id`, or `items` to buy without a cart"));
            }
            (Some(_), Some(_)) => {
                return Err(fields.wrong("items", "cannot be sent together with `cart_id`"));
            }
        };
        fields.finish()?;
        Ok(Self { purchase, card })
    }

    // Tells the same wish sent again from another wish under the same key.
    fn fingerprint(&self) -> String {
        match &self.purchase {
            Purchase::Cart(id) => format!("{} cart {id}", self.card),
            Purchase::Pieces(pieces) => {
                let pieces: Vec<String> = pieces
                    .iter()
                    .map(|piece| format!("{}x{}", piece.quantity, piece.product_id))
                    .collect();
                format!("{} items {}", self.card, pieces.join(" "))
            }
        }
    }
}

/// `POST /checkout`
pub(super) async fn check_out(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    context: Context,
    key: IdempotencyKey,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let key = key.required()?;
    let wish = Wish::read(&body)?;
    let order = again(|| orders.open(&shopper, &key, &wish)).await?;
    let order = orders.drive(order, &context).await?;
    answer(&order)
}

/// `GET /orders/{id}`
pub(super) async fn show(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    ids: Ids,
) -> Result<Json<Value>, ApiError> {
    let id = ids.get("id");
    let row: Option<(String, Option<String>, i64, String, i64, i64)> = sqlx::query_as(
        "SELECT state, reason, amount, lines, created_at, updated_at FROM orders WHERE id = $1 AND shopper_id = $2",
    )
    .bind(id)
    .bind(shopper)
    .fetch_optional(orders.database.reader())
    .await?;
    let (status, reason, amount, lines, created_at, updated_at) =
        row.ok_or_else(|| ApiError::not_found(format!("you have no order `{id}`")).field("id"))?;
    let items: Value =
        serde_json::from_str(&lines).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(json!({
        "order_id": id, "status": status, "reason": reason, "amount": amount, "currency": CURRENCY,
        "items": items, "created_at": created_at, "updated_at": updated_at,
    })))
}

fn answer(order: &Order) -> Result<Json<Value>, ApiError> {
    let reason = order.reason.clone().unwrap_or_default();
    match order.state {
        State::Confirmed => Ok(Json(json!({
            "order_id": order.id, "status": order.state.name(), "amount": order.amount, "currency": CURRENCY,
        }))),
        State::Cancelling | State::Refunded => Err(ApiError::conflict("the order was cancelled")
            .field("Idempotency-Key")
            .help("check out again with a new Idempotency-Key")),
        State::Refused if order.refused_by_payments() => Err(ApiError::new(
            StatusCode::PAYMENT_REQUIRED,
            format!("the payment was refused: {reason}"),
        )
        .field("card")
        .help("check out again with another card and a new Idempotency-Key")),
        State::Refused if !order.is_undecided() => Err(ApiError::conflict(format!(
            "the order cannot be filled: {reason}"
        ))
        .field("items")
        .help("change the cart and check out again with a new Idempotency-Key")),
        State::Refused | State::Voiding | State::Cancelled => Err(ApiError::conflict(
            "the order was given up because it could not be finished in time",
        )
        .field("Idempotency-Key")
        .help("nothing stays charged; check out again with a new key")),
        State::Pending | State::Reserved => {
            Err(ApiError::busy("the order is still being worked on")
                .help("send the same request with the same Idempotency-Key again"))
        }
    }
}

impl Orders {
    // The order of this key: found, or made in one transaction, so that two instances that get the key
    // at once agree on one order: the second one finds the cart locked, or the key taken, and looks again.
    async fn open(&self, shopper: &str, key: &str, wish: &Wish) -> Result<Order, ApiError> {
        let fingerprint = wish.fingerprint();
        let mut transaction = self.database.begin().await?;
        let held = match &wish.purchase {
            Purchase::Pieces(_) => None,
            Purchase::Cart(cart) => {
                holder(&mut transaction, self.database.dialect(), cart, shopper).await?
            }
        };
        if let Some((order, first)) = Order::by_key(&mut transaction, shopper, key).await? {
            transaction.rollback().await?;
            if first == fingerprint {
                return Ok(order);
            }
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this key was used for another purchase",
            )
            .field("Idempotency-Key")
            .help("use a new key for each purchase"));
        }
        // Nothing is begun that would only be left behind; what was begun under this key goes on above.
        let refusal = self.catalog.refuses().or_else(|| self.payments.refuses());
        if let Some(refusal) = refusal {
            transaction.rollback().await?;
            return Err(refusal.into());
        }
        let id = format!("o-{}", Uuid::now_v7().simple());
        let pieces = match &wish.purchase {
            Purchase::Pieces(pieces) => pieces.clone(),
            Purchase::Cart(cart) => take_cart(&mut transaction, cart, held, &id).await?,
        };
        let cart = match &wish.purchase {
            Purchase::Cart(cart) => Some(cart.as_str()),
            Purchase::Pieces(_) => None,
        };
        let lines: Vec<Value> = pieces
            .iter()
            .map(|piece| json!({ "product_id": piece.product_id, "quantity": piece.quantity }))
            .collect();
        let lines = Value::from(lines).to_string();
        let now = clock::now_ms();
        sqlx::query(
            "INSERT INTO orders (id, shopper_id, request_key, fingerprint, cart_id, card, lines, state, due,
                                 created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 1, $8, $8)",
        )
        .bind(&id)
        .bind(shopper)
        .bind(key)
        .bind(fingerprint)
        .bind(cart)
        .bind(&wish.card)
        .bind(&lines)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Order::pending(id, shopper, &wish.card, lines))
    }
}

/// The order that holds a cart, if any; nothing if the shopper has no such cart.
type Holder = Option<(Option<String>,)>;

// Locks the cart, so that what is read afterwards is true until the end of the transaction.
async fn holder(
    transaction: &mut Transaction<'_, Any>,
    dialect: Dialect,
    cart: &str,
    shopper: &str,
) -> Result<Holder, sqlx::Error> {
    sqlx::query_as(dialect.pick(
        "SELECT order_id FROM carts WHERE id = $1 AND shopper_id = $2",
        "SELECT order_id FROM carts WHERE id = $1 AND shopper_id = $2 FOR UPDATE",
    ))
    .bind(cart)
    .bind(shopper)
    .fetch_optional(&mut **transaction)
    .await
}

// Marks the cart as held by the order and says what is in it.
async fn take_cart(
    transaction: &mut Transaction<'_, Any>,
    cart: &str,
    held: Holder,
    order_id: &str,
) -> Result<Vec<Piece>, ApiError> {
    match held {
        None => return Err(no_such_cart(cart)),
        Some((Some(order_id),)) => return Err(already_ordered(cart, &order_id)),
        Some((None,)) => {}
    }
    let lines: Vec<(String, i64)> =
        sqlx::query_as("SELECT product_id, quantity FROM cart_lines WHERE cart_id = $1")
            .bind(cart)
            .fetch_all(&mut **transaction)
            .await?;
    if lines.is_empty() {
        return Err(ApiError::conflict(format!("cart `{cart}` is empty"))
            .field("cart_id")
            .help("add something with POST /carts/{id}/items first"));
    }
    sqlx::query("UPDATE carts SET order_id = $2 WHERE id = $1")
        .bind(cart)
        .bind(order_id)
        .execute(&mut **transaction)
        .await?;
    Ok(lines
        .into_iter()
        .map(|(product_id, quantity)| Piece {
            product_id,
            quantity,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, wanted: Result<&str, &str>) {
        match (Wish::read(body.as_bytes()), wanted) {
            (Ok(wish), Ok(fingerprint)) => assert_eq!(wish.fingerprint(), fingerprint),
            (Err(error), Err(text)) => {
                assert!(format!("{error:?}").contains(text), "{body}: {error:?}");
            }
            (read, _) => panic!("{body}: {read:?}"),
        }
    }

    #[test]
    fn a_wish_is_a_cart_or_a_list() {
        check(r#"{"cart_id": "c-1"}"#, Ok("card-demo cart c-1"));
        check(
            r#"{"cart_id": "c-1", "card": "card-7"}"#,
            Ok("card-7 cart c-1"),
        );
        check(
            r#"{"items": [{"product_id": "p-1", "quantity": 2}]}"#,
            Ok("card-demo items 2xp-1"),
        );
        check("{}", Err("`cart_id` is missing"));
        check(
            r#"{"cart_id": "c-1", "items": [{"product_id": "p-1", "quantity": 2}]}"#,
            Err("together with"),
        );
        check(r#"{"cart_id": "a b"}"#, Err("must be the id of a cart"));
        check(
            r#"{"items": [{"product_id": "p-1", "quantity": 0}]}"#,
            Err("`items[0].quantity`"),
        );
    }
}

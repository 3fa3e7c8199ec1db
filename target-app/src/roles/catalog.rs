//! Products: the list, the search, one product, and the stock of each.
//!
//! Invariant: stock never goes below zero, and each order's reservation is decided once.

mod careless;
mod reservations;
mod search;
mod seed;

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use super::CURRENCY;
use crate::audit::{self, Book, Line, Lines};
use crate::bug::Bug;
use crate::config::Storage;
use crate::database::{Database, Schema};
use crate::http::body::FromRole;
use crate::http::error::ApiError;
use crate::http::extract::Ids;
use crate::http::fields::Parameters;
use crate::serve::{ServeError, Started, Tasks};
use careless::Careless;
use reservations::{Decision, Wish};

const MIGRATIONS: &[&str] = &[include_str!("../../migrations/catalog/0001_start.sql")];
pub(super) const SCHEMA: Schema = Schema {
    name: "catalog",
    sqlite: MIGRATIONS,
    postgres: &[include_str!(
        "../../migrations/postgres/catalog/0001_start.sql"
    )],
};
/// The last page that can be asked for.
const PAGE_MAX: i64 = 10_000;
/// Products on a page unless the caller says otherwise.
const SIZE: i64 = 20;
/// The most products on a page.
const SIZE_MAX: i64 = 100;

/// Prepares the role, with its products in place.
pub(super) async fn start(storage: &Storage, bug: Option<Bug>) -> Result<Started, ServeError> {
    let mut tasks = Tasks::new();
    let rows = |database| async move { seed::products(&database, seed::PRODUCTS).await };
    let database = Database::start(storage, SCHEMA, rows, &mut tasks).await?;
    let careless = Arc::new(Careless::of(bug));
    let router = Router::new()
        .route("/products", get(list))
        .route("/products/search", get(find))
        .route("/products/{id}", get(show))
        .route("/reservations", post(reserve))
        .route("/reservations/{order_id}/release", post(release))
        .layer(Extension(careless))
        .with_state(Arc::new(database.clone()))
        .merge(audit::route(&storage.folder, StockBook(database.clone())));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

/// A product as lists show it.
#[derive(Debug, Serialize)]
struct Item {
    id: String,
    name: String,
    category: String,
    price: i64,
}

impl FromRow<'_, AnyRow> for Item {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let (id, name) = (row.try_get("id")?, row.try_get("name")?);
        Ok(Self {
            id,
            name,
            category: row.try_get("category")?,
            price: row.try_get("price")?,
        })
    }
}

type Pairs = Query<Vec<(String, String)>>;

async fn list(
    State(database): State<Arc<Database>>,
    Query(pairs): Pairs,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::new(pairs);
    let page = parameters.integer("page", 1, 1..=PAGE_MAX)?;
    let size = parameters.integer("size", SIZE, 1..=SIZE_MAX)?;
    // Numbers have no gaps and are the key, so a page is found without counting through those before.
    let items: Vec<Item> = sqlx::query_as(
        "SELECT id, name, category, price FROM products WHERE number > $1 ORDER BY number LIMIT $2",
    )
    .bind((page - 1) * size)
    .bind(size)
    .fetch_all(database.reader())
    .await?;
    Ok(Json(
        json!({ "items": items, "currency": CURRENCY, "page": page, "size": size }),
    ))
}

async fn find(
    State(database): State<Arc<Database>>,
    Query(pairs): Pairs,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::new(pairs);
    let text = parameters.text("q", 1..=64)?;
    let size = parameters.integer("size", SIZE, 1..=SIZE_MAX)?;
    let items: Vec<Item> = match search::expression(database.dialect(), text) {
        None => Vec::new(),
        Some(expression) => {
            sqlx::query_as(database.dialect().pick(
                "SELECT p.id, p.name, p.category, p.price FROM product_words
                 JOIN products p ON p.number = product_words.rowid
                 WHERE product_words MATCH $1 ORDER BY product_words.rowid LIMIT $2",
                "SELECT id, name, category, price FROM products
                 WHERE words @@ to_tsquery('simple', $1) ORDER BY number LIMIT $2",
            ))
            .bind(expression)
            .bind(size)
            .fetch_all(database.reader())
            .await?
        }
    };
    Ok(Json(
        json!({ "items": items, "currency": CURRENCY, "q": text }),
    ))
}

async fn show(
    State(database): State<Arc<Database>>,
    Extension(careless): Extension<Arc<Option<Careless>>>,
    ids: Ids,
) -> Result<Json<Value>, ApiError> {
    let id = ids.get("id");
    let row: Option<(String, String, String, i64, i64)> = sqlx::query_as(
        "SELECT p.name, p.category, p.description, p.price, s.available
         FROM products p JOIN stock s ON s.product_id = p.id WHERE p.id = $1",
    )
    .bind(id)
    .fetch_optional(database.reader())
    .await?;
    let (name, category, description, price, stock) =
        row.ok_or_else(|| ApiError::not_found(format!("there is no product `{id}`")).field("id"))?;
    let price = match careless.as_ref() {
        Some(careless) => careless.price(id, price),
        None => price,
    };
    Ok(Json(json!({
        "id": id, "name": name, "category": category, "description": description,
        "price": price, "currency": CURRENCY, "stock": stock,
    })))
}

async fn reserve(
    State(database): State<Arc<Database>>,
    Extension(careless): Extension<Arc<Option<Careless>>>,
    FromRole(wish): FromRole<Wish>,
) -> Result<(StatusCode, Json<Decision>), ApiError> {
    let careless = careless.as_ref().as_ref();
    let decision = reservations::reserve(&database, &wish, careless).await?;
    let status = if decision.state == "reserved" {
        StatusCode::OK
    } else {
        StatusCode::CONFLICT
    };
    Ok((status, Json(decision)))
}

async fn release(State(database): State<Arc<Database>>, ids: Ids) -> Result<Json<Value>, ApiError> {
    reservations::release(&database, ids.get("order_id")).await?;
    Ok(Json(json!({ "state": "released" })))
}

struct StockBook(Database);

impl Book for StockBook {
    // Pieces leave `available` when they are set aside and come back if the order fails; nobody tells
    // the catalog that an order was sold. So at rest, when no order is under way, what is set aside is
    // what was sold, and nothing is reserved.
    async fn read_out(&self, lines: &mut Lines) -> Result<(), ApiError> {
        let mut moment = self.0.snapshot().await?;
        let mut rows =
            sqlx::query_as("SELECT product_id, available FROM stock ORDER BY product_id")
                .fetch(&mut *moment);
        while let Some((sku, available)) = rows.try_next().await? {
            let reserved = 0;
            lines.put(&Line::Stock {
                sku,
                available,
                reserved,
            })?;
        }
        Ok(())
    }
}

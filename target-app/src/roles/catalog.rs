//! Products: the list, the search, one product, and the stock of each.
//!
//! Invariant: stock never goes below zero, and each order's reservation is decided once.

mod assortment;
mod changes;
mod planting;
mod reservations;
mod search;
mod seed;

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use super::CURRENCY;
use crate::audit::{self, Book, Line, Lines};
use crate::cache::{Cache, Found, Key};
use crate::config::{PartUrl, Storage};
use crate::database::{Database, Schema};
use crate::http::body::FromRole;
use crate::http::error::ApiError;
use crate::http::extract::Ids;
use crate::http::fields::Parameters;
use crate::link;
use crate::redis_link::RedisPart;
use crate::serve::{ServeError, Started, Tasks};
pub(crate) use planting::{PRODUCTS_MAX, plant};
use reservations::{Decision, Wish};

const MIGRATIONS: &[&str] = &[include_str!("../../migrations/catalog/0001_start.sql")];
const SCHEMA: Schema = Schema {
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
pub(super) async fn start(
    storage: &Storage,
    redis: Option<PartUrl>,
    registry: &mut Registry,
) -> Result<Started, ServeError> {
    let mut tasks = Tasks::new();
    let rows = |database| async move { seed::products(&database, seed::PRODUCTS).await };
    let database = Database::start(storage, SCHEMA, rows, &mut tasks).await?;
    let redis = redis.map(|url| {
        let (redis, keeper) = link::open(RedisPart::new(url), registry);
        tasks.start(|stop| keeper.run(stop));
        redis
    });
    let shelf = Shelf {
        database: database.clone(),
        cache: Cache::new(redis, registry),
    };
    let router = Router::new()
        .route("/products", get(list).post(changes::create))
        .route("/products/search", get(find))
        .route(
            "/products/{id}",
            get(show).put(changes::replace).delete(changes::remove),
        )
        .with_state(Arc::new(shelf))
        .merge(reservations(database.clone()))
        .merge(audit::route(&storage.folder, StockBook(database.clone())));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

fn reservations(database: Database) -> Router {
    Router::new()
        .route("/reservations", post(reserve))
        .route("/reservations/{order_id}/release", post(release))
        .with_state(Arc::new(database))
}

/// What can be looked at: the database, and what was read of it a moment ago.
#[derive(Debug)]
struct Shelf {
    database: Database,
    cache: Cache,
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

async fn list(State(shelf): State<Arc<Shelf>>, Query(pairs): Pairs) -> Result<Found, ApiError> {
    let parameters = Parameters::new(pairs);
    let page = parameters.integer("page", 1, 1..=PAGE_MAX)?;
    let size = parameters.integer("size", SIZE, 1..=SIZE_MAX)?;
    let key = Key::Page(format!("list:{size}:{page}"));
    let load = || read_page(&shelf.database, page, size);
    shelf.cache.answer(&key, load).await
}

async fn read_page(database: &Database, page: i64, size: i64) -> Result<Bytes, ApiError> {
    // A page is a stretch of numbers, which are the key: it is found without counting through those before,
    // and does not shift when a product on another one is taken off.
    let items: Vec<Item> = sqlx::query_as(
        "SELECT id, name, category, price FROM products WHERE number > $1 AND number <= $2 ORDER BY number",
    )
    .bind((page - 1) * size)
    .bind(page * size)
    .fetch_all(database.reader())
    .await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT max(number) FROM products")
        .fetch_one(database.reader())
        .await?;
    let more = last.is_some_and(|last| last > page * size);
    Ok(text(
        &json!({ "items": items, "currency": CURRENCY, "page": page, "size": size, "more": more }),
    ))
}

async fn find(State(shelf): State<Arc<Shelf>>, Query(pairs): Pairs) -> Result<Found, ApiError> {
    let parameters = Parameters::new(pairs);
    let words = parameters.text("q", 1..=64)?;
    let size = parameters.integer("size", SIZE, 1..=SIZE_MAX)?;
    let key = Key::Page(format!("search:{size}:{words}"));
    let load = || read_matches(&shelf.database, words, size);
    shelf.cache.answer(&key, load).await
}

async fn read_matches(database: &Database, words: &str, size: i64) -> Result<Bytes, ApiError> {
    let items: Vec<Item> = match search::expression(database.dialect(), words) {
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
    Ok(text(
        &json!({ "items": items, "currency": CURRENCY, "q": words }),
    ))
}

async fn show(State(shelf): State<Arc<Shelf>>, ids: Ids) -> Result<Found, ApiError> {
    let id = ids.get("id");
    let key = Key::Product(id.to_owned());
    let load = || read_product(&shelf.database, id);
    shelf.cache.answer(&key, load).await
}

async fn read_product(database: &Database, id: &str) -> Result<Bytes, ApiError> {
    let row: Option<(String, String, String, i64, i64)> = sqlx::query_as(
        "SELECT p.name, p.category, p.description, p.price, s.available
         FROM products p JOIN stock s ON s.product_id = p.id WHERE p.id = $1",
    )
    .bind(id)
    .fetch_optional(database.reader())
    .await?;
    let (name, category, description, price, stock) = row.ok_or_else(|| no_such_product(id))?;
    Ok(text(&json!({
        "id": id, "name": name, "category": category, "description": description,
        "price": price, "currency": CURRENCY, "stock": stock,
    })))
}

fn no_such_product(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no product `{id}`")).field("id")
}

fn text(document: &Value) -> Bytes {
    document.to_string().into()
}

async fn reserve(
    State(database): State<Arc<Database>>,
    FromRole(wish): FromRole<Wish>,
) -> Result<(StatusCode, Json<Decision>), ApiError> {
    let decision = reservations::reserve(&database, &wish).await?;
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

//! Looking around: the list, the search, one product.
//!
//! Invariant: nothing here needs to know who is looking.

use std::sync::Arc;

use axum::extract::{Query, State};
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::Frontend;
use super::form::fresh_key;
use super::page::Page;
use super::visitor::Visitor;
use crate::http::error::ApiError;
use crate::http::extract::Ids;
use crate::http::fields::Parameters;

/// Products on one page of the list: full rows of two, three, four and six.
const SIZE: i64 = 24;
/// Products found that are shown.
const FOUND_MAX: i64 = 60;
/// The last page that the catalog gives.
const PAGE_MAX: i64 = 10_000;
/// Pieces at which a page begins to count what is left.
const SCARCE: i64 = 10;

type Pairs = Query<Vec<(String, String)>>;

/// `GET /shop`
pub(super) async fn list(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    Query(pairs): Pairs,
) -> Result<Page, ApiError> {
    let page = Parameters::new(pairs).integer("page", 1, 1..=PAGE_MAX)?;
    let listing = frontend
        .callees
        .products(&visitor.caller, page, SIZE)
        .await??;
    let more = listing.more && page < PAGE_MAX;
    let content = context! {
        items => Value::from(Serde(&listing.items)), page, more, query => "", cut => false,
    };
    let title = if page == 1 {
        "Things for the home".to_owned()
    } else {
        format!("Page {page}")
    };
    Ok(Page::new("list.html", title, content))
}

/// `GET /shop/search`
pub(super) async fn find(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    Query(pairs): Pairs,
) -> Result<Page, ApiError> {
    let parameters = Parameters::new(pairs);
    let text = parameters.text("q", 0..=64)?.trim();
    let items = if text.is_empty() {
        Vec::new()
    } else {
        frontend
            .callees
            .search(&visitor.caller, text, FOUND_MAX)
            .await??
            .items
    };
    let content = context! {
        items => Value::from(Serde(&items)), page => 0, more => false, query => text,
        cut => items.len() == 60,
    };
    Ok(Page::new("list.html", format!("Search: {text}"), content))
}

/// `GET /shop/products/{id}`
pub(super) async fn show(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    ids: Ids,
) -> Result<Page, ApiError> {
    let product = frontend
        .callees
        .product(&visitor.caller, ids.get("id"))
        .await??;
    let content = context! {
        product => Value::from(Serde(&product)), scarce => product.stock <= SCARCE, key => fresh_key(),
    };
    Ok(Page::new("product.html", product.name, content))
}

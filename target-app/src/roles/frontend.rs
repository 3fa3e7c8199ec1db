//! The web page: the shop as people see it, made of what the other roles say.
//!
//! It keeps nothing. Who is logged in stands in a cookie that the gateway verifies, which cart is theirs
//! in another, and everything else with the roles that own it. Pages are HTML made here, without script;
//! forms carry the key that makes them safe to send twice, and an accepted form leads on to a page that
//! can be reloaded.
//!
//! Invariant: a text from anywhere else reaches a page escaped, and a role that is away takes only its own
//! part of a page with it.

mod account;
mod browse;
mod callees;
mod cart;
mod form;
mod frame;
mod order;
mod page;
mod visitor;

use std::sync::Arc;

use ::http::uri::Authority;
use ::http::{HeaderValue, StatusCode, header};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use prometheus_client::registry::Registry;

use crate::http::error::ApiError;
use crate::serve::{Started, Tasks};
use callees::Callees;

/// What all handlers of the role share.
struct Frontend {
    callees: Callees,
}

/// Prepares the role; the addresses are those of users, catalog and orders.
pub(super) fn start(addresses: [Authority; 3], registry: &mut Registry) -> Started {
    let frontend = Arc::new(Frontend {
        callees: Callees::new(addresses, registry),
    });
    let router = Router::new()
        .route("/shop", get(browse::list))
        .route("/shop/search", get(browse::find))
        .route("/shop/products/{id}", get(browse::show))
        .route("/shop/cart", get(cart::show))
        .route("/shop/cart/items", post(cart::add))
        .route("/shop/cart/items/{product_id}/remove", post(cart::remove))
        .route("/shop/check-out", post(order::check_out))
        .route("/shop/orders/{id}", get(order::show))
        .route(
            "/shop/log-in",
            get(account::log_in_form).post(account::log_in),
        )
        .route(
            "/shop/register",
            get(account::register_form).post(account::register),
        )
        .route("/shop/log-out", post(account::log_out))
        .route("/shop/{*rest}", get(no_such_page))
        .layer(from_fn_with_state(Arc::clone(&frontend), frame::frame))
        .route("/", get(async || Redirect::to("/shop")))
        .route("/shop/style.css", get(style))
        .route("/shop/icon.svg", get(icon))
        .with_state(frontend);
    Started {
        router,
        database: None,
        tasks: Tasks::new(),
    }
}

async fn no_such_page() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "There is no such page.")
        .help("Look among the products, or search for what you want.")
}

async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        // Its address names its content, so it can be kept for good.
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, page::STYLE)
}

async fn icon() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, page::ICON)
}

/// A cookie of ours: no script reads it, and other sites' forms do not send it.
fn cookie(name: &str, value: &str, path: &str, max_age_s: u64) -> Result<HeaderValue, ApiError> {
    let text = format!("{name}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(text).map_err(|error| ApiError::internal(format!("cookie: {error}")))
}

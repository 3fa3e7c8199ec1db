//! The cart: looking at it, putting in, taking out.
//!
//! Invariant: a form that is sent twice changes the cart once.

use std::sync::Arc;

use ::http::{StatusCode, header};
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use url::form_urlencoded::byte_serialize;

use super::callees::{Cart, Line, Refusal};
use super::form::{Form, fresh_key};
use super::page::Page;
use super::visitor::{CART, Visitor};
use super::{Frontend, cookie};
use crate::http::error::ApiError;
use crate::http::extract::{Ids, is_id};

/// How long a browser remembers which cart is meant, in seconds: a week.
const CART_AGE_S: u64 = 7 * 24 * 3600;
/// The most pieces of one product, as the orders' role has it.
const QUANTITY_MAX: i64 = 100;

/// `GET /shop/cart`
pub(super) async fn show(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
) -> Result<Response, ApiError> {
    if !visitor.is_shopper() {
        return Ok(to_log_in("/shop/cart"));
    }
    let cart = frontend.present_cart(&visitor).await?;
    Ok(page(visitor.cart.as_deref().unwrap_or_default(), &cart, "").into_response())
}

/// The page of a cart; `wrong` says why it could not be ordered, if it could not.
pub(super) fn page(id: &str, cart: &Cart, wrong: &str) -> Page {
    let content = context! {
        cart => id, lines => cart.items.iter().map(line).collect::<Vec<_>>(), total => cart.total,
        wrong, key => fresh_key(),
    };
    Page {
        pieces: Some(cart.items.iter().map(|line| line.quantity).sum()),
        ..Page::new("cart.html", "Your cart", content)
    }
}

/// A line of a cart or an order as templates take it.
pub(super) fn line(line: &Line) -> Value {
    let name = if line.name.is_empty() {
        &line.product_id
    } else {
        &line.name
    };
    context! {
        id => line.product_id.as_str(), name => name.as_str(), quantity => line.quantity,
        each => line.unit_price, sum => line.quantity.saturating_mul(line.unit_price),
    }
}

/// Leads to the log-in and from there back to a page of the shop.
pub(super) fn to_log_in(next: &str) -> Response {
    let next: String = byte_serialize(next.as_bytes()).collect();
    Redirect::to(&format!("/shop/log-in?next={next}")).into_response()
}

impl Frontend {
    /// The cart the visitor is filling; an empty one if there is none, or if it is ordered by now.
    pub(super) async fn present_cart(&self, visitor: &Visitor) -> Result<Cart, ApiError> {
        let Some(id) = visitor.cart.as_deref() else {
            return Ok(Cart::default());
        };
        match self.callees.cart(&visitor.caller, id).await? {
            Ok(cart) if cart.order_id.is_none() => Ok(cart),
            Ok(_) => Ok(Cart::default()),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Ok(Cart::default()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    // The cart it went into. One that is gone, another's or ordered already is replaced by a new one.
    async fn put(
        &self,
        visitor: &Visitor,
        piece: (&str, i64),
        key: &str,
    ) -> Result<String, ApiError> {
        if let Some(cart) = visitor.cart.as_deref() {
            match self.callees.add(&visitor.caller, cart, piece, key).await? {
                Ok(_) => return Ok(cart.to_owned()),
                Err(refusal) if refusal.field != "cart_id" => return Err(told(refusal)),
                Err(_) => {}
            }
        }
        let cart = self.callees.new_cart(&visitor.caller, key).await??.id;
        match self.callees.add(&visitor.caller, &cart, piece, key).await? {
            Ok(_) => Ok(cart),
            Err(refusal) => Err(told(refusal)),
        }
    }
}

fn told(refusal: Refusal) -> ApiError {
    match refusal.field.as_str() {
        "quantity" => ApiError::new(refusal.status, "Your cart cannot take that many.")
            .help("A cart holds 50 different products, and 100 pieces of each."),
        "product_id" => ApiError::new(refusal.status, "This product is no longer sold.")
            .help("Look among the products for another."),
        _ => refusal.into(),
    }
}

/// `POST /shop/cart/items`
pub(super) async fn add(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, ApiError> {
    let product = form.0.text("product_id", 1..=64)?;
    if !is_id(product) {
        return Err(ApiError::invalid(
            "product_id",
            "This form was changed on its way.",
        ));
    }
    if !visitor.is_shopper() {
        return Ok(to_log_in(&format!("/shop/products/{product}")));
    }
    let quantity = form.0.integer("quantity", 1, 1..=QUANTITY_MAX)?;
    let cart = frontend
        .put(&visitor, (product, quantity), form.key()?)
        .await?;
    let cart = cookie(CART, &cart, "/shop", CART_AGE_S)?;
    let cookies = AppendHeaders([(header::SET_COOKIE, cart)]);
    Ok((cookies, Redirect::to("/shop/cart")).into_response())
}

/// `POST /shop/cart/items/{product_id}/remove`
pub(super) async fn remove(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    ids: Ids,
    _: Form,
) -> Result<Response, ApiError> {
    if !visitor.is_shopper() {
        return Ok(to_log_in("/shop/cart"));
    }
    if let Some(cart) = &visitor.cart {
        let product = ids.get("product_id");
        let removed = frontend
            .callees
            .remove(&visitor.caller, cart, product)
            .await?;
        // A cart that is gone or ordered is shown as it is; there is nothing to take out.
        drop(removed);
    }
    Ok(Redirect::to("/shop/cart").into_response())
}

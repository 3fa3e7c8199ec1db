//! Buying what is in the cart, and looking at the order.
//!
//! Invariant: one form buys once, however often it is sent; after any failure the visitor holds either
//! the order, or the cart, or the same form to send again.

use std::sync::Arc;

use ::http::{StatusCode, header};
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use minijinja::context;

use super::callees::{Order, Refusal};
use super::cart::{line, page, to_log_in};
use super::form::Form;
use super::frame::sentence;
use super::page::Page;
use super::visitor::{CART, Visitor};
use super::{Frontend, cookie};
use crate::http::error::ApiError;
use crate::http::extract::Ids;

/// `POST /shop/check-out`
pub(super) async fn check_out(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, ApiError> {
    let (card, key) = (form.0.text("card", 1..=64)?, form.key()?);
    if !visitor.is_shopper() {
        return Ok(to_log_in("/shop/cart"));
    }
    // The form names the cart it showed, so that it means the same after the cookie has moved on.
    let cart = form.0.text("cart", 1..=64)?;
    match frontend
        .callees
        .check_out(&visitor.caller, cart, card, key)
        .await
    {
        Ok(Ok(order)) => ordered(&order.id),
        Ok(Err(refusal)) => frontend.refused(&visitor, cart, &refusal).await,
        Err(error) => Ok(undecided(error, cart, card, key)),
    }
}

fn ordered(id: &str) -> Result<Response, ApiError> {
    let gone = AppendHeaders([(header::SET_COOKIE, cookie(CART, "", "/shop", 0)?)]);
    Ok((gone, Redirect::to(&format!("/shop/orders/{id}"))).into_response())
}

// Nobody knows yet whether the order was made: sending the same form again finds out, and cannot buy twice.
fn undecided(error: ApiError, cart: &str, card: &str, key: &str) -> Response {
    let content = context! { cart, card, key };
    let mut response = error.into_response();
    let page = Page::new("again.html", "Your order is not finished yet", content);
    response.extensions_mut().insert(page);
    response
}

impl Frontend {
    async fn refused(
        &self,
        visitor: &Visitor,
        id: &str,
        refusal: &Refusal,
    ) -> Result<Response, ApiError> {
        let cart = match self.callees.cart(&visitor.caller, id).await? {
            Ok(cart) => cart,
            Err(refusal) => return Err(refusal.into()),
        };
        if let Some(order) = &cart.order_id {
            return ordered(order);
        }
        let wrong = match refusal.status {
            StatusCode::UNPROCESSABLE_ENTITY => {
                "This form was sent before with another card. Look it over and order again."
                    .to_owned()
            }
            _ => sentence(&refusal.error),
        };
        Ok((refusal.status, page(id, &cart, &wrong)).into_response())
    }
}

/// `GET /shop/orders/{id}`
pub(super) async fn show(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    ids: Ids,
) -> Result<Response, ApiError> {
    let id = ids.get("id");
    if !visitor.is_shopper() {
        return Ok(to_log_in(&format!("/shop/orders/{id}")));
    }
    let order = frontend.callees.order(&visitor.caller, id).await??;
    let (heading, text) = words(&order.status);
    let content = context! {
        id => order.id.as_str(), status => order.status.as_str(), heading, text,
        reason => sentence(order.reason.as_deref().unwrap_or_default()),
        open => matches!(order.status.as_str(), "pending" | "reserved"),
        steps => steps(&order), amount => order.amount, placed => order.created_at,
        lines => order.items.iter().map(line).collect::<Vec<_>>(),
    };
    Ok(Page::new("order.html", heading, content).into_response())
}

fn words(status: &str) -> (&str, &'static str) {
    match status {
        "pending" => (
            "Your order is being prepared",
            "We are setting your things aside.",
        ),
        "reserved" => (
            "Your order is being paid",
            "Your things are set aside; the card is being charged.",
        ),
        "confirmed" => (
            "Thank you for your order",
            "It is paid and will be sent to you soon.",
        ),
        "refused" => (
            "Your order could not be filled",
            "Nothing was charged. Your cart is as it was.",
        ),
        "cancelled" => (
            "Your order was given up",
            "It could not be finished in time. Nothing was charged.",
        ),
        other => (other, ""),
    }
}

// The way of an order that goes well, with how far this one has come.
fn steps(order: &Order) -> Vec<minijinja::Value> {
    const WAY: [(&str, &str); 3] = [
        ("pending", "Placed"),
        ("reserved", "Set aside"),
        ("confirmed", "Paid"),
    ];
    let Some(reached) = WAY.iter().position(|(state, _)| *state == order.status) else {
        return Vec::new();
    };
    let step =
        |(at, (_, name)): (usize, (&str, &'static str))| context! { name, done => at <= reached };
    WAY.into_iter().enumerate().map(step).collect()
}

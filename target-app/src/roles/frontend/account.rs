//! Logging in and out, and registering.
//!
//! Invariant: a password goes to the users' role and nowhere else, and never back into a page.

use std::sync::Arc;

use ::http::{StatusCode, header};
use axum::extract::{Query, State};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use minijinja::context;
use serde_json::json;

use super::callees::Refusal;
use super::form::{Form, fresh_key, safe_next};
use super::frame::sentence;
use super::page::Page;
use super::visitor::{CART, SESSION, Visitor};
use super::{Frontend, cookie};
use crate::http::error::ApiError;
use crate::http::fields::Parameters;

type Pairs = Query<Vec<(String, String)>>;

/// What the two forms differ in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    LogIn,
    Register,
}

/// `GET /shop/log-in`
pub(super) async fn log_in_form(visitor: Visitor, pairs: Pairs) -> Result<Response, ApiError> {
    form(Kind::LogIn, &visitor, pairs)
}

/// `GET /shop/register`
pub(super) async fn register_form(visitor: Visitor, pairs: Pairs) -> Result<Response, ApiError> {
    form(Kind::Register, &visitor, pairs)
}

fn form(kind: Kind, visitor: &Visitor, Query(pairs): Pairs) -> Result<Response, ApiError> {
    let parameters = Parameters::new(pairs);
    let next = safe_next(parameters.text("next", 0..=500)?);
    if visitor.is_shopper() {
        return Ok(Redirect::to(next).into_response());
    }
    let notice = if visitor.ended {
        "Your session has ended. Log in again; your cart is kept."
    } else {
        ""
    };
    Ok(page(kind, next, "", notice, "").into_response())
}

fn page(kind: Kind, next: &str, email: &str, notice: &str, wrong: &str) -> Page {
    let title = match kind {
        Kind::LogIn => "Log in",
        Kind::Register => "Register",
    };
    let content = context! {
        register => kind == Kind::Register, next, email, notice, wrong, key => fresh_key(),
    };
    Page::new("account.html", title, content)
}

/// `POST /shop/log-in`
pub(super) async fn log_in(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, ApiError> {
    enter(Kind::LogIn, &frontend, &visitor, &form).await
}

/// `POST /shop/register`
pub(super) async fn register(
    State(frontend): State<Arc<Frontend>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, ApiError> {
    enter(Kind::Register, &frontend, &visitor, &form).await
}

async fn enter(
    kind: Kind,
    frontend: &Frontend,
    visitor: &Visitor,
    form: &Form,
) -> Result<Response, ApiError> {
    let fields = &form.0;
    let next = safe_next(fields.text("next", 0..=500)?);
    let email = fields.text("email", 0..=254)?;
    let credentials = json!({ "email": email, "password": fields.text("password", 0..=1000)? });
    let callees = &frontend.callees;
    let again = |refusal: &Refusal| {
        let wrong = words(refusal);
        (refusal.status, page(kind, next, email, "", &wrong)).into_response()
    };
    if kind == Kind::Register {
        let key = form.key()?;
        if let Err(refusal) = callees
            .register(&visitor.caller, credentials.clone(), key)
            .await?
        {
            return Ok(again(&refusal));
        }
    }
    let session = match callees.log_in(&visitor.caller, credentials).await? {
        Ok(session) => session,
        Err(refusal) => return Ok(again(&refusal)),
    };
    let session = cookie(SESSION, &session.token, "/", session.expires_in)?;
    let cookies = AppendHeaders([(header::SET_COOKIE, session)]);
    Ok((cookies, Redirect::to(next)).into_response())
}

fn words(refusal: &Refusal) -> String {
    match (refusal.status, refusal.field.as_str()) {
        (StatusCode::BAD_REQUEST, "email") => {
            "Enter an e-mail address such as ada@example.com.".to_owned()
        }
        (StatusCode::BAD_REQUEST, "password") => "A password has 8 to 128 characters.".to_owned(),
        (StatusCode::CONFLICT, _) => {
            "Somebody with this e-mail address is registered already. Log in instead.".to_owned()
        }
        _ => sentence(&refusal.error),
    }
}

/// `POST /shop/log-out`
pub(super) async fn log_out(_: Form) -> Result<Response, ApiError> {
    let gone = [
        (header::SET_COOKIE, cookie(SESSION, "", "/", 0)?),
        (header::SET_COOKIE, cookie(CART, "", "/shop", 0)?),
    ];
    Ok((AppendHeaders(gone), Redirect::to("/shop")).into_response())
}

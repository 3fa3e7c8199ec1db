//! What stands around every page: head, navigation, policies; and the page for what went wrong.
//!
//! Invariant: every answer under `/shop` that is an error is a page with the same status.

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use minijinja::{Value, context};
use serde::Deserialize;

use super::Frontend;
use super::page::Page;
use super::visitor::Visitor;
use crate::http::context::Context;
use crate::http::error::{ApiError, ErrorDetail};

/// How long a page waits for the number on its cart; it can do without.
const PIECES_WAIT: Duration = Duration::from_millis(250);
/// No script, nothing from elsewhere, forms only to ourselves, no frame around us.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The middleware itself.
pub(super) async fn frame(
    State(frontend): State<Arc<Frontend>>,
    request: Request,
    next: Next,
) -> Response {
    let known = request.extensions().get::<Context>().cloned();
    let context = known.unwrap_or_else(|| Context::from_headers(request.headers()));
    let visitor = Visitor::of(request.headers(), context);
    let here = request
        .uri()
        .path_and_query()
        .map_or("/shop", |path| path.as_str())
        .to_owned();
    let look = request.method() == Method::GET;
    let asks = look && !here.starts_with("/shop/cart");
    let (mut response, pieces) = tokio::join!(next.run(request), async {
        if asks {
            frontend.pieces(&visitor).await
        } else {
            None
        }
    });
    let Some(page) = page_of(&mut response).await else {
        return response;
    };
    let frame = context! {
        shopper => visitor.is_shopper(),
        pieces => page.pieces.or(pieces).unwrap_or_default(),
        here => if look { here.as_str() } else { "/shop" },
        again => look,
    };
    finish(&mut response, &page, frame);
    response
}

impl Frontend {
    async fn pieces(&self, visitor: &Visitor) -> Option<i64> {
        let id = visitor.cart.as_deref().filter(|_| visitor.is_shopper())?;
        let asked = self.callees.cart(&visitor.caller, id);
        let cart = tokio::time::timeout(PIECES_WAIT, asked)
            .await
            .ok()?
            .ok()?
            .ok()?;
        let open = cart.order_id.is_none();
        open.then(|| cart.items.iter().map(|line| line.quantity).sum())
    }
}

#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    error: String,
    #[serde(default)]
    help: String,
}

// What the handler made, or what is to be said instead if it made an error.
async fn page_of(response: &mut Response) -> Option<Page> {
    if let Some(page) = response.extensions_mut().remove::<Page>() {
        return Some(page);
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    // In memory already: an answer of ours, not one that is still under way.
    let body = std::mem::take(response.body_mut()).collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let told: Told = serde_json::from_slice(&body).unwrap_or_default();
    let content = context! {
        code => status.as_u16(), away => status.is_server_error(),
        said => sentence(&told.error), help => sentence(&told.help),
    };
    let title = if status.is_server_error() {
        "Please try again"
    } else {
        "That did not work"
    };
    Some(Page::new("error.html", title, content))
}

/// A fragment as the other roles write it, as a sentence: they quote names as programs do.
pub(super) fn sentence(fragment: &str) -> String {
    let plain = fragment.replace('`', "");
    let mut letters = plain.chars();
    let Some(first) = letters.next() else {
        return plain;
    };
    let mut text: String = first.to_uppercase().chain(letters).collect();
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

fn finish(response: &mut Response, page: &Page, frame: Value) {
    match page.render(frame) {
        Ok(html) => *response.body_mut() = Body::from(html),
        Err(error) => {
            let detail = format!("template: {error:#}");
            *response.status_mut() = ApiError::internal("").status();
            *response.body_mut() = Body::from("The shop made a mistake. Please try again.");
            response.extensions_mut().insert(ErrorDetail(detail));
        }
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // Pages show what is one shopper's, and forms whose keys are used once.
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    set(response.headers_mut(), fixed);
}

fn set<const N: usize>(headers: &mut HeaderMap, fixed: [(HeaderName, &'static str); N]) {
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_becomes_a_sentence() {
        assert_eq!(
            sentence("there is no product `p-9`"),
            "There is no product p-9."
        );
        assert_eq!(
            sentence("We cannot search right now."),
            "We cannot search right now."
        );
        assert_eq!(sentence(""), "");
    }
}

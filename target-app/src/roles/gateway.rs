//! The door of the shop: checks who the shopper is and passes each request to the role that answers it.
//!
//! Every request that changes something carries an idempotency key: the shopper's own, or one made here.
//! So a request whose connection broke can be repeated at another instance without doing it twice.
//!
//! Invariant: a shopper id reaches a callee only from a token verified here, never from the caller.

mod token;

use std::sync::Arc;
use std::time::Duration;

use ::http::request::Parts;
use ::http::uri::{Authority, PathAndQuery};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::Router;
use axum::body::Body as AnswerBody;
use axum::extract::{FromRequest as _, Request};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use prometheus_client::registry::Registry;

use crate::config::Secret;
use crate::http::body::Body;
use crate::http::context::{Context, IDEMPOTENCY_KEY, SHOPPER};
use crate::http::error::ApiError;
use crate::serve::{Started, Tasks};
use crate::upstream::{Answer, Call, Connections, Upstream};
use token::TokenReader;

/// How long a callee may take, retries included.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// What of a request is passed on, beside what is made here.
const REQUEST_HEADERS: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, IDEMPOTENCY_KEY];
/// What of an answer is passed back.
const ANSWER_HEADERS: [HeaderName; 3] =
    [header::CONTENT_TYPE, header::LOCATION, header::RETRY_AFTER];

/// Where the callees answer.
pub(super) struct Callees {
    pub(super) users: Authority,
    pub(super) catalog: Authority,
    pub(super) orders: Authority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Everyone,
    Shopper,
}

/// A request without a key gets one here, or is left for the callee to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Made,
    FromShopper,
}

/// One way through the door.
struct Passage {
    callee: Arc<Upstream>,
    access: Access,
    key: Key,
    tokens: Arc<TokenReader>,
}

/// Prepares the role.
pub(super) fn start(callees: Callees, secret: &Secret, registry: &mut Registry) -> Started {
    let connections = Connections::new(registry);
    let tokens = Arc::new(TokenReader::new(secret));
    let passage = |callee: &Arc<Upstream>, access, key| {
        Arc::new(Passage {
            callee: Arc::clone(callee),
            access,
            key,
            tokens: Arc::clone(&tokens),
        })
    };
    let users = Arc::new(connections.to("users", callees.users, CALL_LIMIT));
    let catalog = Arc::new(connections.to("catalog", callees.catalog, CALL_LIMIT));
    let orders = Arc::new(connections.to("orders", callees.orders, CALL_LIMIT));

    let browse = passage(&catalog, Access::Everyone, Key::Made);
    let account = passage(&users, Access::Everyone, Key::Made);
    let cart = passage(&orders, Access::Shopper, Key::Made);
    let purchase = passage(&orders, Access::Shopper, Key::FromShopper);
    let router = Router::new()
        .route("/products", through(MethodFilter::GET, &browse))
        .route("/products/search", through(MethodFilter::GET, &browse))
        .route("/products/{id}", through(MethodFilter::GET, &browse))
        .route("/users", through(MethodFilter::POST, &account))
        .route("/login", through(MethodFilter::POST, &account))
        .route("/carts", through(MethodFilter::POST, &cart))
        .route("/carts/{id}", through(MethodFilter::GET, &cart))
        .route("/carts/{id}/items", through(MethodFilter::POST, &cart))
        .route(
            "/carts/{id}/items/{product_id}",
            through(MethodFilter::DELETE, &cart),
        )
        .route("/checkout", through(MethodFilter::POST, &purchase))
        .route("/orders/{id}", through(MethodFilter::GET, &cart))
        .route("/orders/{id}/cancel", through(MethodFilter::POST, &cart));
    Started {
        router,
        database: None,
        tasks: Tasks::new(),
    }
}

fn through(method: MethodFilter, passage: &Arc<Passage>) -> MethodRouter {
    let passage = Arc::clone(passage);
    on(method, move |request: Request| {
        pass(Arc::clone(&passage), request)
    })
}

async fn pass(passage: Arc<Passage>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let headers = passage.onward_headers(&parts)?;
    let Body(body) = Body::from_request(Request::new(body), &()).await?;
    let path = parts
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    // Whatever changes something carries a key by now, or is refused by the callee for want of one.
    let call = Call {
        method: parts.method,
        path,
        headers,
        body,
        repeatable: true,
    };
    Ok(answer(passage.callee.send(&call).await?))
}

impl Passage {
    fn onward_headers(&self, parts: &Parts) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::with_capacity(8);
        if self.access == Access::Shopper {
            let shopper = self.tokens.shopper_of(&parts.headers)?;
            headers.insert(SHOPPER, shopper);
        }
        copy(&REQUEST_HEADERS, &parts.headers, &mut headers);
        if self.key == Key::Made
            && parts.method == Method::POST
            && !headers.contains_key(IDEMPOTENCY_KEY)
        {
            headers.insert(IDEMPOTENCY_KEY, fresh_key());
        }
        if let Some(context) = parts.extensions.get::<Context>() {
            context.write_to(&mut headers);
        }
        Ok(headers)
    }
}

fn fresh_key() -> HeaderValue {
    let key = uuid::Uuid::now_v7().simple().to_string();
    HeaderValue::try_from(key).expect("hexadecimal digits are a header value")
}

fn answer(answer: Answer) -> Response {
    let mut response = Response::new(AnswerBody::from(answer.body));
    *response.status_mut() = answer.status;
    copy(&ANSWER_HEADERS, &answer.headers, response.headers_mut());
    response
}

fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        if let Some(value) = from.get(name) {
            to.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_for(key: Key, access: Access, request: &Request<()>) -> Result<HeaderMap, ApiError> {
        let secret = Secret::for_test("0123456789abcdef");
        let connections = Connections::new(&mut Registry::default());
        let callee = connections.to("orders", Authority::from_static("127.0.0.1:9"), CALL_LIMIT);
        let tokens = Arc::new(TokenReader::new(&secret));
        let passage = Passage {
            callee: Arc::new(callee),
            access,
            key,
            tokens,
        };
        passage.onward_headers(&request.clone().into_parts().0)
    }

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = ::http::Request::post("/carts");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_callers_own_shopper_id_is_never_passed_on() {
        let sent = request(&[("x-shopper-id", "s-0001"), ("cookie", "a=b")]);
        let onward = headers_for(Key::Made, Access::Everyone, &sent).unwrap();
        assert!(!onward.contains_key(SHOPPER) && !onward.contains_key(header::COOKIE));
        assert!(headers_for(Key::Made, Access::Shopper, &sent).is_err());
    }

    #[test]
    fn a_key_is_made_only_where_the_shopper_need_not_send_one() {
        let made = headers_for(Key::Made, Access::Everyone, &request(&[])).unwrap();
        assert_eq!(made.get(IDEMPOTENCY_KEY).unwrap().len(), 32);
        let kept = headers_for(
            Key::Made,
            Access::Everyone,
            &request(&[("idempotency-key", "mine")]),
        )
        .unwrap();
        assert_eq!(kept.get(IDEMPOTENCY_KEY).unwrap(), "mine");
        let none = headers_for(Key::FromShopper, Access::Everyone, &request(&[])).unwrap();
        assert!(!none.contains_key(IDEMPOTENCY_KEY));
    }
}

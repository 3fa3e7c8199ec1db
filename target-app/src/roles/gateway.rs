//! The door of the shop: checks who the shopper is and passes each request to the role that answers it.
//!
//! Every request that changes something carries an idempotency key: the shopper's own, or one made here.
//! So a request whose connection broke can be repeated at another instance without doing it twice.
//!
//! Invariant: a shopper id reaches a callee only from a token verified here, never from the caller.

mod openapi;
mod pages;
mod passages;
mod rate;
mod shared_rate;
mod token;

use std::sync::Arc;

use ::http::request::Parts;
use ::http::uri::{Authority, PathAndQuery};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::Router;
use axum::body::Body as AnswerBody;
use axum::extract::{FromRequest as _, Request};
use axum::response::Response;
use axum::routing::{MethodFilter, get, on};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::cache::X_CACHE;
use crate::config::PartUrl;
use crate::http::body::Body;
use crate::http::context::{Context, IDEMPOTENCY_KEY, SCOPE, SHOPPER};
use crate::http::error::ApiError;
use crate::http::seal::NOTHING_KEPT;
use crate::link;
use crate::redis_link::RedisPart;
use crate::serve::{Started, Tasks};
use crate::token::{ADMIN, SHOP, TokenSecrets};
use crate::upstream::limits::GATEWAY_CALL;
use crate::upstream::{Answer, Call, Connections, Upstream};
use passages::{Access, Callee, Key, PASSAGES, Passage};
pub(crate) use rate::Rate;
use rate::{Buckets, Limiter};
use shared_rate::SharedBuckets;
use token::TokenReader;

/// What of a request is passed on, beside what is made here.
const REQUEST_HEADERS: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, IDEMPOTENCY_KEY];
/// What of an answer is passed back.
const ANSWER_HEADERS: [HeaderName; 6] = [
    header::AGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::LOCATION,
    header::RETRY_AFTER,
    X_CACHE,
];

/// Where the callees answer.
pub(super) struct Callees {
    pub(super) users: Authority,
    pub(super) catalog: Authority,
    pub(super) orders: Authority,
    /// The web page, if the shop has one.
    pub(super) frontend: Option<Authority>,
}

/// What all passages share.
#[derive(Debug)]
struct Gateway {
    users: Upstream,
    catalog: Upstream,
    orders: Upstream,
    frontend: Option<Upstream>,
    tokens: TokenReader,
    limiter: Box<dyn Limiter>,
    limited: Counter,
}

/// Prepares the role.
pub(super) fn start(
    callees: Callees,
    secrets: &TokenSecrets,
    (rate, redis): (Rate, Option<PartUrl>),
    registry: &mut Registry,
) -> Started {
    let mut tasks = Tasks::new();
    let limiter: Box<dyn Limiter> = match redis {
        None => Box::new(Buckets::new(rate)),
        Some(url) => {
            let (redis, keeper) = link::open(RedisPart::new(url), registry);
            tasks.start(|stop| keeper.run(stop));
            Box::new(SharedBuckets::new(redis, rate))
        }
    };
    let gateway = Arc::new(Gateway::new(callees, secrets, limiter, registry));
    Started {
        router: router(&gateway).merge(pages::router(&gateway)),
        database: None,
        tasks,
    }
}

fn router(gateway: &Arc<Gateway>) -> Router {
    let document = Router::new().route(openapi::PATH, get(openapi::show));
    PASSAGES.iter().fold(document, |router, passage| {
        let gateway = Arc::clone(gateway);
        let pass = move |request: Request| async move { gateway.pass(passage, request).await };
        let method = MethodFilter::try_from(passage.method.clone());
        let method = method.expect("a passage has one of the usual methods");
        router.route(passage.path, on(method, pass))
    })
}

impl Gateway {
    fn new(
        callees: Callees,
        secrets: &TokenSecrets,
        limiter: Box<dyn Limiter>,
        registry: &mut Registry,
    ) -> Self {
        let connections = Connections::new(registry);
        let limited = Counter::default();
        registry.register(
            "gateway_rate_limited",
            "Requests refused because their shopper made too many",
            limited.clone(),
        );
        Self {
            users: connections.to("users", callees.users, GATEWAY_CALL),
            catalog: connections.to("catalog", callees.catalog, GATEWAY_CALL),
            orders: connections.to("orders", callees.orders, GATEWAY_CALL),
            frontend: callees
                .frontend
                .map(|page| connections.to("frontend", page, GATEWAY_CALL)),
            tokens: TokenReader::new(secrets),
            limiter,
            limited,
        }
    }

    async fn pass(&self, passage: &Passage, request: Request) -> Result<Response, ApiError> {
        let (parts, body) = request.into_parts();
        let headers = self.onward_headers(passage, &parts)?;
        self.count_against_rate(&headers).await?;
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
        let answer = self.callee(passage.callee).send(&call).await?;
        Ok(response(passage, answer))
    }

    fn callee(&self, callee: Callee) -> &Upstream {
        match callee {
            Callee::Users => &self.users,
            Callee::Catalog => &self.catalog,
            Callee::Orders => &self.orders,
        }
    }

    fn onward_headers(&self, passage: &Passage, parts: &Parts) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::with_capacity(8);
        let act = match passage.access {
            Access::Everyone => None,
            Access::Shopper => Some(SHOP),
            Access::Admin => Some(ADMIN),
        };
        if let Some(act) = act {
            headers.insert(SHOPPER, self.tokens.shopper_of(&parts.headers, act)?);
        }
        if passage.access == Access::Admin {
            headers.insert(SCOPE, HeaderValue::from_static(ADMIN));
        }
        copy(&REQUEST_HEADERS, &parts.headers, &mut headers);
        if passage.key == Key::Made
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

    // Strangers are not counted: they have no name but their address, which many may share.
    async fn count_against_rate(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let shopper = headers.get(SHOPPER).and_then(|id| id.to_str().ok());
        let Some(shopper) = shopper else {
            return Ok(());
        };
        self.limiter.take(shopper).await.map_err(|wait| {
            self.limited.inc();
            ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "you ask for too much at once",
            )
            .help("wait as long as Retry-After says, then send the same request again")
            .retry_after(wait)
        })
    }
}

fn fresh_key() -> HeaderValue {
    let key = uuid::Uuid::now_v7().simple().to_string();
    HeaderValue::try_from(key).expect("hexadecimal digits are a header value")
}

fn response(passage: &Passage, answer: Answer) -> Response {
    let kept = kept(passage, &answer);
    let mut response = Response::new(AnswerBody::from(answer.body));
    *response.status_mut() = answer.status;
    if let Some(kept) = kept {
        response.headers_mut().insert(header::CACHE_CONTROL, kept);
    }
    copy(&ANSWER_HEADERS, &answer.headers, response.headers_mut());
    response
}

// What shoppers may keep: nothing, unless the callee says more than it says of every answer. Prices and
// stock are everybody's, but must be asked about each time.
fn kept(passage: &Passage, answer: &Answer) -> Option<HeaderValue> {
    let said = answer.headers.get(header::CACHE_CONTROL);
    if let Some(said) = said.filter(|said| **said != NOTHING_KEPT) {
        return Some(said.clone());
    }
    let is_public = passage.access == Access::Everyone && passage.method == Method::GET;
    (is_public && answer.status.is_success()).then(|| HeaderValue::from_static("no-cache"))
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
    use crate::config::Secret;

    impl Gateway {
        /// A gateway before callees that are not there.
        pub(super) fn nowhere(secret: &str) -> Self {
            let nobody = Authority::from_static("127.0.0.1:9");
            let callees = Callees {
                users: nobody.clone(),
                catalog: nobody.clone(),
                orders: nobody.clone(),
                frontend: Some(nobody),
            };
            let rate = Rate {
                per_second: 1,
                burst: 1,
            };
            let secrets = TokenSecrets {
                current: Secret::for_test(secret),
                previous: None,
            };
            let limiter = Box::new(Buckets::new(rate));
            Self::new(callees, &secrets, limiter, &mut Registry::default())
        }
    }

    fn headers_for(key: Key, access: Access, request: &Request<()>) -> Result<HeaderMap, ApiError> {
        let passage = Passage {
            method: Method::POST,
            path: "/carts",
            callee: Callee::Orders,
            access,
            key,
        };
        let gateway = Gateway::nowhere("0123456789abcdef");
        gateway.onward_headers(&passage, &request.clone().into_parts().0)
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

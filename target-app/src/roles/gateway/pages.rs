//! The way to the web page: `/`, and all that is under `/shop`.
//!
//! A browser shows who it is by a cookie that holds the same token as the API's `Authorization` header.
//! Only pages take the cookie, so that no other site can make a browser call the API in a shopper's name.
//!
//! Invariant: a shopper id reaches the page only from a token verified here; a token that is wrong or old
//! makes its sender a stranger, whom the page tells so.

use std::sync::Arc;

use ::http::request::Parts;
use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::Json;
use axum::Router;
use axum::body::Body as AnswerBody;
use axum::extract::{FromRequest as _, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, get, on};
use serde_json::json;

use super::Gateway;
use crate::http::body::Body;
use crate::http::context::{Context, SHOPPER};
use crate::http::error::ApiError;
use crate::upstream::{Answer, Call};

/// The cookie that holds a shopper's token.
const SESSION: &str = "session";
/// The host that the browser asked for, by which the page knows its own forms.
const ASKED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What of a request is passed on, beside what is made here.
const REQUEST_HEADERS: [HeaderName; 5] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
];
/// What of an answer is passed back.
const ANSWER_HEADERS: [HeaderName; 7] = [
    header::CACHE_CONTROL,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::LOCATION,
    header::REFERRER_POLICY,
    header::RETRY_AFTER,
    header::SET_COOKIE,
];
/// What a person is shown when there is nobody to make a page.
const AWAY: &str = include_str!("../../../templates/away.html");

/// The routes; without a frontend, `/` says where the API is.
pub(super) fn router(gateway: &Arc<Gateway>) -> Router {
    if gateway.frontend.is_none() {
        return Router::new().route("/", get(async || where_the_api_is()));
    }
    let gateway = Arc::clone(gateway);
    let methods = MethodFilter::GET.or(MethodFilter::POST);
    let route = on(methods, move |request: Request| async move {
        gateway.pass_to_page(request).await
    });
    Router::new()
        .route("/", route.clone())
        .route("/shop", route.clone())
        .route("/shop/{*rest}", route)
}

fn where_the_api_is() -> Json<serde_json::Value> {
    Json(json!({
        "store": "this shop has no web page here: FRONTEND_ADDRESS is not set",
        "help": "its API begins at GET /products, POST /users and POST /login",
    }))
}

impl Gateway {
    async fn pass_to_page(&self, request: Request) -> Result<Response, ApiError> {
        let (parts, body) = request.into_parts();
        let headers = self.page_headers(&parts);
        if let Err(error) = self.count_against_rate(&headers).await {
            return Ok(away(error));
        }
        let Body(body) = Body::from_request(Request::new(body), &()).await?;
        let path = parts.uri.path_and_query().cloned();
        // A form that changes something carries a key of its own; to send a log-in twice does no harm.
        let call = Call {
            method: parts.method,
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers,
            body,
            repeatable: true,
        };
        let frontend = self.frontend.as_ref();
        let frontend = frontend.ok_or_else(|| ApiError::internal("no frontend"))?;
        Ok(match frontend.send(&call).await {
            Ok(answer) => response(answer),
            Err(error) => away(error.into()),
        })
    }

    fn page_headers(&self, parts: &Parts) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(10);
        copy(&REQUEST_HEADERS, &parts.headers, &mut headers);
        if let Some(host) = parts.headers.get(header::HOST) {
            headers.insert(ASKED_HOST, host.clone());
        }
        let token = session_of(&parts.headers);
        if let Some(Ok(holder)) = token.map(|token| self.tokens.verified(token)) {
            headers.insert(SHOPPER, holder.shopper);
        }
        if let Some(context) = parts.extensions.get::<Context>() {
            context.write_to(&mut headers);
        }
        headers
    }
}

// RFC 6265 section 5.4: pairs divided by `; `, in any number of headers.
fn session_of(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get_all(header::COOKIE).iter();
    sent.filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == SESSION).then_some(value))
}

fn response(answer: Answer) -> Response {
    let mut response = Response::new(AnswerBody::from(answer.body));
    *response.status_mut() = answer.status;
    copy(&ANSWER_HEADERS, &answer.headers, response.headers_mut());
    response
}

// The same status and log line as for a program, in words for people.
fn away(error: ApiError) -> Response {
    let mut response = error.into_response();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = AnswerBody::from(AWAY);
    response
}

fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        for value in from.get_all(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn check(sent: &[(&'static str, String)], shopper: Option<&str>) {
        let mut request = ::http::Request::get("/shop");
        for (name, value) in sent {
            request = request.header(*name, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let onward = Gateway::nowhere(SECRET).page_headers(&parts);
        let told = onward.get(SHOPPER).map(|id| id.to_str().unwrap());
        assert_eq!(told, shopper, "{sent:?}");
    }

    fn cookie(secret: &str, exp: u64) -> String {
        let claims = json!({ "sub": "s-0001", "exp": exp });
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::default(), &claims, &key).unwrap();
        format!("cart=c-1; {SESSION}={token}")
    }

    #[test]
    fn only_a_cookie_with_a_token_of_ours_names_a_shopper() {
        let far = 4_000_000_000;
        check(&[("cookie", cookie(SECRET, far))], Some("s-0001"));
        check(&[("cookie", cookie(SECRET, 1_000))], None);
        check(&[("cookie", cookie("another secret!!", far))], None);
        check(&[("x-shopper-id", "s-0001".to_owned())], None);
        check(&[], None);
    }

    #[test]
    fn a_page_that_cannot_be_made_is_told_in_words_for_people() {
        let response = away(ApiError::busy("frontend cannot be reached"));
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
    }
}

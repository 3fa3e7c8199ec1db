//! Who looks at the page.
//!
//! Invariant: who somebody is comes from the gateway alone; cookies say only which cart is meant and
//! whether there was a session.

use std::convert::Infallible;

use ::http::request::Parts;
use ::http::{HeaderMap, header};
use axum::extract::FromRequestParts;

use crate::http::context::{Context, SHOPPER};
use crate::http::extract::is_id;

/// The cookie that holds a shopper's token, which the gateway verifies.
pub(super) const SESSION: &str = "session";
/// The cookie that says which cart is the shopper's present one.
pub(super) const CART: &str = "cart";

/// On whose behalf other roles are asked.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) context: Context,
    pub(super) shopper: Option<String>,
}

/// One who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    /// The cart they had last, if any.
    pub(super) cart: Option<String>,
    /// Whether they were logged in and no longer are.
    pub(super) ended: bool,
}

impl Visitor {
    pub(super) fn of(headers: &HeaderMap, context: Context) -> Self {
        let sent = headers.get(SHOPPER).and_then(|value| value.to_str().ok());
        let shopper = sent.filter(|id| is_id(id)).map(str::to_owned);
        let cart = cookie(headers, CART).filter(|id| is_id(id));
        Self {
            cart: cart.map(str::to_owned),
            ended: shopper.is_none() && cookie(headers, SESSION).is_some(),
            caller: Caller { context, shopper },
        }
    }

    /// Whether they are logged in.
    pub(super) fn is_shopper(&self) -> bool {
        self.caller.shopper.is_some()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let context = Context::from_request_parts(parts, state).await?;
        Ok(Self::of(&parts.headers, context))
    }
}

// RFC 6265 section 5.4: pairs divided by `; `, in any number of headers.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let sent = headers.get_all(header::COOKIE).iter();
    sent.filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn visitor(sent: &[(&'static str, &str)]) -> Visitor {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Visitor::of(&headers, Context::background("test"))
    }

    #[test]
    fn a_cookie_alone_logs_nobody_in() {
        let sent = visitor(&[("cookie", "session=x.y.z; cart=c-7")]);
        assert!(!sent.is_shopper() && sent.ended);
        assert_eq!(sent.cart.as_deref(), Some("c-7"));
        let sent = visitor(&[("cookie", "session=x.y.z"), ("x-shopper-id", "s-1")]);
        assert!(sent.is_shopper() && !sent.ended);
        assert!(!visitor(&[]).ended);
    }

    #[test]
    fn a_cart_that_is_no_id_is_none() {
        assert_eq!(visitor(&[("cookie", "cart=../orders")]).cart, None);
        assert_eq!(visitor(&[("cookie", "cart=")]).cart, None);
        let two = visitor(&[("cookie", "a=b"), ("cookie", "xcart=c-1; cart=c-2")]);
        assert_eq!(two.cart.as_deref(), Some("c-2"));
    }
}

//! Forms as browsers send them, from our own pages only.
//!
//! Browsers say where a request comes from: `Sec-Fetch-Site` where the address is trusted, `Origin`
//! elsewhere. A program that sends neither has no cookies of anybody's, and may pass.
//!
//! Invariant: a form that another site sent is refused before any field is read.

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::extract::{FromRequest, Request};
use url::form_urlencoded;

use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::http::extract::is_id;
use crate::http::fields::Parameters;

/// Where a browser says a request comes from, relative to where it goes.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The host that the browser asked, as the gateway heard it.
const ASKED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The most fields of a form.
const FIELDS_MAX: usize = 16;

/// The fields of a form.
pub(super) struct Form(pub(super) Parameters);

impl Form {
    /// The key that the page gave to this form.
    pub(super) fn key(&self) -> Result<&str, ApiError> {
        let key = self.0.text("key", 1..=64)?;
        let fits = is_id(key).then_some(key);
        fits.ok_or_else(|| ApiError::invalid("key", "This form was changed on its way."))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_from_here(request.headers()) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "This form was not sent from a page of this shop.",
            )
            .help("Open the page here and send it again."));
        }
        let Body(body) = Body::from_request(request, state).await?;
        let fields = form_urlencoded::parse(&body).into_owned();
        Ok(Self(Parameters::new(fields.take(FIELDS_MAX).collect())))
    }
}

fn is_from_here(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let asked = headers
        .get(ASKED_HOST)
        .or_else(|| headers.get(header::HOST));
    let host = |text: &'static str| origin.as_bytes().strip_prefix(text.as_bytes());
    let from = host("http://").or_else(|| host("https://"));
    from.is_some() && from == asked.map(HeaderValue::as_bytes)
}

/// A new key for a form that is about to be shown.
pub(super) fn fresh_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Where to go after logging in: a page of this shop, whatever was asked for.
pub(super) fn safe_next(wanted: &str) -> &str {
    let plain = wanted
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let rest = wanted.strip_prefix("/shop").filter(|_| plain);
    let ours = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if ours { wanted } else { "/shop" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[(&'static str, &'static str)], wanted: bool) {
        let headers = sent.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        assert_eq!(is_from_here(&headers.collect()), wanted, "{sent:?}");
    }

    #[test]
    fn only_our_own_pages_and_programs_may_send_forms() {
        check(&[], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "none")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        let shop = ("x-forwarded-host", "shop.example:8080");
        check(&[shop, ("origin", "http://shop.example:8080")], true);
        check(&[shop, ("origin", "https://shop.example:8080")], true);
        check(&[shop, ("origin", "http://shop.example")], false);
        check(&[shop, ("origin", "http://evil.example")], false);
        check(&[shop, ("origin", "null")], false);
        check(&[("host", "a:1"), ("origin", "http://a:1")], true);
        check(&[("origin", "http://a:1")], false);
    }

    #[test]
    fn one_is_led_on_within_the_shop_only() {
        for fine in ["/shop", "/shop?page=2", "/shop/products/p-0001"] {
            assert_eq!(safe_next(fine), fine);
        }
        for bad in [
            "",
            "//evil.example",
            "https://evil.example",
            "/shopping",
            "/shop\\@evil",
            "/shop/\r\nx: y",
            "/orders",
        ] {
            assert_eq!(safe_next(bad), "/shop", "{bad:?}");
        }
    }
}

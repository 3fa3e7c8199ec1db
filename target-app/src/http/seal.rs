//! The headers every answer of every role bears.
//!
//! Invariant: an answer that does not say otherwise is kept by no cache; a page loads nothing that does
//! not come from the shop itself. No `Strict-Transport-Security`: roles speak plain HTTP, and only
//! whoever ends TLS before them can promise it.

use std::sync::LazyLock;

use ::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The version and the build of the program, on every answer.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-store-version");
/// The build, as the environment variable of that name said when this was compiled.
const BUILD: Option<&str> = option_env!("STORE_BUILD");
/// What [`VERSION`] says: `0.1.0+build`, as semantic versions write it.
static VERSION_TEXT: LazyLock<HeaderValue> = LazyLock::new(|| {
    let text = format!(
        "{}+{}",
        env!("CARGO_PKG_VERSION"),
        BUILD.unwrap_or("unnamed")
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(env!("CARGO_PKG_VERSION")))
});
/// What is said of an answer that does not speak for itself: no cache keeps it.
pub(crate) const NOTHING_KEPT: HeaderValue = HeaderValue::from_static("no-store");
/// What a page may load unless it says so itself.
const PAGE_RULES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Adds the headers, leaving alone what the handler has set.
pub(crate) fn seal(headers: &mut HeaderMap) {
    headers.insert(VERSION, VERSION_TEXT.clone());
    let fixed = HeaderValue::from_static;
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    or_insert(headers, header::REFERRER_POLICY, fixed("same-origin"));
    or_insert(headers, header::CACHE_CONTROL, NOTHING_KEPT);
    if is_page(headers) {
        or_insert(headers, header::CONTENT_SECURITY_POLICY, PAGE_RULES);
        or_insert(headers, header::X_FRAME_OPTIONS, fixed("DENY"));
    }
}

fn or_insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(set: &[(HeaderName, &'static str)], wanted: &[(HeaderName, Option<&str>)]) {
        let mut headers = HeaderMap::new();
        for (name, value) in set {
            headers.insert(name, HeaderValue::from_static(value));
        }
        seal(&mut headers);
        for (name, value) in wanted {
            let found = headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(found, *value, "{name}");
        }
    }

    #[test]
    fn documents_are_not_sniffed_kept_or_framed() {
        let json = (header::CONTENT_TYPE, "application/json");
        let wanted = [
            (header::X_CONTENT_TYPE_OPTIONS, Some("nosniff")),
            (header::CACHE_CONTROL, Some("no-store")),
            (header::REFERRER_POLICY, Some("same-origin")),
            (header::CONTENT_SECURITY_POLICY, None),
            (header::STRICT_TRANSPORT_SECURITY, None),
        ];
        check(&[json], &wanted);
    }

    #[test]
    fn a_page_gets_rules_unless_it_brings_its_own() {
        let page = (header::CONTENT_TYPE, "text/html; charset=utf-8");
        check(
            std::slice::from_ref(&page),
            &[(header::X_FRAME_OPTIONS, Some("DENY"))],
        );
        let own = (header::CONTENT_SECURITY_POLICY, "default-src 'self'");
        let kept = (header::CACHE_CONTROL, "max-age=60");
        let wanted = [
            (header::CONTENT_SECURITY_POLICY, Some("default-src 'self'")),
            (header::CACHE_CONTROL, Some("max-age=60")),
        ];
        check(&[page, own, kept], &wanted);
    }

    #[test]
    fn the_version_is_that_of_the_package() {
        let version = VERSION_TEXT.to_str().unwrap().to_owned();
        assert!(
            version.starts_with(concat!(env!("CARGO_PKG_VERSION"), "+")),
            "{version}"
        );
    }
}

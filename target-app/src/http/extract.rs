//! Who asks, for what, and under which key: the parts of a request outside its body.

use std::convert::Infallible;

use ::http::StatusCode;
use ::http::request::Parts;
use axum::extract::{FromRequestParts, RawPathParams};

use super::context::{Context, IDEMPOTENCY_KEY, SHOPPER};
use super::error::ApiError;

/// The longest id in a path, in bytes.
const ID_BYTES_MAX: usize = 64;
/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 128;

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Placed there for every route; made anew only where a test calls a handler without it.
        let placed = parts.extensions.get::<Self>().cloned();
        Ok(placed.unwrap_or_else(|| Self::from_headers(&parts.headers)))
    }
}

/// The id of the shopper, as the gateway read it from the token.
pub(crate) struct Shopper(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Shopper {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let sent = parts
            .headers
            .get(SHOPPER)
            .and_then(|value| value.to_str().ok());
        let known = sent.filter(|id| is_id(id));
        known
            .map(|id| Self(id.to_owned()))
            .ok_or_else(|| ApiError::unauthorized("no shopper is known here"))
    }
}

/// The key that makes a request safe to repeat, if one was sent.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl IdempotencyKey {
    /// The key, or what to tell a caller who must send one.
    pub(crate) fn required(self) -> Result<String, ApiError> {
        self.0.ok_or_else(|| {
            ApiError::invalid("Idempotency-Key", "the header Idempotency-Key is missing").help(
                "make a new key, such as a UUID, for each purchase and repeat it on each retry",
            )
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else {
            return Ok(Self(None));
        };
        let key = value.as_bytes();
        let fits = (1..=KEY_BYTES_MAX).contains(&key.len());
        let text = value
            .to_str()
            .ok()
            .filter(|_| fits && key.iter().all(u8::is_ascii_graphic));
        text.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            ApiError::invalid("Idempotency-Key", "the idempotency key cannot be used").help(
                format!("send 1 to {KEY_BYTES_MAX} visible ASCII characters, such as a UUID"),
            )
        })
    }
}

/// The ids in the path of a request.
pub(crate) struct Ids(Vec<(String, String)>);

impl Ids {
    /// The id that stands in the path where the route says `{name}`.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refuse = || ApiError::new(StatusCode::BAD_REQUEST, "an id in the path cannot be used");
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| refuse().field("path"))?;
        let mut ids = Vec::with_capacity(2);
        for (name, value) in &raw {
            if !is_id(value) {
                let help = format!("ids have 1 to {ID_BYTES_MAX} letters, digits, `-` or `_`");
                return Err(refuse().field(name.to_owned()).help(help));
            }
            ids.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(ids))
    }
}

/// Whether a text can be an id of anything in the store.
pub(crate) fn is_id(text: &str) -> bool {
    let fits = (1..=ID_BYTES_MAX).contains(&text.len());
    fits && text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        for (text, wanted) in [
            ("p-0001", true),
            ("", false),
            ("a/b", false),
            ("a b", false),
            ("p\u{e9}", false),
        ] {
            assert_eq!(is_id(text), wanted, "{text}");
        }
        assert!(!is_id(&"x".repeat(65)));
    }

    #[tokio::test]
    async fn a_key_must_be_visible_and_bounded() {
        let long = "k".repeat(129);
        for (key, wanted) in [
            ("0191-abc", true),
            ("two words", false),
            ("", false),
            (long.as_str(), false),
        ] {
            let request = ::http::Request::builder()
                .header(IDEMPOTENCY_KEY, key)
                .body(())
                .unwrap();
            let read = IdempotencyKey::from_request_parts(&mut request.into_parts().0, &()).await;
            assert_eq!(read.is_ok(), wanted, "{key}");
        }
    }

    #[tokio::test]
    async fn a_missing_key_is_an_error_only_where_one_is_required() {
        let request = ::http::Request::builder().body(()).unwrap();
        let key = IdempotencyKey::from_request_parts(&mut request.into_parts().0, &())
            .await
            .unwrap();
        assert_eq!(
            key.required().unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
    }
}

//! Reads the shopper out of a token.
//!
//! Invariant: only a token signed with our secret by HS256 and not yet expired names a shopper.

use std::fmt;

use ::http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use crate::config::Secret;
use crate::http::error::ApiError;
use crate::http::extract::is_id;

/// The scope of those who may change the list of products.
const ADMIN: &str = "admin";

/// Verifies tokens.
pub(super) struct TokenReader {
    key: DecodingKey,
    rules: Validation,
}

impl fmt::Debug for TokenReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenReader")
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// What else the shopper may do, divided by spaces (RFC 8693, section 4.2).
    #[serde(default)]
    scope: String,
}

/// Whom a token names.
pub(super) struct Holder {
    /// The shopper's id, ready to be passed on.
    pub(super) shopper: HeaderValue,
    pub(super) is_admin: bool,
}

impl TokenReader {
    pub(super) fn new(secret: &Secret) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp", "sub"]);
        rules.leeway = 5;
        Self {
            key: DecodingKey::from_secret(secret.expose()),
            rules,
        }
    }

    /// Who the token in the `Authorization` header names.
    pub(super) fn holder_of(&self, headers: &HeaderMap) -> Result<Holder, ApiError> {
        let sent = headers
            .get(header::AUTHORIZATION)
            .ok_or_else(|| ApiError::unauthorized("you are not logged in"))?;
        let token = sent
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| {
                ApiError::unauthorized("the Authorization header holds no bearer token")
            })?;
        self.verified(token)
    }

    /// Who a token names, wherever it came from.
    pub(super) fn verified(&self, token: &str) -> Result<Holder, ApiError> {
        let refuse = || ApiError::unauthorized("the token is not valid, or no longer");
        let claims = decode::<Claims>(token, &self.key, &self.rules)
            .map_err(|_| refuse())?
            .claims;
        if !is_id(&claims.sub) {
            return Err(refuse());
        }
        Ok(Holder {
            shopper: HeaderValue::try_from(claims.sub).map_err(|_| refuse())?,
            is_admin: claims.scope.split(' ').any(|scope| scope == ADMIN),
        })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn token(secret: &str, algorithm: Algorithm, exp: u64, sub: &str) -> String {
        let claims = json!({ "sub": sub, "exp": exp });
        encode(
            &Header::new(algorithm),
            &claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    }

    fn check(authorization: Option<&str>, wanted: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(text) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        }
        let reader = TokenReader::new(&Secret::for_test(SECRET));
        let shopper = reader.holder_of(&headers).ok().map(|holder| holder.shopper);
        assert_eq!(
            shopper.as_ref().map(|id| id.to_str().unwrap()),
            wanted,
            "{authorization:?}"
        );
    }

    #[test]
    fn only_our_own_tokens_name_a_shopper() {
        let far = 4_000_000_000;
        let good = token(SECRET, Algorithm::HS256, far, "s-0001");
        check(Some(&format!("Bearer {good}")), Some("s-0001"));
        check(Some(&format!("bearer {good}")), Some("s-0001"));
        check(None, None);
        check(Some(&good), None);
        check(Some("Bearer"), None);
        check(Some("Bearer x.y.z"), None);
        check(
            Some(&format!(
                "Bearer {}",
                token("another secret!!", Algorithm::HS256, far, "s-0001")
            )),
            None,
        );
        check(
            Some(&format!(
                "Bearer {}",
                token(SECRET, Algorithm::HS384, far, "s-0001")
            )),
            None,
        );
        check(
            Some(&format!(
                "Bearer {}",
                token(SECRET, Algorithm::HS256, 1_000, "s-0001")
            )),
            None,
        );
        check(
            Some(&format!(
                "Bearer {}",
                token(SECRET, Algorithm::HS256, far, "s 0001\r\nx: y")
            )),
            None,
        );
    }
}

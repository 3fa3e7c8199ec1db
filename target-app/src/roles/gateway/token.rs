//! Reads the shopper out of a token.
//!
//! Invariant: only a token signed with our secret by HS256 and not yet expired names a shopper.

use std::fmt;

use ::http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use crate::bug::Bug;
use crate::config::Secret;
use crate::http::error::ApiError;
use crate::http::extract::is_id;

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
}

impl TokenReader {
    /// With the planted bug `accept_expired_token`, one that does not look at the time.
    pub(super) fn new(secret: &Secret, bug: Option<Bug>) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp", "sub"]);
        rules.leeway = 5;
        rules.validate_exp = bug != Some(Bug::AcceptExpiredToken);
        Self {
            key: DecodingKey::from_secret(secret.expose()),
            rules,
        }
    }

    /// The shopper id in the `Authorization` header, ready to be passed on.
    pub(super) fn shopper_of(&self, headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
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
        let refuse = || ApiError::unauthorized("the token is not valid, or no longer");
        let claims = decode::<Claims>(token, &self.key, &self.rules)
            .map_err(|_| refuse())?
            .claims;
        if !is_id(&claims.sub) {
            return Err(refuse());
        }
        HeaderValue::try_from(claims.sub).map_err(|_| refuse())
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
        let reader = TokenReader::new(&Secret::for_test(SECRET), None);
        let shopper = reader.shopper_of(&headers).ok();
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

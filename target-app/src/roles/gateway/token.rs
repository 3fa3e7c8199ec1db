//! Reads the shopper out of a token.
//!
//! Invariant: only a token signed with a secret of ours by HS256, not yet expired and allowing what is
//! asked names a shopper.

use std::fmt;

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use crate::bug::Bug;
use crate::config::Secret;
use crate::http::error::ApiError;
use crate::http::extract::is_id;
use crate::token::{SHOP, TokenSecrets, allows, key_id};

/// Verifies tokens.
pub(super) struct TokenReader {
    /// The present key, and perhaps the one before it.
    keys: Vec<Key>,
    rules: Validation,
}

struct Key {
    id: String,
    key: DecodingKey,
}

impl Key {
    fn new(secret: &Secret) -> Self {
        Self {
            id: key_id(secret),
            key: DecodingKey::from_secret(secret.expose()),
        }
    }
}

impl fmt::Debug for TokenReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenReader")
    }
}

/// What is read of a token's claims.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default = "shop")]
    scope: String,
}

// What tokens allowed before they said it.
fn shop() -> String {
    SHOP.to_owned()
}

impl TokenReader {
    /// With the planted bug `accept_expired_token`, one that does not look at the time.
    pub(super) fn new(secrets: &TokenSecrets, bug: Option<Bug>) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp", "sub"]);
        rules.leeway = 5;
        rules.validate_exp = bug != Some(Bug::AcceptExpiredToken);
        let secrets = std::iter::once(&secrets.current).chain(&secrets.previous);
        Self {
            keys: secrets.map(Key::new).collect(),
            rules,
        }
    }

    /// The shopper id in the `Authorization` header, ready to be passed on, of a token that allows to
    /// `act`.
    pub(super) fn shopper_of(
        &self,
        headers: &HeaderMap,
        act: &str,
    ) -> Result<HeaderValue, ApiError> {
        self.verified(bearer(headers)?, act)
    }

    /// The same of a token, wherever it came from.
    pub(super) fn verified(&self, token: &str, act: &str) -> Result<HeaderValue, ApiError> {
        let claims = self.claims(token).ok_or_else(refused)?;
        if !allows(&claims.scope, act) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                format!("this needs the scope `{act}`"),
            )
            .field("Authorization")
            .help("log in as somebody who may do this"));
        }
        HeaderValue::try_from(claims.sub).map_err(|_| refused())
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let named = decode_header(token).ok()?.kid;
        // Tokens from before keys had ids name none.
        let mut keys = self
            .keys
            .iter()
            .filter(|key| named.as_ref().is_none_or(|id| *id == key.id));
        let claims = keys.find_map(|key| decode::<Claims>(token, &key.key, &self.rules).ok())?;
        is_id(&claims.claims.sub).then_some(claims.claims)
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let sent = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| ApiError::unauthorized("you are not logged in"))?;
    sent.to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| ApiError::unauthorized("the Authorization header holds no bearer token"))
}

fn refused() -> ApiError {
    ApiError::unauthorized("the token is not valid, or no longer")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::token::ADMIN;

    const SECRET: &str = "0123456789abcdef";

    const BEFORE: &str = "secret-before-this";
    const FAR: u64 = 4_000_000_000;

    fn token(secret: &str, algorithm: Algorithm, exp: u64, sub: &str) -> String {
        sign(
            secret,
            &Header::new(algorithm),
            &json!({ "sub": sub, "exp": exp }),
        )
    }

    fn sign(secret: &str, header: &Header, claims: &serde_json::Value) -> String {
        encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn reader(current: &str, previous: Option<&str>) -> TokenReader {
        TokenReader::new(
            &TokenSecrets {
                current: Secret::for_test(current),
                previous: previous.map(Secret::for_test),
            },
            None,
        )
    }

    fn status(reader: &TokenReader, token: &str, act: &str) -> u16 {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert(header::AUTHORIZATION, value);
        let shopper = reader.shopper_of(&headers, act);
        shopper.map_or_else(|error| error.status().as_u16(), |_| 200)
    }

    fn check(authorization: Option<&str>, wanted: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(text) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        }
        let shopper = reader(SECRET, None).shopper_of(&headers, SHOP).ok();
        assert_eq!(
            shopper.as_ref().map(|id| id.to_str().unwrap()),
            wanted,
            "{authorization:?}"
        );
    }

    #[test]
    fn only_our_own_tokens_name_a_shopper() {
        let good = token(SECRET, Algorithm::HS256, FAR, "s-0001");
        check(Some(&format!("Bearer {good}")), Some("s-0001"));
        check(Some(&format!("bearer {good}")), Some("s-0001"));
        check(None, None);
        check(Some(&good), None);
        check(Some("Bearer"), None);
        check(Some("Bearer x.y.z"), None);
        check(
            Some(&format!(
                "Bearer {}",
                token("another secret!!", Algorithm::HS256, FAR, "s-0001")
            )),
            None,
        );
        check(
            Some(&format!(
                "Bearer {}",
                token(SECRET, Algorithm::HS384, FAR, "s-0001")
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
                token(SECRET, Algorithm::HS256, FAR, "s 0001\r\nx: y")
            )),
            None,
        );
    }
    #[test]
    fn a_scope_opens_what_it_names_and_nothing_else() {
        let reader = reader(SECRET, None);
        for (scope, shop, admin) in [
            (json!("shop"), 200, 403),
            (json!("admin shop"), 200, 200),
            (json!("admin"), 403, 200),
            (json!("administrator"), 403, 403),
            (json!(""), 403, 403),
            (json!(["admin"]), 401, 401),
        ] {
            let claims = json!({ "sub": "s-1", "exp": FAR, "scope": scope });
            let token = sign(SECRET, &Header::new(Algorithm::HS256), &claims);
            assert_eq!(status(&reader, &token, SHOP), shop, "{scope}");
            assert_eq!(status(&reader, &token, ADMIN), admin, "{scope}");
        }
    }

    #[test]
    fn the_secret_before_verifies_until_it_is_taken_away() {
        let signed = |secret: &str, id: Option<String>| {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = id;
            sign(
                secret,
                &header,
                &json!({ "sub": "s-1", "exp": FAR, "scope": "shop" }),
            )
        };
        let id = |secret| Some(key_id(&Secret::for_test(secret)));
        let (rolling, rolled) = (reader(SECRET, Some(BEFORE)), reader(SECRET, None));
        for (token, while_rolling, afterwards) in [
            (signed(SECRET, id(SECRET)), 200, 200),
            (signed(SECRET, None), 200, 200),
            (signed(BEFORE, id(BEFORE)), 200, 401),
            (signed(BEFORE, None), 200, 401),
            (signed(BEFORE, id(SECRET)), 401, 401),
            (signed(SECRET, Some("no such key".to_owned())), 401, 401),
        ] {
            assert_eq!(status(&rolling, &token, SHOP), while_rolling, "{token}");
            assert_eq!(status(&rolled, &token, SHOP), afterwards, "{token}");
        }
    }
}

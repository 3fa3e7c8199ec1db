//! Writes the token that tells the gateway who a shopper is.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::clock;
use crate::config::Secret;
use crate::http::error::ApiError;

/// How long a token is good, in seconds.
const LIFE_S: i64 = 3600;

/// Signs tokens by HS256.
pub(super) struct TokenWriter {
    key: EncodingKey,
    header: Header,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    sub: &'a str,
    iat: i64,
    exp: i64,
}

impl TokenWriter {
    pub(super) fn new(secret: &Secret) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.expose()),
            header: Header::new(Algorithm::HS256),
        }
    }

    /// A token for a shopper, and for how many seconds it is good.
    pub(super) fn write(&self, shopper: &str) -> Result<(String, i64), ApiError> {
        let iat = clock::now_ms() / 1000;
        let claims = Claims {
            iss: "store",
            sub: shopper,
            iat,
            exp: iat + LIFE_S,
        };
        let token = encode(&self.header, &claims, &self.key);
        token
            .map(|token| (token, LIFE_S))
            .map_err(|error| ApiError::internal(format!("token: {error}")))
    }
}

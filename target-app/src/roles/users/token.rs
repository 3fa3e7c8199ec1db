//! Writes the token that tells the gateway who a shopper is.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use uuid::Uuid;

use crate::clock;
use crate::config::Secret;
use crate::http::error::ApiError;
use crate::token::{Claims, ISSUER, key_id};

/// How long a token is good, in seconds: as long as a log-out or a stolen token may go unnoticed.
const LIFE_S: i64 = 15 * 60;

/// Signs tokens by HS256.
pub(super) struct TokenWriter {
    key: EncodingKey,
    header: Header,
}

impl TokenWriter {
    pub(super) fn new(secret: &Secret) -> Self {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key_id(secret));
        Self {
            key: EncodingKey::from_secret(secret.expose()),
            header,
        }
    }

    /// A token for a shopper, and for how many seconds it is good.
    pub(super) fn write(&self, shopper: &str, scope: &str) -> Result<(String, i64), ApiError> {
        let iat = clock::now_ms() / 1000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: shopper.to_owned(),
            iat,
            exp: iat + LIFE_S,
            jti: Uuid::new_v4().simple().to_string(),
            scope: scope.to_owned(),
        };
        let token = encode(&self.header, &claims, &self.key);
        token
            .map(|token| (token, LIFE_S))
            .map_err(|error| ApiError::internal(format!("token: {error}")))
    }
}

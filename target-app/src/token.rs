//! What a shopper's token says, and which secret it was signed with.
//!
//! `users` signs with its present secret. `gateway` verifies with that one and, while a new secret is
//! rolled out, with the one before it; the `kid` in a token's header tells which.
//!
//! Invariant: a key id tells nothing of its secret that the signature of a token does not tell as well.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Secret;

/// Who issues the tokens.
pub(crate) const ISSUER: &str = "store";
/// What every shopper may do: shop.
pub(crate) const SHOP: &str = "shop";
/// What only the people of the shop may do: change what is sold.
pub(crate) const ADMIN: &str = "admin";
/// Keeps the key id apart from any other hash of the same secret.
const KEY_ID_LABEL: &[u8] = b"store token key id\0";
/// How much of the hash tells keys apart, in bytes.
const KEY_ID_BYTES: usize = 8;

/// The claims of an access token (RFC 7519; `scope` as in RFC 8693, section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// [`ISSUER`].
    pub(crate) iss: String,
    /// The shopper's id.
    pub(crate) sub: String,
    /// When it was issued, in seconds since 1970.
    pub(crate) iat: i64,
    /// From when on it is refused, in seconds since 1970.
    pub(crate) exp: i64,
    /// The token's own id.
    pub(crate) jti: String,
    /// What it allows: words with single blanks between them.
    pub(crate) scope: String,
}

/// The secrets a token may be signed with.
#[derive(Debug, Clone)]
pub(crate) struct TokenSecrets {
    /// Signs and verifies.
    pub(crate) current: Secret,
    /// Verifies only.
    pub(crate) previous: Option<Secret>,
}

/// Whether a scope holds a word.
pub(crate) fn allows(scope: &str, word: &str) -> bool {
    scope.split(' ').any(|one| one == word)
}

/// The `kid` of tokens signed with a secret: 16 hexadecimal digits.
pub(crate) fn key_id(secret: &Secret) -> String {
    let hash = Sha256::new()
        .chain_update(KEY_ID_LABEL)
        .chain_update(secret.expose())
        .finalize();
    hex(&hash[..KEY_ID_BYTES])
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_tell_secrets_apart_and_stay_the_same() {
        let [one, other] = ["only-for-these-tests", "only-for-these-test2"]
            .map(|text| key_id(&Secret::for_test(text)));
        assert_eq!(one, key_id(&Secret::for_test("only-for-these-tests")));
        assert!(one != other && one.len() == 16, "{one} {other}");
    }

    #[test]
    fn a_scope_is_a_list_of_words_and_not_a_text_to_search() {
        assert!(allows("admin shop", ADMIN) && allows("shop", SHOP));
        assert!(
            !allows("shop", ADMIN) && !allows("administrator shop", ADMIN) && !allows("", SHOP)
        );
    }

    #[test]
    fn bytes_are_written_in_hexadecimal() {
        assert_eq!(hex(&[0, 0x1f, 0xa0, 255]), "001fa0ff");
    }
}

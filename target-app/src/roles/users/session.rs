//! Log-ins that can be prolonged: a refresh token is spent for a new one, again and again.
//!
//! A refresh token is `SESSION.SECRET`, both drawn at random. The row of its session knows the hash of
//! the secret that is good now. Whoever shows another has an old one, which only its thief or its
//! rightful owner can have; as nobody can tell which, the session ends for both (RFC 9700, section 4.14.2).
//! One case is no theft: the answer to a refresh was lost on its way, and the same request comes again,
//! known by its idempotency key.
//!
//! Invariant: no refresh token is stored or logged; at most [`SESSIONS_MAX`] sessions are kept of a
//! shopper, each for at most [`LIFE_MS`] after its log-in.

use sha2::{Digest as _, Sha256};
use sqlx::{Any, Transaction};
use uuid::Uuid;

use crate::clock;
use crate::database::Database;
use crate::http::error::ApiError;
use crate::token::hex;

/// How long after its log-in a session ends for good, in milliseconds: 30 days.
const LIFE_MS: i64 = 30 * 24 * 3600 * 1000;
/// How long a repeated refresh counts as a repetition, in milliseconds; a caller gives up sooner.
const REPEAT_MS: i64 = 60_000;
/// The sessions kept of one shopper; a further log-in ends the oldest.
const SESSIONS_MAX: i64 = 10;
/// Hexadecimal digits of a session's id, and of each half of a secret.
const UUID_DIGITS: usize = 32;

/// A refresh token, taken apart.
pub(super) struct RefreshToken {
    session: String,
    secret: String,
}

impl RefreshToken {
    fn draw(session: String) -> Self {
        // Two random UUIDs are 244 random bits.
        let [first, second] = [(); 2].map(|()| Uuid::new_v4().simple());
        Self {
            session,
            secret: format!("{first}{second}"),
        }
    }

    /// Takes a token apart; nothing if it cannot be one of ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (session, secret) = text.split_once('.')?;
        let is_hex = |part: &str, digits| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        (is_hex(session, UUID_DIGITS) && is_hex(secret, 2 * UUID_DIGITS)).then(|| Self {
            session: session.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// The token as the shopper keeps it.
    pub(super) fn text(&self) -> String {
        format!("{}.{}", self.session, self.secret)
    }

    // The secret is random and long, so a plain hash cannot be searched for what made it.
    fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.as_bytes()))
    }
}

/// Opens a session for a shopper who has just proven who it is.
pub(super) async fn open(database: &Database, shopper: &str) -> Result<RefreshToken, ApiError> {
    let token = RefreshToken::draw(Uuid::new_v4().simple().to_string());
    let now = clock::now_ms();
    let mut transaction = database.begin().await?;
    sqlx::query(
        "INSERT INTO sessions (id, shopper_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&token.session)
    .bind(shopper)
    .bind(token.hash())
    .bind(now)
    .bind(now + LIFE_MS)
    .execute(&mut *transaction)
    .await?;
    end_oldest(&mut transaction, shopper).await?;
    transaction.commit().await?;
    Ok(token)
}

async fn end_oldest(
    transaction: &mut Transaction<'_, Any>,
    shopper: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM sessions WHERE shopper_id = $1 AND id NOT IN
           (SELECT id FROM sessions WHERE shopper_id = $1 ORDER BY created_at DESC, id LIMIT $2)",
    )
    .bind(shopper)
    .bind(SESSIONS_MAX)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Spends a refresh token: the shopper's id and the next token, or nothing if it is not good (any more),
/// in which case its session has ended.
pub(super) async fn spend(
    database: &Database,
    token: &RefreshToken,
    key: Option<&str>,
) -> Result<Option<(String, RefreshToken)>, ApiError> {
    let next = RefreshToken::draw(token.session.clone());
    let mut shopper = spend_first(database, token, &next, key).await?;
    if let (None, Some(key)) = (&shopper, key) {
        shopper = spend_again(database, token, &next, key).await?;
    }
    if shopper.is_none() && end(database, token).await? {
        tracing::warn!("a refresh token was used a second time: its session has ended");
    }
    Ok(shopper.map(|shopper| (shopper, next)))
}

// One statement, so that of several callers with one token a single one has it.
async fn spend_first(
    database: &Database,
    token: &RefreshToken,
    next: &RefreshToken,
    key: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE sessions SET token_hash = $3, spent_hash = $2, spent_key = $4, spent_at = $5
         WHERE id = $1 AND token_hash = $2 AND expires_at > $5 RETURNING shopper_id",
    )
    .bind(&token.session)
    .bind(token.hash())
    .bind(next.hash())
    .bind(key)
    .bind(clock::now_ms())
    .fetch_optional(database.writer())
    .await
}

// The answer to the same request was lost; what it said is good no longer.
async fn spend_again(
    database: &Database,
    token: &RefreshToken,
    next: &RefreshToken,
    key: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE sessions SET token_hash = $3
         WHERE id = $1 AND spent_hash = $2 AND spent_key = $4 AND spent_at > $5 RETURNING shopper_id",
    )
    .bind(&token.session)
    .bind(token.hash())
    .bind(next.hash())
    .bind(key)
    .bind(clock::now_ms() - REPEAT_MS)
    .fetch_optional(database.writer())
    .await
}

/// Ends the session of a token; says whether it was still running.
pub(super) async fn end(database: &Database, token: &RefreshToken) -> Result<bool, ApiError> {
    let expires_at: Option<i64> =
        sqlx::query_scalar("DELETE FROM sessions WHERE id = $1 RETURNING expires_at")
            .bind(&token.session)
            .fetch_optional(database.writer())
            .await?;
    Ok(expires_at.is_some_and(|expires_at| expires_at > clock::now_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Book {
        database: Database,
        _folder: tempfile::TempDir,
    }

    impl Book {
        async fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let migrations = super::super::MIGRATIONS;
            let database = Database::open(folder.path(), "users", migrations)
                .await
                .unwrap();
            Self {
                database,
                _folder: folder,
            }
        }

        async fn spend(&self, token: &RefreshToken, key: &str) -> Option<RefreshToken> {
            let spent = spend(&self.database, token, Some(key)).await.unwrap();
            spent.map(|(shopper, next)| {
                assert_eq!(shopper, "s-1");
                next
            })
        }

        async fn sessions(&self) -> i64 {
            sqlx::query_scalar("SELECT count(*) FROM sessions")
                .fetch_one(self.database.reader())
                .await
                .unwrap()
        }
    }

    #[tokio::test]
    async fn each_refresh_token_is_good_once() {
        let book = Book::open().await;
        let first = open(&book.database, "s-1").await.unwrap();
        let second = book.spend(&first, "a").await.unwrap();
        let third = book.spend(&second, "b").await.unwrap();
        assert!(third.secret != second.secret && third.session == first.session);
    }

    #[tokio::test]
    async fn an_old_token_ends_the_session_for_thief_and_owner() {
        let book = Book::open().await;
        let first = open(&book.database, "s-1").await.unwrap();
        let other = open(&book.database, "s-1").await.unwrap();
        let second = book.spend(&first, "a").await.unwrap();
        assert!(book.spend(&first, "another key").await.is_none());
        assert!(book.spend(&second, "b").await.is_none());
        assert!(
            book.spend(&other, "c").await.is_some(),
            "another log-in goes on"
        );
    }

    #[tokio::test]
    async fn a_lost_answer_can_be_asked_for_again_under_its_key() {
        let book = Book::open().await;
        let first = open(&book.database, "s-1").await.unwrap();
        let lost = book.spend(&first, "a").await.unwrap();
        let second = book.spend(&first, "a").await.unwrap();
        let third = book.spend(&second, "b").await.unwrap();
        // The answer was not lost after all: who kept it has an old token now.
        assert!(book.spend(&lost, "c").await.is_none());
        assert!(book.spend(&third, "d").await.is_none());
    }

    #[tokio::test]
    async fn of_two_refreshes_at_once_one_wins() {
        let book = Book::open().await;
        let first = open(&book.database, "s-1").await.unwrap();
        let (one, other) = tokio::join!(book.spend(&first, "a"), book.spend(&first, "b"));
        assert!(one.is_some() != other.is_some());
    }

    #[tokio::test]
    async fn sessions_end_by_age_and_number() {
        let book = Book::open().await;
        let first = open(&book.database, "s-1").await.unwrap();
        sqlx::query("UPDATE sessions SET expires_at = 1")
            .execute(book.database.writer())
            .await
            .unwrap();
        assert!(book.spend(&first, "a").await.is_none());
        for _ in 0..SESSIONS_MAX + 5 {
            open(&book.database, "s-1").await.unwrap();
        }
        open(&book.database, "s-2").await.unwrap();
        assert_eq!(book.sessions().await, SESSIONS_MAX + 1);
    }

    #[tokio::test]
    async fn no_secret_of_a_token_is_stored() {
        let book = Book::open().await;
        let first = open(&book.database, "s-1").await.unwrap();
        let second = book.spend(&first, "a").await.unwrap();
        let row: (String, String) = sqlx::query_as("SELECT token_hash, spent_hash FROM sessions")
            .fetch_one(book.database.reader())
            .await
            .unwrap();
        assert_eq!(row, (second.hash(), first.hash()));
        assert!(row.0 != second.secret && row.0.len() == 64);
    }

    #[test]
    fn only_what_looks_like_a_token_is_looked_for() {
        let token = RefreshToken::draw(Uuid::new_v4().simple().to_string());
        assert!(RefreshToken::read(&token.text()).is_some());
        for text in ["", ".", "a.b", &token.secret, &format!("{}x", token.text())] {
            assert!(RefreshToken::read(text).is_none(), "{text}");
        }
    }
}

//! Shoppers: registers them, and logs them in with a token.
//!
//! Invariant: passwords are stored as Argon2id hashes only, and an answer does not tell whether the
//! e-mail address or the password was wrong.

mod password;
mod seed;
mod token;

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::config::{Secret, Storage};
use crate::database::{Database, Schema};
use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::http::extract::IdempotencyKey;
use crate::http::fields::Fields;
use crate::serve::{ServeError, Started, Tasks};
use password::Passwords;
use token::TokenWriter;

const MIGRATIONS: &[&str] = &[include_str!("../../migrations/users/0001_start.sql")];
pub(super) const SCHEMA: Schema = Schema {
    name: "users",
    sqlite: MIGRATIONS,
    postgres: &[include_str!(
        "../../migrations/postgres/users/0001_start.sql"
    )],
};

struct Users {
    database: Database,
    passwords: Arc<Passwords>,
    tokens: TokenWriter,
}

/// Prepares the role, with the demonstration shoppers in place.
pub(super) async fn start(
    storage: &Storage,
    secret: &Secret,
    memory_kib: u32,
) -> Result<Started, ServeError> {
    let passwords = Passwords::new(memory_kib).map_err(|error| ServeError::Passwords {
        memory_kib,
        text: error.to_string(),
    })?;
    let passwords = Arc::new(passwords);
    let rows = {
        let passwords = Arc::clone(&passwords);
        move |database| seed::shoppers(database, Arc::clone(&passwords))
    };
    let mut tasks = Tasks::new();
    let database = Database::start(storage, SCHEMA, rows, &mut tasks).await?;
    let users = Users {
        database: database.clone(),
        passwords,
        tokens: TokenWriter::new(secret),
    };
    let router = Router::new()
        .route("/users", post(register))
        .route("/login", post(log_in))
        .with_state(Arc::new(users));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

struct Credentials {
    email: String,
    password: String,
}

impl Credentials {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let email = fields.text("email", 3..=254)?.trim().to_ascii_lowercase();
        if !is_email(&email) {
            return Err(fields
                .wrong("email", "must be an e-mail address")
                .help("such as ada@example.com"));
        }
        let password = fields.text("password", 8..=128)?;
        fields.finish()?;
        Ok(Self { email, password })
    }
}

// Only a letter to the address could tell more.
fn is_email(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    plain
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && !host.contains('@')
                && host.split('.').count() >= 2
                && host.split('.').all(|part| !part.is_empty())
        })
}

async fn register(
    State(users): State<Arc<Users>>,
    key: IdempotencyKey,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Credentials { email, password } = Credentials::read(&body)?;
    let hash = users.passwords.hash(password).await?;
    let id = format!("s-{}", Uuid::now_v7().simple());
    let inserted = sqlx::query(
        "INSERT INTO shoppers (id, email, password_hash, request_key, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (email) DO NOTHING",
    )
    .bind(&id)
    .bind(&email)
    .bind(hash)
    .bind(&key.0)
    .bind(clock::now_ms())
    .execute(users.database.writer())
    .await?
    .rows_affected();
    let id = if inserted == 1 {
        id
    } else {
        users.registered_with(&email, key).await?
    };
    Ok((
        StatusCode::CREATED,
        Json(json!({ "id": id, "email": email })),
    ))
}

impl Users {
    // A repeated registration is recognised by its key; any other finds the address taken.
    async fn registered_with(&self, email: &str, key: IdempotencyKey) -> Result<String, ApiError> {
        let id: Option<String> =
            sqlx::query_scalar("SELECT id FROM shoppers WHERE email = $1 AND request_key = $2")
                .bind(email)
                .bind(key.0)
                .fetch_optional(self.database.reader())
                .await?;
        id.ok_or_else(|| {
            ApiError::conflict("a shopper with this e-mail address is already registered")
                .field("email")
                .help("log in instead, or use another address")
        })
    }
}

async fn log_in(
    State(users): State<Arc<Users>>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let Credentials { email, password } = Credentials::read(&body)?;
    let known: Option<(String, String)> =
        sqlx::query_as("SELECT id, password_hash FROM shoppers WHERE email = $1")
            .bind(&email)
            .fetch_optional(users.database.reader())
            .await?;
    let (id, hash) = known.unzip();
    let right = users.passwords.verify(password, hash).await?;
    let id = id.filter(|_| right).ok_or_else(|| {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the e-mail address or the password is wrong",
        )
        .field("password")
    })?;
    let (token, expires_in) = users.tokens.write(&id)?;
    Ok(Json(
        json!({ "token": token, "token_type": "Bearer", "expires_in": expires_in, "shopper_id": id }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_has_a_name_and_a_host() {
        for good in ["a@b.c", "shopper-0001@example.com", "x+y@mail.example.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.c",
            "a@b..c",
            "a@@b.c",
            "a b@c.d",
            "a@b.c@d.e",
            "a@.c",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn credentials_are_bounded() {
        let read = |email: &str, password: &str| {
            Credentials::read(
                json!({ "email": email, "password": password })
                    .to_string()
                    .as_bytes(),
            )
        };
        assert_eq!(
            read(" Ada@Example.COM ", "long enough").ok().unwrap().email,
            "ada@example.com"
        );
        assert!(read("ada@example.com", "short").is_err());
        assert!(read("ada@example.com", &"x".repeat(129)).is_err());
        assert!(read(&format!("{}@example.com", "a".repeat(250)), "long enough").is_err());
    }
}

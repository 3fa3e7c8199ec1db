//! Who demonstrations log in as: `shopper-0001@example.com` to `shopper-0100@example.com`, and
//! `admin@example.com`, who may change what is sold.
//!
//! Invariant: running it twice, or in several processes at once, makes them once.

use std::sync::Arc;

use serde_json::json;

use super::password::Passwords;
use crate::clock;
use crate::database::Database;
use crate::token;

/// The address of the administrator.
const ADMIN: &str = "admin@example.com";
/// How many there are.
pub(super) const SHOPPERS: u32 = 100;
/// The password of each; no secret, it stands in the journeys.
pub(super) const PASSWORD: &str = "correct-horse-battery";

/// Makes those who are not there.
pub(super) async fn everybody(
    database: Database,
    passwords: Arc<Passwords>,
) -> Result<(), sqlx::Error> {
    shoppers(&database, &passwords).await?;
    admin(&database, &passwords).await
}

async fn shoppers(database: &Database, passwords: &Passwords) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin().await?;
    let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM shoppers WHERE id = 's-0001'")
        .fetch_optional(&mut *transaction)
        .await?;
    if there.is_some() {
        return transaction.rollback().await;
    }
    // One hash for all: a hundred would take seconds, and the password is known anyway.
    let hash = passwords
        .hash(PASSWORD.to_owned())
        .await
        .map_err(|error| sqlx::Error::Protocol(format!("{error:?}")))?;
    let rows: Vec<_> = (1..=SHOPPERS)
        .map(|number| {
            json!([
                format!("s-{number:04}"),
                format!("shopper-{number:04}@example.com")
            ])
        })
        .collect();
    // Another process may have been faster while the hash was made.
    sqlx::query(database.dialect().pick(
        "INSERT INTO shoppers (id, email, password_hash, created_at)
         SELECT value ->> 0, value ->> 1, $2, $3 FROM json_each($1)",
        "INSERT INTO shoppers (id, email, password_hash, created_at)
         SELECT value ->> 0, value ->> 1, $2, $3 FROM json_array_elements($1::json)
         ON CONFLICT DO NOTHING",
    ))
    .bind(json!(rows).to_string())
    .bind(hash)
    .bind(clock::now_ms())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

// Nobody becomes an administrator who has registered the address before.
async fn admin(database: &Database, passwords: &Passwords) -> Result<(), sqlx::Error> {
    let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM shoppers WHERE email = $1")
        .bind(ADMIN)
        .fetch_optional(database.reader())
        .await?;
    if there.is_some() {
        return Ok(());
    }
    let hash = passwords
        .hash(PASSWORD.to_owned())
        .await
        .map_err(|error| sqlx::Error::Protocol(format!("{error:?}")))?;
    sqlx::query(
        "INSERT INTO shoppers (id, email, password_hash, created_at, scope) VALUES ('s-admin', $1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(ADMIN)
    .bind(hash)
    .bind(clock::now_ms())
    .bind(format!("{} {}", token::ADMIN, token::SHOP))
    .execute(database.writer())
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn seeding_twice_makes_everybody_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "users", super::super::MIGRATIONS)
            .await
            .unwrap();
        let passwords = Arc::new(Passwords::new(64).unwrap());
        for _ in 0..2 {
            everybody(database.clone(), Arc::clone(&passwords))
                .await
                .unwrap();
        }
        let scopes: Vec<(String, i64)> =
            sqlx::query_as("SELECT scope, count(*) FROM shoppers GROUP BY scope ORDER BY scope")
                .fetch_all(database.reader())
                .await
                .unwrap();
        let wanted = [
            ("admin shop".to_owned(), 1),
            ("shop".to_owned(), i64::from(SHOPPERS)),
        ];
        assert_eq!(scopes, wanted);
        let last: String =
            sqlx::query_scalar("SELECT max(email) FROM shoppers WHERE scope = 'shop'")
                .fetch_one(database.reader())
                .await
                .unwrap();
        assert_eq!(last, "shopper-0100@example.com");
    }
}

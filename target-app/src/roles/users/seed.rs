//! The shoppers of demonstrations: `shopper-0001@example.com` to `shopper-0100@example.com`.
//!
//! Invariant: running it twice, or in several processes at once, makes them once.

use std::sync::Arc;

use serde_json::json;

use super::password::Passwords;
use crate::clock;
use crate::database::Database;

/// How many there are.
pub(super) const SHOPPERS: u32 = 100;
/// The password of each; no secret, it stands in the journeys.
pub(super) const PASSWORD: &str = "correct-horse-battery";

/// Makes the shoppers if they are not there.
pub(super) async fn shoppers(
    database: Database,
    passwords: Arc<Passwords>,
) -> Result<(), sqlx::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn seeding_twice_makes_each_shopper_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "users", super::super::MIGRATIONS)
            .await
            .unwrap();
        let passwords = Arc::new(Passwords::new(64).unwrap());
        for _ in 0..2 {
            shoppers(database.clone(), Arc::clone(&passwords))
                .await
                .unwrap();
        }
        let (count, last): (i64, String) =
            sqlx::query_as("SELECT count(*), max(email) FROM shoppers")
                .fetch_one(database.reader())
                .await
                .unwrap();
        assert_eq!(
            (count, last.as_str()),
            (i64::from(SHOPPERS), "shopper-0100@example.com")
        );
    }
}

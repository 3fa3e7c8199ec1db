//! Hashes and verifies passwords away from the thread that serves requests.
//!
//! Invariant: at most [`AT_ONCE_MAX`] passwords are worked on at once, each in memory that is kept for
//! the next, so that log-ins under load neither grow the process nor fault fresh pages in; who waits
//! longer than [`WAIT_MAX`] for a turn is told to come back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::Error;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher as _, Version};
use tokio::sync::Semaphore;

use crate::http::error::ApiError;

/// Passwords worked on at once.
const AT_ONCE_MAX: usize = 2;
/// The longest wait for a turn.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Passes over the memory.
const PASSES: u32 = 2;
/// Lanes; more would need more threads.
const LANES: u32 = 1;
/// What a login with an unknown address is compared with, so that it takes as long as any other.
const NOBODY: &str = "nobody has this password";

/// The working memory of one hash.
type Memory = Vec<Block>;

/// Hashes and verifies at one cost.
#[derive(Debug)]
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    /// Memory that nobody works in; never more than there are turns.
    free: Arc<Mutex<Vec<Memory>>>,
    nobody: String,
}

impl Passwords {
    /// Prepares hashing with so much memory; the cost of a stored hash is read from the hash.
    pub(super) fn new(memory_kib: u32) -> Result<Self, Error> {
        let params = Params::new(memory_kib, PASSES, LANES, None)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, NOBODY)?;
        Ok(Self {
            argon2,
            turns: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            free: Arc::default(),
            nobody,
        })
    }

    /// The hash of a password, with its cost and a salt of its own, as PHC text.
    pub(super) async fn hash(&self, password: String) -> Result<String, ApiError> {
        let argon2 = self.argon2.clone();
        self.in_turn(move |_| hash(&argon2, &password)).await
    }

    /// Whether a password fits a stored hash; without one it never does, after the same time.
    pub(super) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ApiError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let fits = self.in_turn(move |memory| fits(&password, &hash, memory));
        Ok(fits.await? && known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| ApiError::busy("too many shoppers are logging in"))?
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let free = Arc::clone(&self.free);
        let worked = tokio::task::spawn_blocking(move || {
            let lock = || free.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = lock().pop().unwrap_or_default();
            let done = work(&mut memory);
            lock().push(memory);
            // The turn moved into the work: a caller that goes away does not free it early.
            drop(turn);
            done
        });
        worked
            .await
            .map_err(|error| ApiError::internal(error.to_string()))?
            .map_err(|error| ApiError::internal(format!("password: {error}")))
    }
}

fn hash(argon2: &Argon2<'static>, password: &str) -> Result<String, Error> {
    argon2
        .hash_password(password.as_bytes())
        .map(|hash: PasswordHash| hash.to_string())
}

// As the library's own check does it, but in memory that is already there.
fn fits(password: &str, hash: &str, memory: &mut Memory) -> Result<bool, Error> {
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Ok(false);
    };
    let params = Params::try_from(&hash)?;
    memory.resize(params.block_count(), Block::default());
    let mut output = vec![0; expected.len()];
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    Argon2::new(algorithm, Version::V0x13, params).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        &mut output,
        memory,
    )?;
    // This comparison takes the same time wherever the two differ.
    Ok(Output::new(&output)? == *expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(64).unwrap();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{hash}");
        assert!(
            passwords
                .verify("correct horse".to_owned(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("wrong horse".to_owned(), Some(hash))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(NOBODY.to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn the_cost_of_a_stored_hash_is_its_own() {
        let hash = Passwords::new(64)
            .unwrap()
            .hash("correct horse".to_owned())
            .await
            .unwrap();
        let later = Passwords::new(128).unwrap();
        assert!(
            later
                .verify("correct horse".to_owned(), Some(hash))
                .await
                .unwrap()
        );
    }

    #[test]
    fn a_cost_argon2_cannot_have_is_refused() {
        assert!(Passwords::new(1).is_err());
    }
}

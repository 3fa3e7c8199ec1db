//! Answers in Redis, for all processes of the role.
//!
//! Every answer bears the generation it was loaded in, and one of another generation is as good as none:
//! so a change needs one write, however many answers it concerns.
//!
//! Invariant: an answer loaded before a change is never taken for one loaded after it.

use bytes::Bytes;

use crate::redis_link::Redis;

/// Where the generation stands; nothing there is a generation too, the empty one.
const GENERATION: &str = "store:catalog:generation";
/// What the names of answers begin with.
const PREFIX: &str = "store:catalog:";

/// The answers in Redis.
#[derive(Debug)]
pub(super) struct Shared(Redis);

impl Shared {
    pub(super) fn new(redis: Redis) -> Self {
        Self(redis)
    }

    /// The present generation, and the answer if there is one of it; nothing if Redis is away.
    pub(super) async fn get(&self, key: &str) -> Option<(String, Option<Bytes>)> {
        let mut command = redis::cmd("MGET");
        command.arg(GENERATION).arg(format!("{PREFIX}{key}"));
        let (generation, kept): (Option<String>, Option<Vec<u8>>) = self.0.ask(&command).await?;
        let generation = generation.unwrap_or_default();
        let answer = kept.and_then(|kept| body_of(&generation, kept));
        Some((generation, answer))
    }

    /// Keeps an answer of a generation for so many milliseconds.
    pub(super) async fn put(&self, key: &str, generation: &str, body: &Bytes, keep_ms: u64) {
        let mut value = Vec::with_capacity(generation.len() + 1 + body.len());
        value.extend_from_slice(generation.as_bytes());
        value.push(b'\n');
        value.extend_from_slice(body);
        let mut command = redis::cmd("SET");
        command.arg(format!("{PREFIX}{key}")).arg(value);
        command.arg("PX").arg(keep_ms);
        // Without an answer it is not kept, and loaded again by the next.
        let _kept: Option<()> = self.0.ask(&command).await;
    }

    /// Begins a new generation.
    pub(super) async fn turn(&self) {
        let mut command = redis::cmd("SET");
        command
            .arg(GENERATION)
            .arg(uuid::Uuid::new_v4().simple().to_string());
        let turned: Option<()> = self.0.ask(&command).await;
        if turned.is_none() {
            tracing::warn!(
                "a product has changed and Redis could not be told; others may see it as it was for some seconds"
            );
        }
    }
}

fn body_of(generation: &str, mut kept: Vec<u8>) -> Option<Bytes> {
    let end = generation.len();
    let same = kept.starts_with(generation.as_bytes()) && kept.get(end) == Some(&b'\n');
    same.then(|| kept.split_off(end + 1).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_the_same_generation_is_one() {
        let check = |generation: &str, kept: &[u8], wanted: Option<&[u8]>| {
            let body = body_of(generation, kept.to_vec());
            assert_eq!(body.as_deref(), wanted, "{generation}");
        };
        check("7f", b"7f\n{}", Some(b"{}"));
        check("", b"\n{}", Some(b"{}"));
        check("7f", b"7e\n{}", None);
        check("7", b"7f\n{}", None);
        check("", b"7f\n{}", None);
        check("7f", b"", None);
    }
}

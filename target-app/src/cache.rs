//! Answers kept for a while, in Redis for all processes and in memory for bad times.
//!
//! With Redis an answer is asked for there first and is at most [`SHARED_MS`] old. Without it, pages of
//! many products are served from memory for [`BRIEF`], and single products always come from the database.
//! When the database is away, whatever this process has seen in the last [`STALE_MAX`] is served instead.
//!
//! A change of a product draws a new generation, and answers of an older one are not used. A reader asks
//! for the generation before it loads, so what it has read before a change cannot be kept after it. Only
//! the pages that other processes keep in memory without Redis, and all of Redis when it could not be
//! told, may show the old product for as long as stated above.
//!
//! Invariant: memory is bounded by [`BYTES_MAX`]; a page is loaded once at a time however many ask for it;
//! nothing of this is used where money or stock is decided.

mod flights;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Memory;
use tokio::time::Instant;

use crate::http::error::ApiError;
use crate::redis_link::Redis;
use flights::Flights;
use shared::Shared;

/// The header that tells how an answer was found.
pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// How long Redis keeps an answer, in milliseconds.
const SHARED_MS: u64 = 3000;
/// How long a page is served from memory while there is no Redis.
const BRIEF: Duration = Duration::from_secs(2);
/// How old an answer may be that is served because the database is away.
const STALE_MAX: Duration = Duration::from_mins(10);
/// How long the database may take when there is something stale to serve instead.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the database is then left alone by those who have something stale.
const AWAY: Duration = Duration::from_millis(500);
/// The most memory for answers, in bytes, and how many are expected to fill it.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
const ANSWERS: usize = 8 * 1024;
/// What an answer costs besides its text and its key, in bytes.
const OVERHEAD_BYTES: u64 = 256;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A single product, by its id.
    Product(String),
    /// A page of many, by all that it depends on.
    Page(String),
}

impl Key {
    fn text(&self) -> String {
        match self {
            Self::Product(id) => format!("product:{id}"),
            Self::Page(page) => format!("page:{page}"),
        }
    }
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Hit,
    Miss,
    Stale { age: Duration },
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale { .. } => "stale",
        }
    }
}

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    body: Bytes,
    how: How,
}

impl IntoResponse for Found {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        let how = HeaderValue::from_static(self.how.name());
        let mut response =
            ([(header::CONTENT_TYPE, kind), (X_CACHE, how)], self.body).into_response();
        if let How::Stale { age } = self.how {
            response
                .headers_mut()
                .insert(header::AGE, HeaderValue::from(age.as_secs()));
        }
        response
    }
}

/// An answer in memory.
#[derive(Debug, Clone)]
struct Copy {
    body: Bytes,
    at: Instant,
    generation: u64,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<String, Copy> for ByBytes {
    fn weight(&self, key: &String, copy: &Copy) -> u64 {
        OVERHEAD_BYTES + (key.len() + copy.body.len()) as u64
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HowLabels {
    how: &'static str,
}

/// The answers of one process.
#[derive(Debug)]
pub(crate) struct Cache {
    memory: Memory<String, Copy, ByBytes>,
    shared: Option<Shared>,
    flights: Arc<Flights>,
    /// Grows with each change that this process has made.
    generation: AtomicU64,
    begun: Instant,
    /// Until when the database is left alone, in milliseconds since `begun`.
    away_until_ms: AtomicU64,
    answers: Family<HowLabels, Counter>,
}

impl Cache {
    /// An empty cache, with Redis if there is one.
    pub(crate) fn new(redis: Option<Redis>, registry: &mut Registry) -> Self {
        let answers = Family::default();
        registry.register(
            "cache_answers",
            "Answers by how they were found",
            answers.clone(),
        );
        Self {
            memory: Memory::with_weighter(ANSWERS, BYTES_MAX, ByBytes),
            shared: redis.map(Shared::new),
            flights: Arc::default(),
            generation: AtomicU64::new(0),
            begun: Instant::now(),
            away_until_ms: AtomicU64::new(0),
            answers,
        }
    }

    /// The answer for a key, loaded if it must be.
    ///
    /// # Errors
    ///
    /// What `load` says, unless it is a fault of the store and there is something stale to serve.
    pub(crate) async fn answer<F>(
        &self,
        key: &Key,
        load: impl FnOnce() -> F,
    ) -> Result<Found, ApiError>
    where
        F: Future<Output = Result<Bytes, ApiError>>,
    {
        let found = self.find(key, load).await;
        if let Ok(found) = &found {
            let how = found.how.name();
            self.answers.get_or_create(&HowLabels { how }).inc();
        }
        found
    }

    async fn find<F>(&self, key: &Key, load: impl FnOnce() -> F) -> Result<Found, ApiError>
    where
        F: Future<Output = Result<Bytes, ApiError>>,
    {
        let text = key.text();
        let own = self.generation.load(Ordering::Acquire);
        let asked = match &self.shared {
            Some(shared) => shared.get(&text).await,
            None => None,
        };
        let generation = match asked {
            Some((_, Some(body))) => {
                self.remember(text, &body, own);
                return Ok(Found {
                    body,
                    how: How::Hit,
                });
            }
            Some((generation, None)) => Some(generation),
            None => {
                if let Some(found) = self.brief(key, &text, own) {
                    return Ok(found);
                }
                None
            }
        };
        let work = async {
            let loaded = self.load(&text, load).await;
            if let Ok(Found {
                body,
                how: How::Miss,
            }) = &loaded
            {
                self.remember(text.clone(), body, own);
                if let (Some(shared), Some(generation)) = (&self.shared, &generation) {
                    shared.put(&text, generation, body, SHARED_MS).await;
                }
            }
            loaded
        };
        // Who asks after a change must not get what was under way before it. Without Redis another
        // process may have made it, so single products are then not shared at all.
        match (key, &generation) {
            (Key::Product(_), None) => work.await,
            (_, generation) => {
                let flight = format!("{own}:{}:{text}", generation.as_deref().unwrap_or(""));
                Arc::clone(&self.flights).once(flight, work).await
            }
        }
    }

    // What a page in memory is good for while there is no Redis.
    fn brief(&self, key: &Key, text: &str, own: u64) -> Option<Found> {
        let Key::Page(_) = key else { return None };
        let copy = self.memory.get(text)?;
        let fresh = copy.generation == own && copy.at.elapsed() < BRIEF;
        fresh.then(|| Found {
            body: copy.body,
            how: How::Hit,
        })
    }

    async fn load<F>(&self, text: &str, load: impl FnOnce() -> F) -> Result<Found, ApiError>
    where
        F: Future<Output = Result<Bytes, ApiError>>,
    {
        let Some(stale) = self.stale(text) else {
            let body = load().await?;
            return Ok(Found {
                body,
                how: How::Miss,
            });
        };
        if self.since_begun_ms() < self.away_until_ms.load(Ordering::Relaxed) {
            return Ok(stale);
        }
        match tokio::time::timeout(PATIENCE, load()).await {
            Ok(Ok(body)) => Ok(Found {
                body,
                how: How::Miss,
            }),
            Ok(Err(error)) if !error.status().is_server_error() => {
                self.memory.remove(text);
                Err(error)
            }
            Ok(Err(_)) | Err(_) => {
                let away = u64::try_from(AWAY.as_millis()).unwrap_or(u64::MAX);
                self.away_until_ms
                    .store(self.since_begun_ms() + away, Ordering::Relaxed);
                Ok(stale)
            }
        }
    }

    fn stale(&self, text: &str) -> Option<Found> {
        let copy = self.memory.get(text)?;
        let age = copy.at.elapsed();
        (age < STALE_MAX).then(|| Found {
            body: copy.body,
            how: How::Stale { age },
        })
    }

    fn remember(&self, text: String, body: &Bytes, generation: u64) {
        let copy = Copy {
            body: body.clone(),
            at: Instant::now(),
            generation,
        };
        self.memory.insert(text, copy);
    }

    fn since_begun_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A product has changed, and that is committed: no answer from before is used as a fresh one.
    pub(crate) async fn forget(&self, product: &str) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.memory.remove(&Key::Product(product.to_owned()).text());
        if let Some(shared) = &self.shared {
            shared.turn().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn page() -> Key {
        Key::Page("list:1:20".to_owned())
    }

    fn product() -> Key {
        Key::Product("p-0001".to_owned())
    }

    fn cache() -> Cache {
        Cache::new(None, &mut Registry::default())
    }

    async fn ask(cache: &Cache, key: &Key, answer: Result<&'static str, ApiError>) -> String {
        let found = cache.answer(key, async || answer.map(Bytes::from)).await;
        match found {
            Ok(Found { body, how }) => {
                format!("{} {}", how.name(), String::from_utf8_lossy(&body))
            }
            Err(error) => error.status().as_u16().to_string(),
        }
    }

    #[tokio::test]
    async fn a_page_is_kept_briefly_and_a_product_is_not() {
        let cache = cache();
        assert_eq!(ask(&cache, &page(), Ok("one")).await, "miss one");
        assert_eq!(ask(&cache, &page(), Ok("two")).await, "hit one");
        assert_eq!(ask(&cache, &product(), Ok("one")).await, "miss one");
        assert_eq!(ask(&cache, &product(), Ok("two")).await, "miss two");
    }

    #[tokio::test]
    async fn a_change_makes_pages_of_before_unusable() {
        let cache = cache();
        assert_eq!(ask(&cache, &page(), Ok("one")).await, "miss one");
        cache.forget("p-0001").await;
        assert_eq!(ask(&cache, &page(), Ok("two")).await, "miss two");
        assert_eq!(ask(&cache, &page(), Ok("three")).await, "hit two");
    }

    #[tokio::test]
    async fn while_the_database_is_away_what_was_seen_is_served_and_marked() {
        let cache = cache();
        let away = || Err(ApiError::busy("away"));
        assert_eq!(ask(&cache, &product(), away()).await, "503");
        assert_eq!(ask(&cache, &product(), Ok("one")).await, "miss one");
        assert_eq!(ask(&cache, &product(), away()).await, "stale one");
        // The database is left alone for a moment.
        assert_eq!(ask(&cache, &product(), Ok("two")).await, "stale one");
        cache.away_until_ms.store(0, Ordering::Relaxed);
        assert_eq!(ask(&cache, &product(), Ok("two")).await, "miss two");
        let gone = ApiError::not_found("gone");
        assert_eq!(ask(&cache, &product(), Err(gone)).await, "404");
        assert_eq!(ask(&cache, &product(), away()).await, "503");
    }

    #[tokio::test]
    async fn a_database_that_hangs_costs_little_when_there_is_something_stale() {
        let cache = cache();
        assert_eq!(ask(&cache, &product(), Ok("one")).await, "miss one");
        let key = product();
        let hanging = cache.answer(&key, std::future::pending);
        let found = tokio::time::timeout(PATIENCE * 8, hanging).await.unwrap();
        assert!(matches!(found.unwrap().how, How::Stale { .. }));
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_load() {
        let (cache, loads) = (cache(), Cell::new(0));
        let load = || async {
            loads.set(loads.get() + 1);
            tokio::task::yield_now().await;
            Ok(Bytes::from_static(b"one"))
        };
        let key = page();
        let all = futures_util::future::join_all((0..50).map(|_| cache.answer(&key, load))).await;
        assert!(
            all.iter()
                .all(|found| found.as_ref().unwrap().body == "one")
        );
        assert_eq!(loads.get(), 1);
    }

    #[tokio::test]
    async fn memory_is_bounded_whatever_is_asked_for() {
        let cache = cache();
        for number in 0..20_000 {
            let key = Key::Page(format!("search:{number}"));
            let body = Bytes::from(vec![0; 1024]);
            cache.answer(&key, async || Ok(body)).await.unwrap();
        }
        assert!(cache.memory.weight() <= BYTES_MAX);
        assert!(cache.memory.len() > 1000);
    }
}

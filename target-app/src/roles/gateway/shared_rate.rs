//! How many requests one shopper may make, counted in Redis for all instances of the gateway together.
//!
//! The same bucket as in `rate`: an instant, of Redis's own clock, when it will be full again.
//!
//! Invariant: counting costs a request at most [`ASK_LIMIT`]; without an answer of Redis this instance
//! counts for itself, so nobody is refused because Redis is away.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::rate::{Buckets, Limiter, Rate};
use crate::redis_link::Redis;

/// How long Redis may take.
const ASK_LIMIT: Duration = Duration::from_millis(20);
/// Takes one off a bucket. Values: the time of one request and of a whole burst, in microseconds. Gives 0,
/// or after how many microseconds there is one again. A full bucket is forgotten.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
full_at = math.max(full_at, now) + tonumber(ARGV[1])
local wait = full_at - now - tonumber(ARGV[2])
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return 0";

/// Buckets in Redis, and in memory while it is away.
#[derive(Debug)]
pub(super) struct SharedBuckets {
    redis: Redis,
    one_us: u64,
    burst_us: u64,
    own: Buckets,
}

impl SharedBuckets {
    pub(super) fn new(redis: Redis, rate: Rate) -> Self {
        let one_us = 1_000_000 / u64::from(rate.per_second);
        Self {
            redis,
            one_us,
            burst_us: one_us * u64::from(rate.burst),
            own: Buckets::new(rate),
        }
    }

    async fn ask(&self, shopper: &str) -> Option<u64> {
        let mut command = redis::cmd("EVAL");
        command
            .arg(TAKE)
            .arg(1)
            .arg(format!("store:rate:{shopper}"))
            .arg(self.one_us)
            .arg(self.burst_us);
        self.redis.ask_within(ASK_LIMIT, &command).await
    }
}

impl Limiter for SharedBuckets {
    fn take<'a>(&'a self, shopper: &'a str) -> BoxFuture<'a, Result<(), Duration>> {
        Box::pin(async move {
            match self.ask(shopper).await {
                Some(0) => Ok(()),
                Some(wait_us) => Err(Duration::from_micros(wait_us)),
                None => self.own.take(shopper).await,
            }
        })
    }
}

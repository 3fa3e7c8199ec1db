//! Asks the bank for money.
//!
//! Invariant: a charge is asked for under the key of its request, at every try and by every instance, so
//! that the bank makes it once; save with the planted bug.

use ::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::Wish;
use crate::bug::Bug;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::upstream::{Upstream, UpstreamError};

/// How often the planted bug asks for one charge.
const BUGGY_TRIES: u32 = 2;

/// What the bank said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The money has moved, under this id.
    Charged(String),
    /// No money has moved, for this reason.
    Declined(String),
}

/// The way to the bank.
#[derive(Debug)]
pub(super) struct Bank {
    upstream: Upstream,
    fresh_keys: bool,
}

impl Bank {
    pub(super) fn new(upstream: Upstream, bug: Option<Bug>) -> Self {
        Self {
            upstream,
            fresh_keys: bug == Some(Bug::ChargeTwiceOnRetry),
        }
    }

    /// Has an order charged, once for a key.
    pub(super) async fn charge(
        &self,
        key: &str,
        wish: &Wish,
        context: &Context,
    ) -> Result<Verdict, ApiError> {
        let verdict = if self.fresh_keys {
            self.ask_again_under_fresh_keys(wish, context).await
        } else {
            self.ask(key, wish, context).await
        };
        Ok(verdict?)
    }

    async fn ask(
        &self,
        key: &str,
        wish: &Wish,
        context: &Context,
    ) -> Result<Verdict, UpstreamError> {
        #[derive(Deserialize)]
        struct Charged {
            id: String,
        }
        #[derive(Deserialize)]
        struct Declined {
            error: String,
        }
        let order = json!({ "order": wish.order_id, "amount": wish.amount, "card": wish.card });
        let answer = self
            .upstream
            .post_json("/charges", key, &order, context)
            .await?;
        if answer.status == StatusCode::PAYMENT_REQUIRED {
            let Declined { error } = self.upstream.document(&answer, &[answer.status])?;
            return Ok(Verdict::Declined(error));
        }
        let Charged { id } = self.upstream.document(&answer, &[StatusCode::CREATED])?;
        Ok(Verdict::Charged(id))
    }

    // The planted bug: to the bank, each try is a charge of its own.
    async fn ask_again_under_fresh_keys(
        &self,
        wish: &Wish,
        context: &Context,
    ) -> Result<Verdict, UpstreamError> {
        let mut tries = 0;
        loop {
            let key = Uuid::new_v4().simple().to_string();
            let verdict = self.ask(&key, wish, context).await;
            tries += 1;
            if verdict.is_ok() || tries == BUGGY_TRIES {
                return verdict;
            }
        }
    }
}

//! Asks the bank for money, and to give it back.
//!
//! Invariant: a charge, a refund and a void are asked for under the key of their request, at every try and
//! by every instance, so that the bank moves the money once; save with the planted bug.

use ::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
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

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct MoneyBack {
    /// The bank's id of it.
    pub(super) id: String,
    /// The charge it came from.
    pub(super) charge: String,
    /// In hundredths.
    pub(super) amount: i64,
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

    /// Has the money of a charge given back, once for a key; nothing if it went back in another way.
    pub(super) async fn refund(
        &self,
        key: &str,
        charge: &str,
        context: &Context,
    ) -> Result<Option<MoneyBack>, UpstreamError> {
        let charge = json!({ "charge": charge });
        let answer = self
            .upstream
            .post_json("/refunds", key, &charge, context)
            .await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(None);
        }
        let statuses = [StatusCode::CREATED];
        self.upstream.document(&answer, &statuses).map(Some)
    }

    /// Has a key declined for good, and what it moved given back.
    pub(super) async fn void(
        &self,
        key: &str,
        wish: &Wish,
        context: &Context,
    ) -> Result<Option<MoneyBack>, UpstreamError> {
        #[derive(Deserialize)]
        struct Voided {
            refund: Option<MoneyBack>,
        }
        let order = order_of(wish);
        let answer = self
            .upstream
            .post_json("/voids", key, &order, context)
            .await?;
        let voided: Voided = self.upstream.document(&answer, &[StatusCode::OK])?;
        Ok(voided.refund)
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
        let order = order_of(wish);
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

// What the bank is told of a wish.
fn order_of(wish: &Wish) -> Value {
    json!({ "order": wish.order_id, "amount": wish.amount, "card": wish.card })
}

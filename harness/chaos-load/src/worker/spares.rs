//! Requests that were answered: the next ones are made in their memory.
//!
//! Invariant: never more than [`SPARES_MAX`] are kept.

use std::cell::RefCell;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

/// Most requests kept; each holds a map of headers, some hundred bytes.
const SPARES_MAX: usize = 256;

/// See above.
#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "the boxes are what is kept: requests pass through several futures in them"
)]
pub(super) struct Spares(RefCell<Vec<Box<Request<Full<Bytes>>>>>);

impl Spares {
    /// The one kept last, or a new one; what it holds is of a request before.
    pub(super) fn take(&self) -> Box<Request<Full<Bytes>>> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn keep(&self, mut spare: Box<Request<Full<Bytes>>>) {
        let mut spares = self.0.borrow_mut();
        if spares.len() < SPARES_MAX {
            // A body may be large, and its memory serves no other.
            *spare.body_mut() = Full::default();
            spares.push(spare);
        }
    }
}

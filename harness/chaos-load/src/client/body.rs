//! Bodies: that of a request, and of an answer as much as is read.
//!
//! Invariant: what is held is bounded, whatever the peer sends.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use chaos_record::outcome::FailKind;
use http::Request;
use http_body::Body;
use http_body_util::Full;

/// Largest body that is kept for checks and extraction.
pub(crate) const KEPT_BYTES_MAX: usize = 1 << 20;
/// Largest body that is read and thrown away.
const DRAINED_BYTES_MAX: usize = 16 << 20;

/// A copy of the body of a request, which shares its bytes.
pub(super) fn of(request: &Request<Full<Bytes>>) -> Bytes {
    if request.body().is_end_stream() {
        return Bytes::new();
    }
    let mut body = request.body().clone();
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        Poll::Ready(Some(Err(never))) => match never {},
        Poll::Ready(None) | Poll::Pending => Bytes::new(),
    }
}

/// Takes a body in, part by part.
#[derive(Debug)]
pub(super) struct Intake {
    keeps: bool,
    bytes: usize,
    kept: BytesMut,
}

impl Intake {
    /// Keeps what it takes if `keeps`; otherwise it only counts.
    pub(super) fn new(keeps: bool) -> Self {
        Self {
            keeps,
            bytes: 0,
            kept: BytesMut::new(),
        }
    }

    /// # Errors
    /// The body is larger than is read.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<(), FailKind> {
        self.bytes += part.len();
        let most = if self.keeps {
            KEPT_BYTES_MAX
        } else {
            DRAINED_BYTES_MAX
        };
        if self.bytes > most {
            return Err(FailKind::TooLarge);
        }
        if self.keeps {
            self.kept.extend_from_slice(part);
        }
        Ok(())
    }

    pub(super) fn end(self) -> Bytes {
        self.kept.freeze()
    }
}

//! The right to one exchange at a time: an HTTP/1.1 connection, or one of the streams of an HTTP/2 connection.
//!
//! Invariant: a lane that is given back can carry another exchange, or is dropped.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::http1::{Connection, SendError};
use super::{Reads, Stamps, http2};
use crate::journey::Answer;

/// What the pool keeps.
#[derive(Debug)]
pub(super) enum Lane {
    /// Boxed, since lanes go in and out with every request.
    Http1(Box<Connection>),
    Http2(http2::Lane),
}

impl Lane {
    /// Sends `request` and reads the answer to its end.
    pub(super) async fn exchange(
        &mut self,
        request: Box<Request<Full<Bytes>>>,
        reads: Reads,
    ) -> Result<Answer, SendError> {
        match self {
            Self::Http1(connection) => connection.exchange(request, reads).await,
            Self::Http2(lane) => lane.exchange(request, reads).await,
        }
    }

    /// Stamps of the exchange that was last begun.
    pub(super) fn stamps(&self) -> Stamps {
        match self {
            Self::Http1(connection) => connection.stamps(),
            Self::Http2(lane) => lane.stamps(),
        }
    }

    /// Whether another request can be sent, as far as is known without a look at the socket. That the
    /// peer has closed it since shows when it is used, before anything is written.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_ready(),
            Self::Http2(lane) => lane.is_ready(),
        }
    }

    /// The same after a look at the socket.
    pub(super) fn is_usable(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_usable(),
            Self::Http2(lane) => lane.is_ready(),
        }
    }

    /// After an exchange that failed, or was given up when `is_late`: whether the connection goes on.
    /// One of HTTP/1.1 never does.
    pub(super) fn outlives_failure(&self, is_late: bool) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(lane) => lane.outlives_failure(is_late),
        }
    }
}

//! One stream: what was asked on it, and its answer as far as it has come (RFC 9113, sections 5.1 and 8.1).
//!
//! Invariant: pure, and bounded: of an answer it holds one head and what an `Intake` keeps.

use std::task::Waker;

use bytes::Bytes;
use chaos_record::outcome::FailKind;
use http::header::HeaderMap;
use http::{Method, StatusCode};

use super::heading::Heading;
use crate::client::body::Intake;
use crate::client::http1::INTERIM_MAX;
use crate::client::{Reads, Stamps};

/// Where an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    /// It waits until it may begin.
    Waiting,
    Open,
    Over(Result<(), FailKind>),
}

/// How it goes on after what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    On,
    Complete,
}

/// The stream that a lane is, one after the other.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its number; 0 before the first.
    pub(super) id: u32,
    pub(super) phase: Phase,
    /// Whoever waits for it.
    pub(super) waker: Option<Waker>,
    pub(super) stamps: Stamps,
    /// Where its head begins among all that is sent on the connection.
    pub(super) begins_at: u64,
    /// What of the body of the request is still to be sent, and how much the peer takes.
    pub(super) upload: Bytes,
    pub(super) send_window: i64,
    /// Bytes that have come since the peer was last told of room for more.
    pub(super) received: u32,
    asks_head: bool,
    keeps_headers: bool,
    interim: u8,
    status: Option<StatusCode>,
    headers: HeaderMap,
    /// So many bytes of the body are still to come, as the head says.
    left: Option<u64>,
    body: Intake,
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            id: 0,
            phase: Phase::Idle,
            waker: None,
            stamps: Stamps::default(),
            begins_at: 0,
            upload: Bytes::new(),
            send_window: 0,
            received: 0,
            asks_head: false,
            keeps_headers: false,
            interim: 0,
            status: None,
            headers: HeaderMap::new(),
            left: None,
            body: Intake::new(false),
        }
    }
}

impl Stream {
    /// Begins the next exchange as stream `id`.
    pub(super) fn begin(&mut self, id: u32, method: &Method, reads: Reads) {
        self.id = id;
        self.phase = Phase::Open;
        self.stamps = Stamps::default();
        self.received = 0;
        self.asks_head = *method == Method::HEAD;
        self.keeps_headers = reads.headers;
        self.interim = 0;
        self.status = None;
        self.headers.clear();
        self.left = None;
        self.body = Intake::new(reads.body);
    }

    /// For the next header block of it: its head's fields are kept if they are read, trailers never are.
    pub(super) fn heading(&self) -> Heading {
        Heading::new(self.keeps_headers && self.status.is_none())
    }

    /// Takes a header block, after which the answer ends or not.
    ///
    /// # Errors
    /// `Protocol` if no answer looks like this, `TooLarge` if there is too much of it.
    pub(super) fn head(
        &mut self,
        heading: Heading,
        ends: bool,
        read_ns: u64,
    ) -> Result<Going, FailKind> {
        if let Some(flaw) = heading.flaw() {
            return Err(flaw);
        }
        match (heading.status, self.status) {
            (None, Some(_)) if ends => self.end(read_ns),
            (Some(status), None) if status == StatusCode::SWITCHING_PROTOCOLS => {
                Err(FailKind::Protocol)
            }
            (Some(status), None) if status.is_informational() => self.interim(ends),
            (Some(status), None) => {
                self.status = Some(status);
                self.headers = heading.headers;
                self.stamps.first_byte_ns = Some(read_ns);
                self.left = heading.length.filter(|_| !self.has_no_body(status));
                if ends {
                    self.end(read_ns)
                } else {
                    Ok(Going::On)
                }
            }
            _ => Err(FailKind::Protocol),
        }
    }

    /// Whatever its length says (RFC 9110, section 6.4.1).
    fn has_no_body(&self, status: StatusCode) -> bool {
        self.asks_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    fn interim(&mut self, ends: bool) -> Result<Going, FailKind> {
        self.interim += 1;
        match self.interim {
            _ if ends => Err(FailKind::Protocol),
            0..=INTERIM_MAX => Ok(Going::On),
            _ => Err(FailKind::TooLarge),
        }
    }

    /// Takes a part of the body, after which the answer ends or not.
    ///
    /// # Errors
    /// `Protocol` if there is no head yet or the length is another, `TooLarge` if it is more than is read.
    pub(super) fn data(
        &mut self,
        part: &[u8],
        ends: bool,
        read_ns: u64,
    ) -> Result<Going, FailKind> {
        if self.status.is_none() {
            return Err(FailKind::Protocol);
        }
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(part.len() as u64);
            *left = rest.ok_or(FailKind::Protocol)?;
        }
        self.body.take(part)?;
        if ends {
            self.end(read_ns)
        } else {
            Ok(Going::On)
        }
    }

    fn end(&mut self, read_ns: u64) -> Result<Going, FailKind> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(FailKind::Protocol);
        }
        self.stamps.last_byte_ns = Some(read_ns);
        Ok(Going::Complete)
    }

    /// The answer, once it is complete.
    pub(super) fn take(&mut self) -> Option<Received> {
        let body = std::mem::replace(&mut self.body, Intake::new(false));
        Some(Received {
            status: self.status.take()?,
            headers: std::mem::take(&mut self.headers),
            body: body.end(),
        })
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

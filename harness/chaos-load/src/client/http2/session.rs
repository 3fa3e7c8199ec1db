//! The client's side of an HTTP/2 connection without its socket (RFC 9113): bytes that came go in, answers
//! and bytes to be sent come out.
//!
//! Each lane is one stream at a time. `sending` holds what we say, `receiving` what we hear.
//! Invariant: pure but for wakers; what it holds is bounded whatever the peer sends: a header block and an
//! outbox of a fixed size, and one answer for each lane. What goes wrong on one stream leaves the others alone.

mod receiving;
mod sending;

use std::task::{Context, Poll};

use chaos_record::outcome::FailKind;

use self::receiving::Block;
use super::frame::{self, Code, Fault, WINDOW_AT_FIRST, setting};
use super::hpack::Decoder;
use super::outbox::Outbox;
use super::request::Encoder;
use super::stream::{Phase, Received, Stream};
use crate::client::Stamps;
use crate::client::http1::HEAD_BYTES_MAX;
use crate::client::transport::Origin;

/// What a peer may send unasked: on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// No request is begun, and no more of a body added, while this much is still to be sent.
const OUTBOX_BYTES: usize = 64 << 10;
/// Nothing more is read while so many answers to the peer's own frames are still to be sent.
const REPLIES_MAX: usize = 1_000;
/// The last number that a stream can have (RFC 9113, section 5.1.1).
const LAST_STREAM: u32 = u32::MAX >> 1;

/// See above.
#[derive(Debug)]
pub(super) struct Session {
    peer: Peer,
    lanes: Vec<Stream>,
    /// The stream that is open on each lane; 0: none. By itself, since every frame looks for one.
    open: Vec<u32>,
    /// Number of the next stream.
    next: u32,
    active: usize,
    /// Some lanes wait for their turn.
    has_waiting: bool,
    /// Streams whose body is not all sent, and the lane whose turn it is.
    uploads: usize,
    uploading: usize,
    outbox: Outbox,
    send_window: i64,
    /// Bytes that have come since the peer was last told of room for more.
    received: u32,
    /// What may still come for streams that we have given up.
    late: i64,
    block: Block,
    decoder: Decoder,
    encoder: Encoder,
    /// No stream will be begun any more.
    is_leaving: bool,
    ended: Option<FailKind>,
}

/// What the peer has said of itself (RFC 9113, section 6.5.2).
#[derive(Debug)]
struct Peer {
    has_spoken: bool,
    streams_max: usize,
    window: u32,
    payload_bytes: usize,
}

impl Session {
    /// Says what a client says first: its preface and settings, and the window of the connection.
    pub(super) fn new(origin: &Origin) -> Self {
        let mut outbox = Outbox::default();
        let settings = [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (setting::MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX),
        ];
        let bytes = |(number, value): (u16, u32)| {
            let (number, value) = (number.to_be_bytes(), value.to_be_bytes());
            number.into_iter().chain(value)
        };
        let settings: Vec<u8> = settings.into_iter().flat_map(bytes).collect();
        let room = CONNECTION_WINDOW - WINDOW_AT_FIRST;
        outbox.bytes.extend_from_slice(frame::PREFACE);
        frame::write(&mut outbox.bytes, (frame::SETTINGS, 0, 0), &settings);
        frame::write(
            &mut outbox.bytes,
            (frame::WINDOW_UPDATE, 0, 0),
            &room.to_be_bytes(),
        );
        Self {
            peer: Peer {
                has_spoken: false,
                streams_max: usize::MAX,
                window: WINDOW_AT_FIRST,
                payload_bytes: frame::PAYLOAD_BYTES_MAX,
            },
            lanes: Vec::new(),
            open: Vec::new(),
            next: 1,
            active: 0,
            has_waiting: false,
            uploads: 0,
            uploading: 0,
            outbox,
            send_window: WINDOW_AT_FIRST.into(),
            received: 0,
            late: 0,
            block: Block::default(),
            decoder: Decoder::default(),
            encoder: Encoder::new(origin),
            is_leaving: false,
            ended: None,
        }
    }

    /// How many streams the peer allows, once it has said so. One that allows none may allow some later.
    pub(super) fn allowed(&self) -> Option<usize> {
        let allowed = self.peer.streams_max;
        (self.peer.has_spoken && allowed > 0).then_some(allowed)
    }

    /// Has so many lanes from now on; called once.
    pub(super) fn add_lanes(&mut self, lanes: usize) {
        self.lanes.resize_with(lanes, Stream::default);
        self.open.resize(lanes, 0);
    }

    /// Whether requests can be begun on it.
    pub(super) fn is_usable(&self) -> bool {
        self.ended.is_none() && !self.is_leaving
    }

    /// Why it ended, if it has.
    pub(super) fn ended(&self) -> Option<FailKind> {
        self.ended
    }

    /// Nothing is left to be sent or waited for, and nothing will be begun.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() || self.is_leaving && self.active == 0 && self.outbox.is_empty()
    }

    pub(super) fn stamps(&self, lane: usize) -> Stamps {
        self.lanes[lane].stamps
    }

    /// Waits until `lane` may begin a request; false if it never will.
    pub(super) fn poll_turn(&mut self, lane: usize, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.is_usable() {
            return Poll::Ready(false);
        }
        let has_room = self.outbox.rest().len() < OUTBOX_BYTES;
        if has_room && self.active < self.peer.streams_max {
            return Poll::Ready(true);
        }
        let stream = &mut self.lanes[lane];
        stream.phase = Phase::Waiting;
        stream.waker = Some(cx.waker().clone());
        self.has_waiting = true;
        Poll::Pending
    }

    /// Waits for the end of the exchange on `lane`.
    pub(super) fn poll_end(
        &mut self,
        lane: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, FailKind>> {
        let stream = &mut self.lanes[lane];
        let Phase::Over(result) = stream.phase else {
            stream.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        stream.phase = Phase::Idle;
        Poll::Ready(result.and_then(|()| stream.take().ok_or(FailKind::Protocol)))
    }

    /// Nothing of the request that `lane` began last has left.
    pub(super) fn is_unsent(&self, lane: usize) -> bool {
        self.outbox.sent() <= self.lanes[lane].begins_at
    }

    /// Forgets the stamps of the exchange before on `lane`.
    pub(super) fn forget(&mut self, lane: usize) {
        self.lanes[lane].stamps = Stamps::default();
    }

    /// Nobody waits for what is under way on `lane`; whether anything was. Its head may stand among what is
    /// sent next, and cannot be taken out again, so it counts as written: the peer may act on it.
    pub(super) fn give_up(&mut self, lane: usize, now_ns: u64) -> bool {
        let is_open = self.lanes[lane].phase == Phase::Open;
        if is_open {
            self.lanes[lane].stamps.written_ns.get_or_insert(now_ns);
            self.reset(lane, Code::Cancel, FailKind::Timeout);
        }
        self.lanes[lane].waker = None;
        self.lanes[lane].phase = Phase::Idle;
        is_open
    }

    /// The connection is gone, or of no more use.
    pub(super) fn end(&mut self, kind: FailKind) {
        self.ended.get_or_insert(kind);
        for lane in 0..self.lanes.len() {
            if self.open[lane] != 0 {
                self.close(lane, Err(kind));
            }
        }
        self.wake_waiting();
    }

    /// The peer has broken a rule of the connection: it is told so (RFC 9113, section 5.4.1).
    fn fail(&mut self, Fault(code): Fault) {
        let mut payload = [0; 8];
        payload[4..].copy_from_slice(&(code as u32).to_be_bytes());
        frame::write(&mut self.outbox.bytes, (frame::GOAWAY, 0, 0), &payload);
        self.end(Fault(code).kind());
    }

    /// The stream on `lane` is at its end.
    fn close(&mut self, lane: usize, result: Result<(), FailKind>) {
        let stream = &mut self.lanes[lane];
        if !stream.upload.is_empty() {
            stream.upload.clear();
            self.uploads -= 1;
        }
        stream.phase = Phase::Over(result);
        stream.wake();
        self.open[lane] = 0;
        self.active -= 1;
        self.wake_waiting();
    }

    /// Ends the stream on `lane` before its time (RFC 9113, section 5.4.2); what is on its way may still come.
    fn reset(&mut self, lane: usize, code: Code, kind: FailKind) {
        self.say_reset(self.open[lane], code);
        self.late = self
            .late
            .saturating_add(i64::from(STREAM_WINDOW + HEAD_BYTES_MAX));
        self.close(lane, Err(kind));
    }

    fn wake_waiting(&mut self) {
        if std::mem::take(&mut self.has_waiting) {
            for stream in &mut self.lanes {
                if stream.phase == Phase::Waiting {
                    stream.wake();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

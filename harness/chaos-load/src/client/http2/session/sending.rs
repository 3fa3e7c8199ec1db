//! What a session says: requests, their bodies as the windows allow, room for more, and goodbyes.
//!
//! Invariant: no more of a body leaves than the peer has room for (RFC 9113, section 5.2), nor a frame
//! that is larger than it takes.

use bytes::{Buf, Bytes};
use chaos_record::outcome::FailKind;
use http::Request;
use http_body_util::Full;

use super::{LAST_STREAM, OUTBOX_BYTES, REPLIES_MAX, Session};
use crate::client::http2::frame::{self, Code, Head};
use crate::client::{Reads, body};

impl Session {
    /// Begins an exchange on `lane`, whose turn it is.
    ///
    /// # Errors
    /// `Protocol` if HTTP/2 cannot carry the request; nothing has happened then.
    pub(in super::super) fn send(
        &mut self,
        lane: usize,
        request: &Request<Full<Bytes>>,
        reads: Reads,
    ) -> Result<(), FailKind> {
        let upload = body::of(request);
        let begins_at = self.outbox.end();
        self.say_head(request, &upload)?;
        let stream = &mut self.lanes[lane];
        stream.begin(self.next, request.method(), reads);
        stream.begins_at = begins_at;
        stream.send_window = self.peer.window.into();
        self.uploads += usize::from(!upload.is_empty());
        stream.upload = upload;
        self.open[lane] = self.next;
        self.active += 1;
        self.outbox.mark_head(lane, self.next);
        self.next += 2;
        self.is_leaving |= self.next > LAST_STREAM;
        self.upload();
        Ok(())
    }

    /// Appends the head of a request, in as many frames as it needs (RFC 9113, section 6.10).
    fn say_head(&mut self, request: &Request<Full<Bytes>>, upload: &Bytes) -> Result<(), FailKind> {
        let bytes = &mut self.outbox.bytes;
        let (at, most) = (bytes.len(), self.peer.payload_bytes);
        let mut head = Head {
            length: 0,
            kind: frame::HEADERS,
            flags: if upload.is_empty() {
                frame::END_STREAM
            } else {
                0
            },
            stream: self.next,
        };
        bytes.extend_from_slice(&head.bytes());
        let block_at = bytes.len();
        if let Err(kind) = self.encoder.encode(bytes, request, upload.len()) {
            bytes.truncate(at);
            return Err(kind);
        }
        head.length = bytes.len() - block_at;
        if head.length <= most {
            head.flags |= frame::END_HEADERS;
            bytes[at..block_at].copy_from_slice(&head.bytes());
            return Ok(());
        }
        let block = bytes.split_off(block_at);
        bytes.truncate(at);
        let mut parts = block.chunks(most).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                head.flags |= frame::END_HEADERS;
            }
            frame::write(bytes, (head.kind, head.flags, head.stream), part);
            (head.kind, head.flags) = (frame::CONTINUATION, 0);
        }
        Ok(())
    }

    /// Appends of the bodies what the windows and the outbox have room for.
    pub(super) fn upload(&mut self) {
        let lanes = self.lanes.len();
        let mut passed = 0;
        // Each in its turn, until none of them can go on.
        while self.uploads > 0 && passed < lanes {
            let is_on = self.upload_part(self.uploading);
            passed = if is_on { 0 } else { passed + 1 };
            self.uploading = (self.uploading + 1) % lanes;
        }
    }

    /// Appends one frame of the body on `lane`; false if there is none, or no room for it.
    fn upload_part(&mut self, lane: usize) -> bool {
        let stream = &mut self.lanes[lane];
        let window = stream.send_window.min(self.send_window).max(0);
        let room = usize::try_from(window).unwrap_or(usize::MAX);
        let length = stream.upload.len().min(room).min(self.peer.payload_bytes);
        // Bodies leave room for the heads of others.
        if length == 0 || self.outbox.rest().len() >= OUTBOX_BYTES / 2 {
            return false;
        }
        let part = stream.upload.split_to(length);
        let ends = stream.upload.is_empty();
        let flags = if ends { frame::END_STREAM } else { 0 };
        frame::write(
            &mut self.outbox.bytes,
            (frame::DATA, flags, stream.id),
            part.chunk(),
        );
        stream.send_window -= frame::signed(length);
        self.send_window -= frame::signed(length);
        self.uploads -= usize::from(ends);
        true
    }

    pub(super) fn say_reset(&mut self, stream: u32, code: Code) {
        let payload = (code as u32).to_be_bytes();
        frame::write(
            &mut self.outbox.bytes,
            (frame::RST_STREAM, 0, stream),
            &payload,
        );
        self.outbox.count_reply();
    }

    /// Answers a frame of the peer's with its own kind.
    pub(super) fn acknowledge(&mut self, kind: u8, payload: &[u8]) {
        frame::write(&mut self.outbox.bytes, (kind, frame::ACK, 0), payload);
        self.outbox.count_reply();
    }

    /// Tells the peer that so much was taken: on a stream, or on all of the connection (0).
    pub(super) fn make_room(&mut self, stream: u32, bytes: u32) {
        let frame = (frame::WINDOW_UPDATE, 0, stream);
        frame::write(&mut self.outbox.bytes, frame, &bytes.to_be_bytes());
        self.outbox.count_reply();
    }

    /// What is to be sent now; more may follow once it was.
    pub(in super::super) fn to_send(&self) -> &[u8] {
        self.outbox.rest()
    }

    /// A peer that asks and does not listen is not listened to.
    pub(in super::super) fn is_choked(&self) -> bool {
        self.outbox.replies() >= REPLIES_MAX
    }

    /// So many bytes were handed to the socket, at `at_ns`: the instant before the system call, since
    /// the peer may have answered by the time it returns.
    pub(in super::super) fn sent(&mut self, bytes: usize, at_ns: u64) {
        self.outbox.advance(bytes);
        while let Some(mark) = self.outbox.next_sent_head() {
            let stream = &mut self.lanes[mark.lane];
            if stream.id == mark.stream {
                stream.stamps.written_ns = Some(at_ns);
            }
        }
        self.upload();
        if self.outbox.rest().len() < OUTBOX_BYTES {
            self.wake_waiting();
        }
    }
}

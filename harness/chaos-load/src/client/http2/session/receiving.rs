//! What a session hears: frames, one after the other (RFC 9113, section 6).
//!
//! Invariant: indifferent to how the bytes were cut. Header blocks are decoded whoever they are for, and
//! what comes for streams that were given up is bounded.

use std::ops::ControlFlow;

use chaos_record::outcome::FailKind;

use super::{CONNECTION_WINDOW, STREAM_WINDOW, Session};
use crate::client::http1::HEAD_BYTES_MAX;
use crate::client::http2::frame::{self, Code, Fault, Head, WINDOW_MAX, setting};
use crate::client::http2::heading::Heading;
use crate::client::http2::stream::Going;

/// Whatever comes too late counts for at least so much, and so does a part of a header block.
const FRAME_BYTES_MIN: usize = 64;

/// A header block that has not come to its end yet (RFC 9113, section 4.3).
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// 0: there is none.
    stream: u32,
    ends_stream: bool,
    counted: usize,
}

impl Block {
    fn extend(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.counted += part.len().max(FRAME_BYTES_MIN);
        if self.counted > HEAD_BYTES_MAX as usize {
            return Err(Fault(Code::EnhanceYourCalm));
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }
}

impl Session {
    /// Takes the whole frames at the front of `bytes`, which were read at `read_ns`. Returns how many bytes they had.
    pub(in super::super) fn receive(&mut self, bytes: &[u8], read_ns: u64) -> usize {
        let mut taken = 0;
        while self.ended.is_none() {
            match self.next_frame(&bytes[taken..], read_ns) {
                Ok(ControlFlow::Continue(length)) => taken += length,
                Ok(ControlFlow::Break(())) => break,
                Err(fault) => self.fail(fault),
            }
        }
        taken
    }

    fn next_frame(&mut self, bytes: &[u8], read_ns: u64) -> Result<ControlFlow<(), usize>, Fault> {
        let Some(head) = Head::read(bytes) else {
            return Ok(ControlFlow::Break(()));
        };
        if !self.peer.has_spoken && (head.kind != frame::SETTINGS || head.has(frame::ACK)) {
            return Err(Fault(Code::Protocol));
        }
        if head.length > frame::PAYLOAD_BYTES_MAX {
            return Err(Fault(Code::FrameSize));
        }
        let length = frame::HEAD_BYTES + head.length;
        let Some(payload) = bytes.get(frame::HEAD_BYTES..length) else {
            return Ok(ControlFlow::Break(()));
        };
        self.frame(head, payload, read_ns)?;
        Ok(ControlFlow::Continue(length))
    }

    fn frame(&mut self, head: Head, payload: &[u8], read_ns: u64) -> Result<(), Fault> {
        let continues = head.kind == frame::CONTINUATION;
        let expected = self.block.stream;
        if continues && expected == 0 || expected != 0 && (!continues || head.stream != expected) {
            return Err(Fault(Code::Protocol));
        }
        let is_of_connection = matches!(head.kind, frame::SETTINGS | frame::PING | frame::GOAWAY);
        let is_of_stream = matches!(
            head.kind,
            frame::DATA | frame::HEADERS | frame::RST_STREAM | frame::PUSH_PROMISE
        );
        if is_of_connection && head.stream != 0 || is_of_stream && head.stream == 0 {
            return Err(Fault(Code::Protocol));
        }
        match head.kind {
            frame::DATA => self.data(head, payload, read_ns),
            frame::HEADERS => self.headers(head, payload, read_ns),
            frame::CONTINUATION => {
                self.block.extend(payload)?;
                self.end_block_if(head, read_ns)
            }
            frame::RST_STREAM => self.reset_by_peer(head, payload),
            frame::SETTINGS => self.settings(head, payload),
            // We have said that we want none.
            frame::PUSH_PROMISE => Err(Fault(Code::Protocol)),
            frame::PING => self.ping(head, payload),
            frame::GOAWAY => self.goaway(payload),
            frame::WINDOW_UPDATE => self.window_update(head, payload),
            // PRIORITY says nothing to a client, and what is unknown is passed over (section 5.5).
            _ => Ok(()),
        }
    }

    /// The lane whose stream this is; `None` if it is closed already.
    fn lane(&self, stream: u32) -> Result<Option<usize>, Fault> {
        if let Some(lane) = self.open.iter().position(|open| *open == stream) {
            // Nobody can know of a stream before it was begun.
            let is_known = !self.is_unsent(lane);
            return is_known.then_some(Some(lane)).ok_or(Fault(Code::Protocol));
        }
        let was_ours = stream % 2 == 1 && stream < self.next;
        if was_ours {
            Ok(None)
        } else {
            Err(Fault(Code::Protocol))
        }
    }

    /// Something for a stream that is closed: we gave it up, or the peer goes on where it had ended.
    fn late(&mut self, bytes: usize) -> Result<(), Fault> {
        self.late -= frame::signed(bytes.max(FRAME_BYTES_MIN));
        if self.late < 0 {
            return Err(Fault(Code::StreamClosed));
        }
        Ok(())
    }

    fn data(&mut self, head: Head, payload: &[u8], read_ns: u64) -> Result<(), Fault> {
        let content = head.content(payload)?;
        // Padding counts as well (section 6.9.1).
        let bytes = u32::try_from(payload.len()).map_err(|_| Fault(Code::FrameSize))?;
        self.received += bytes;
        if self.received >= CONNECTION_WINDOW / 2 {
            self.make_room(0, self.received);
            self.received = 0;
        }
        let Some(lane) = self.lane(head.stream)? else {
            return self.late(payload.len());
        };
        let stream = &mut self.lanes[lane];
        stream.received += bytes;
        let ends = head.has(frame::END_STREAM);
        let going = stream.data(content, ends, read_ns);
        if stream.received >= STREAM_WINDOW / 2 && going == Ok(Going::On) {
            let received = std::mem::take(&mut stream.received);
            self.make_room(head.stream, received);
        }
        self.go(lane, going);
        Ok(())
    }

    fn headers(&mut self, head: Head, payload: &[u8], read_ns: u64) -> Result<(), Fault> {
        let part = head.content(payload)?;
        let ends_stream = head.has(frame::END_STREAM);
        if head.has(frame::END_HEADERS) {
            return self.heading(head.stream, ends_stream, part, read_ns);
        }
        self.block.stream = head.stream;
        self.block.ends_stream = ends_stream;
        self.block.extend(part)
    }

    fn end_block_if(&mut self, head: Head, read_ns: u64) -> Result<(), Fault> {
        if !head.has(frame::END_HEADERS) {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.heading(block.stream, block.ends_stream, &block.bytes, read_ns)
    }

    /// A whole header block.
    fn heading(
        &mut self,
        stream: u32,
        ends: bool,
        block: &[u8],
        read_ns: u64,
    ) -> Result<(), Fault> {
        let lane = self.lane(stream)?;
        let mut heading = match lane {
            Some(lane) => self.lanes[lane].heading(),
            None => Heading::new(false),
        };
        let decoded = self.decoder.decode(block, |field| heading.take(field));
        decoded.map_err(|_| Fault(Code::Compression))?;
        let Some(lane) = lane else {
            return self.late(block.len());
        };
        let going = self.lanes[lane].head(heading, ends, read_ns);
        self.go(lane, going);
        Ok(())
    }

    /// Goes on with a stream, or ends it.
    fn go(&mut self, lane: usize, going: Result<Going, FailKind>) {
        match going {
            Ok(Going::On) => {}
            // The peer has said all it has to say and gets no more of the request (section 8.1).
            Ok(Going::Complete) => {
                if !self.lanes[lane].upload.is_empty() {
                    self.say_reset(self.open[lane], Code::Cancel);
                }
                self.close(lane, Ok(()));
            }
            Err(FailKind::TooLarge) => self.reset(lane, Code::Cancel, FailKind::TooLarge),
            Err(kind) => self.reset(lane, Code::Protocol, kind),
        }
    }

    fn reset_by_peer(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let code = frame::word(payload)?;
        if let Some(lane) = self.lane(head.stream)? {
            // Not looked at by the peer, as it says itself (section 8.7).
            let is_refused = code == Code::RefusedStream as u32;
            let kind = if is_refused {
                FailKind::Refused
            } else {
                FailKind::Reset
            };
            self.close(lane, Err(kind));
        }
        Ok(())
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.has(frame::ACK) {
            let is_empty = payload.is_empty();
            return if is_empty {
                Ok(())
            } else {
                Err(Fault(Code::FrameSize))
            };
        }
        for (number, value) in frame::settings(payload)? {
            self.setting(number, value)?;
        }
        self.peer.has_spoken = true;
        self.acknowledge(frame::SETTINGS, &[]);
        self.upload();
        self.wake_waiting();
        Ok(())
    }

    fn setting(&mut self, number: u16, value: u32) -> Result<(), Fault> {
        match number {
            setting::HEADER_TABLE_SIZE => self.encoder.limit(value),
            setting::ENABLE_PUSH if value != 0 => return Err(Fault(Code::Protocol)),
            setting::MAX_CONCURRENT_STREAMS => self.peer.streams_max = value as usize,
            setting::INITIAL_WINDOW_SIZE => self.resize_windows(value)?,
            setting::MAX_FRAME_SIZE if (1 << 14..1 << 24).contains(&value) => {
                // More than this at once would only make others wait.
                self.peer.payload_bytes = frame::PAYLOAD_BYTES_MAX.min(value as usize);
            }
            setting::MAX_FRAME_SIZE => return Err(Fault(Code::Protocol)),
            _ => {}
        }
        Ok(())
    }

    /// The change holds for streams that are open too (section 6.9.2).
    fn resize_windows(&mut self, window: u32) -> Result<(), Fault> {
        let change = i64::from(window) - i64::from(self.peer.window);
        let open = self.lanes.iter_mut().zip(&self.open);
        for (stream, _) in open.filter(|(_, open)| **open != 0) {
            stream.send_window += change;
            if stream.send_window > WINDOW_MAX {
                return Err(Fault(Code::FlowControl));
            }
        }
        if i64::from(window) > WINDOW_MAX {
            return Err(Fault(Code::FlowControl));
        }
        self.peer.window = window;
        Ok(())
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if payload.len() != 8 {
            return Err(Fault(Code::FrameSize));
        }
        if !head.has(frame::ACK) {
            self.acknowledge(frame::PING, payload);
        }
        Ok(())
    }

    /// Streams above the last one that the peer names were not looked at (section 6.8).
    fn goaway(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let last = payload.first_chunk().ok_or(Fault(Code::FrameSize))?;
        let last = u32::from_be_bytes(*last) & (u32::MAX >> 1);
        self.is_leaving = true;
        for lane in 0..self.open.len() {
            if self.open[lane] > last {
                self.close(lane, Err(FailKind::Refused));
            }
        }
        self.wake_waiting();
        Ok(())
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let more = i64::from(frame::word(payload)? & (u32::MAX >> 1));
        if head.stream == 0 {
            self.send_window += more;
            if more == 0 {
                return Err(Fault(Code::Protocol));
            }
            if self.send_window > WINDOW_MAX {
                return Err(Fault(Code::FlowControl));
            }
        } else if let Some(lane) = self.lane(head.stream)? {
            let window = &mut self.lanes[lane].send_window;
            *window += more;
            if more == 0 {
                self.reset(lane, Code::Protocol, FailKind::Protocol);
            } else if *window > WINDOW_MAX {
                self.reset(lane, Code::FlowControl, FailKind::Protocol);
            }
        }
        self.upload();
        Ok(())
    }
}

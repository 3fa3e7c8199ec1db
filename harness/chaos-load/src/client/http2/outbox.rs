//! What is to be sent on a connection, and when the head of each request left.
//!
//! Invariant: bytes leave in the order in which they came in; a request counts as written with the write
//! that took the last byte of its head, never before.

use std::collections::VecDeque;

/// An outbox that once grew beyond this does not stay so large.
const BYTES_KEPT: usize = 16 << 10;

/// Bytes in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    /// So many of them were sent.
    sent: usize,
    /// And so many before them.
    sent_before: u64,
    /// Heads that are not sent yet.
    heads: VecDeque<Mark>,
    /// Frames that answer one of the peer's, since the outbox was empty.
    replies: usize,
}

/// Where the head of a request ends, counted from the beginning of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) end: u64,
    pub(super) lane: usize,
    /// The stream that lane was then.
    pub(super) stream: u32,
}

impl Outbox {
    /// Bytes that are still to be sent.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    pub(super) fn replies(&self) -> usize {
        self.replies
    }

    pub(super) fn count_reply(&mut self) {
        self.replies += 1;
    }

    /// Where what is appended next stands, counted from the beginning of the connection.
    pub(super) fn end(&self) -> u64 {
        self.sent_before + self.bytes.len() as u64
    }

    /// Bytes sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent_before + self.sent as u64
    }

    /// The head of `stream`, which has just been appended, is told of when it is sent.
    pub(super) fn mark_head(&mut self, lane: usize, stream: u32) {
        self.heads.push_back(Mark {
            end: self.end(),
            lane,
            stream,
        });
    }

    /// So many more bytes were sent.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.is_empty() {
            self.sent_before += self.bytes.len() as u64;
            self.bytes.clear();
            self.bytes.shrink_to(BYTES_KEPT);
            (self.sent, self.replies) = (0, 0);
        } else if self.sent >= BYTES_KEPT {
            // What never runs empty would grow for ever.
            self.sent_before += self.sent as u64;
            drop(self.bytes.drain(..self.sent));
            self.sent = 0;
        }
    }

    /// A head that is sent now and was not told of yet.
    pub(super) fn next_sent_head(&mut self) -> Option<Mark> {
        let sent = self.sent();
        self.heads.pop_front_if(|mark| mark.end <= sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_told_of_with_its_last_byte() {
        let mut outbox = Outbox::default();
        outbox.bytes.extend_from_slice(b"preface");
        outbox.advance(7);
        for lane in 0..2 {
            outbox.bytes.extend_from_slice(b"head");
            outbox.mark_head(lane, 1);
            outbox.bytes.extend_from_slice(b"body");
        }
        let mut told = |bytes| {
            outbox.advance(bytes);
            std::iter::from_fn(|| outbox.next_sent_head().map(|mark| mark.lane)).collect::<Vec<_>>()
        };
        assert!(told(3).is_empty());
        assert_eq!(told(1), [0]);
        assert!(told(7).is_empty());
        assert_eq!(told(5), [1]);
        assert!(outbox.is_empty() && outbox.sent() == 23 && outbox.end() == 23);
    }

    #[test]
    fn one_that_never_runs_empty_does_not_grow() {
        let mut outbox = Outbox::default();
        outbox.bytes.push(0);
        for round in 1_u64..100 {
            outbox.bytes.extend_from_slice(&[0; 10_000]);
            outbox.advance(10_000);
            assert_eq!((outbox.rest().len(), outbox.sent()), (1, round * 10_000));
            assert!(outbox.bytes.len() <= 2 * BYTES_KEPT);
        }
    }
}

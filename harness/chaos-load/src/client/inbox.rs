//! What has arrived on a connection and was not taken yet.
//!
//! Invariant: it grows only while nothing of it is taken, and never beyond the largest head and one more read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Room for one read at first: most answers fit.
const FIRST_BYTES: usize = 4 << 10;

/// Bytes in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    /// Those that were not taken: `from..to`.
    from: usize,
    to: usize,
}

impl Inbox {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// The first `bytes` were taken.
    pub(super) fn done(&mut self, bytes: usize) {
        self.from += bytes;
        if self.from >= self.to {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    /// Whether a head may end in what arrived after the first `parsed` bytes; so a head that trickles
    /// in is not read from its beginning again for every byte.
    pub(super) fn may_end_head(&self, parsed: usize) -> bool {
        if parsed == 0 {
            return !self.is_empty();
        }
        // The end of a head is three bytes long: two of them may have been there before.
        let new = &self.bytes()[parsed.saturating_sub(2)..];
        let ends = |end: &[u8]| new.windows(end.len()).any(|window| window == end);
        ends(b"\n\r\n") || ends(b"\n\n")
    }

    /// Reads once; 0 at the end of the stream.
    pub(super) fn poll_fill(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.to == self.buffer.len() {
            self.make_room();
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.to..]);
        ready!(Pin::new(socket).poll_read(cx, &mut room))?;
        let bytes = room.filled().len();
        self.to += bytes;
        Poll::Ready(Ok(bytes))
    }

    fn make_room(&mut self) {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        } else {
            let bytes = (2 * self.buffer.len()).max(FIRST_BYTES);
            self.buffer.resize(bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills an inbox from `parts`, each of which is one read.
    fn filled(parts: &[&[u8]]) -> Inbox {
        let mut inbox = Inbox::default();
        let mut nobody = Context::from_waker(std::task::Waker::noop());
        for mut part in parts.iter().copied() {
            while !part.is_empty() {
                assert!(inbox.poll_fill(&mut part, &mut nobody).is_ready());
            }
        }
        inbox
    }

    #[test]
    fn bytes_stay_in_order_while_it_grows_and_is_taken_from() {
        let all: Vec<u8> = (0..20_000_u32).map(|number| (number % 251) as u8).collect();
        let mut inbox = filled(&[&all[..5_000]]);
        inbox.done(4_000);
        let mut rest = &all[5_000..];
        let mut nobody = Context::from_waker(std::task::Waker::noop());
        while !rest.is_empty() {
            assert!(inbox.poll_fill(&mut rest, &mut nobody).is_ready());
        }
        assert_eq!(inbox.bytes(), &all[4_000..]);
        inbox.done(16_000);
        assert!(inbox.is_empty());
    }

    #[test]
    fn the_end_of_a_head_is_seen_wherever_it_was_cut() {
        let head = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        for cut in 1..head.len() {
            let inbox = filled(&[&head[..cut], &head[cut..]]);
            assert!(inbox.may_end_head(cut), "cut at {cut}");
            let early = filled(&[&head[..cut]]);
            assert!(!early.may_end_head(cut), "cut at {cut}");
        }
        assert!(!Inbox::default().may_end_head(0));
    }
}

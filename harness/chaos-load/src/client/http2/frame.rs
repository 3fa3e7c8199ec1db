//! Frames: their heads, the small ones we send, and what is common to those we read (RFC 9113, sections 4 and 6).
//!
//! Invariant: pure; nothing here reads beyond the bytes it was given.

use chaos_record::outcome::FailKind;

/// What every frame begins with (RFC 9113, section 4.1).
pub(super) const HEAD_BYTES: usize = 9;
/// Largest payload: what HTTP/2 begins with, and we ask for no more (RFC 9113, section 6.5.2).
pub(super) const PAYLOAD_BYTES_MAX: usize = 16_384;
/// Largest window (RFC 9113, section 6.9.1).
pub(super) const WINDOW_MAX: i64 = (1 << 31) - 1;
/// Window of each stream and of the connection until somebody says otherwise (RFC 9113, section 6.9.2).
pub(super) const WINDOW_AT_FIRST: u32 = 65_535;
/// What a client says first (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Length of what PRIORITY adds to HEADERS.
const PRIORITY_BYTES: usize = 5;

/// Settings by number (RFC 9113, section 6.5.2).
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// Why a stream or a connection ends (RFC 9113, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Protocol = 1,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// An error of the whole connection: it says goodbye with this code and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(pub(super) Code);

impl Fault {
    /// What the requests under way are counted as.
    pub(super) fn kind(self) -> FailKind {
        match self.0 {
            Code::EnhanceYourCalm => FailKind::TooLarge,
            _ => FailKind::Protocol,
        }
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// Reads it off the front of `bytes` if it is all there.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        })
    }

    /// The bytes of it; a length fits three of them.
    pub(super) fn bytes(self) -> [u8; HEAD_BYTES] {
        let (length, [a, b, c, d]) = (self.length.to_be_bytes(), self.stream.to_be_bytes());
        let mut bytes = [0, 0, 0, self.kind, self.flags, a, b, c, d];
        bytes[..3].copy_from_slice(&length[length.len() - 3..]);
        bytes
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of DATA or HEADERS without padding and priority.
    pub(super) fn content(self, mut payload: &[u8]) -> Result<&[u8], Fault> {
        let mut padding = 0;
        if self.has(PADDED) {
            let (length, rest) = payload.split_first().ok_or(Fault(Code::FrameSize))?;
            padding = usize::from(*length);
            payload = rest;
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            let rest = payload.get(PRIORITY_BYTES..);
            payload = rest.ok_or(Fault(Code::FrameSize))?;
        }
        let length = payload.len().checked_sub(padding);
        length.map_or(Err(Fault(Code::Protocol)), |length| Ok(&payload[..length]))
    }
}

/// A length as windows count, which can be less than nothing.
pub(super) fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A payload that is one number of four bytes.
pub(super) fn word(payload: &[u8]) -> Result<u32, Fault> {
    let bytes = payload.try_into().map_err(|_| Fault(Code::FrameSize))?;
    Ok(u32::from_be_bytes(bytes))
}

/// The settings of a frame, by number.
pub(super) fn settings(payload: &[u8]) -> Result<impl Iterator<Item = (u16, u32)>, Fault> {
    let (settings, rest) = payload.as_chunks::<6>();
    if !rest.is_empty() {
        return Err(Fault(Code::FrameSize));
    }
    Ok(settings.iter().map(|[a, b, c, d, e, f]| {
        (
            u16::from_be_bytes([*a, *b]),
            u32::from_be_bytes([*c, *d, *e, *f]),
        )
    }))
}

/// Appends a frame that is in memory already.
pub(super) fn write(out: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), payload: &[u8]) {
    let head = Head {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        write(&mut bytes, (PING, ACK, 0x7fff_fffe), &[7; 300]);
        assert_eq!(Head::read(&bytes[..8]), None);
        let head = Head::read(&bytes).expect("a head");
        assert_eq!(
            (head.length, head.kind, head.flags, head.stream),
            (300, PING, ACK, 0x7fff_fffe)
        );
        bytes[5] |= 0x80;
        assert_eq!(
            Head::read(&bytes),
            Some(head),
            "the reserved bit is ignored"
        );
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let check = |kind, flags, payload: &[u8], expected: Result<&[u8], Code>| {
            let head = Head {
                length: payload.len(),
                kind,
                flags,
                stream: 1,
            };
            assert_eq!(
                head.content(payload),
                expected.map_err(Fault),
                "{payload:?}"
            );
        };
        check(DATA, PRIORITY, b"abc", Ok(b"abc"));
        check(DATA, PADDED, b"\x02a\0\0", Ok(b"a"));
        check(DATA, PADDED, b"\x03\0\0\0", Ok(b""));
        check(DATA, PADDED, b"\x04\0\0\0", Err(Code::Protocol));
        check(DATA, PADDED, b"", Err(Code::FrameSize));
        check(HEADERS, PRIORITY | PADDED, b"\x01\0\0\0\0\0a\0", Ok(b"a"));
        check(HEADERS, PRIORITY, b"\0\0\0\0", Err(Code::FrameSize));
    }

    #[test]
    fn settings_come_in_sixes() {
        let read = |payload| settings(payload).map(Iterator::collect::<Vec<_>>);
        assert_eq!(
            read(&[0, 4, 0, 1, 0, 0, 9, 9, 0, 0, 0, 1]),
            Ok(vec![(4, 65_536), (0x909, 1)])
        );
        assert_eq!(read(&[0, 4, 0, 1, 0]), Err(Fault(Code::FrameSize)));
        assert_eq!(word(&[0, 0, 1]), Err(Fault(Code::FrameSize)));
    }
}

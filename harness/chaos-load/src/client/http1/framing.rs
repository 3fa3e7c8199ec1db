//! Where the body of an answer ends (RFC 9112, sections 6 and 7.1).
//!
//! Invariant: pure, and indifferent to how the bytes were cut: any division of the same bytes gives
//! the same body, the same end and the same error. No byte behind the end is taken.

use chaos_record::outcome::FailKind;

/// Most bytes of sizes, extensions and trailers that a chunked body may have between two parts.
const OVERHEAD_BYTES_MAX: usize = 64 << 10;
/// More digits than this are no size that any body has.
const SIZE_DIGITS_MAX: u8 = 16;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What lies at the front of the bytes that were offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Bytes of the body; the first `0` of what was offered are done with.
    Data(usize, &'a [u8]),
    /// The end of the body, after this many bytes.
    End(usize),
    /// All that was offered is done with.
    More,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    overhead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
}

const NEXT_SIZE: State = State::Size { size: 0, digits: 0 };

impl Framing {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked {
            state: NEXT_SIZE,
            overhead: 0,
        })
    }

    /// Takes the next part off the front of `bytes`.
    ///
    /// # Errors
    /// `Protocol` if the body breaks its own framing, `TooLarge` if a frame does not end.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<Part<'a>, FailKind> {
        match self {
            Self::Length(0) => Ok(Part::End(0)),
            Self::Length(left) => Ok(data(bytes, left)),
            Self::UntilClose if bytes.is_empty() => Ok(Part::More),
            Self::UntilClose => Ok(Part::Data(bytes.len(), bytes)),
            Self::Chunked(chunked) => chunked.take(bytes),
        }
    }

    /// Whether the end of the connection is the end of the body.
    pub(super) fn ends_with_connection(&self) -> bool {
        *self == Self::UntilClose
    }
}

fn data<'a>(bytes: &'a [u8], left: &mut u64) -> Part<'a> {
    let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    if here == 0 {
        return Part::More;
    }
    *left -= here as u64;
    Part::Data(here, &bytes[..here])
}

impl Chunked {
    fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<Part<'a>, FailKind> {
        for (number, byte) in bytes.iter().enumerate() {
            if let State::Data { left } = &mut self.state {
                let Part::Data(here, data) = data(&bytes[number..], left) else {
                    return Ok(Part::More);
                };
                if *left == 0 {
                    self.state = State::DataReturn;
                }
                self.overhead = 0;
                return Ok(Part::Data(number + here, data));
            }
            self.overhead += 1;
            if self.overhead > OVERHEAD_BYTES_MAX {
                return Err(FailKind::TooLarge);
            }
            match self.state.after(*byte)? {
                Some(state) => self.state = state,
                None => return Ok(Part::End(number + 1)),
            }
        }
        Ok(Part::More)
    }
}

impl State {
    /// The state behind `byte`, which is not one of the data; `None` behind the last.
    fn after(self, byte: u8) -> Result<Option<Self>, FailKind> {
        let next = match (self, byte) {
            (Self::Size { digits: 1.., size } | Self::Extension { size }, b'\r') => {
                Self::SizeEnd { size }
            }
            (Self::Size { digits: 1.., size }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Size { size, digits }, _) => longer(size, digits, byte)?,
            (Self::SizeEnd { size: 0 } | Self::TrailerEnd, b'\n') => Self::TrailerStart,
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataReturn, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => NEXT_SIZE,
            (Self::TrailerStart, b'\r') => Self::LastEnd,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::LastEnd, b'\n') => return Ok(None),
            // Every other line feed stands alone, which no line ends with.
            (_, b'\n') => return Err(FailKind::Protocol),
            (Self::Extension { size }, _) => Self::Extension { size },
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            _ => return Err(FailKind::Protocol),
        };
        Ok(Some(next))
    }
}

fn longer(size: u64, digits: u8, byte: u8) -> Result<State, FailKind> {
    let digit = char::from(byte).to_digit(16);
    match digit {
        Some(digit) if digits < SIZE_DIGITS_MAX => Ok(State::Size {
            size: size << 4 | u64::from(digit),
            digits: digits + 1,
        }),
        Some(_) | None => Err(FailKind::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body, and what is left behind its end; `None` if it has not ended.
    type Read = Result<(Vec<u8>, Option<usize>), FailKind>;

    /// Reads `bytes`, offered up to each of `cuts` in turn.
    fn read(mut framing: Framing, bytes: &[u8], cuts: &[usize]) -> Read {
        let mut body = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let cut = cut.clamp(from, bytes.len());
            loop {
                match framing.take(&bytes[from..cut])? {
                    Part::Data(used, data) => {
                        body.extend_from_slice(data);
                        from += used;
                    }
                    Part::End(used) => return Ok((body, Some(bytes.len() - from - used))),
                    Part::More => break,
                }
            }
            from = cut;
        }
        Ok((body, None))
    }

    fn check(framing: Framing, bytes: &str, expected: Result<(&str, Option<usize>), FailKind>) {
        let expected = expected.map(|(body, left)| (body.as_bytes().to_vec(), left));
        let one_by_one: Vec<usize> = (0..bytes.len()).collect();
        for cuts in [&[][..], &one_by_one] {
            let found = read(framing, bytes.as_bytes(), cuts);
            assert_eq!(found, expected, "{bytes:?} cut at {cuts:?}");
        }
    }

    #[test]
    fn a_length_takes_that_many_bytes_and_no_more() {
        check(Framing::Length(3), "abcdef", Ok(("abc", Some(3))));
        check(Framing::Length(3), "ab", Ok(("ab", None)));
        check(Framing::Length(0), "HTTP", Ok(("", Some(4))));
        check(Framing::Length(u64::MAX), "ab", Ok(("ab", None)));
        check(Framing::UntilClose, "abc", Ok(("abc", None)));
    }

    #[test]
    fn chunks_are_joined_and_their_frames_left_out() {
        let chunked = |bytes, expected| check(Framing::chunked(), bytes, expected);
        chunked("3\r\nabc\r\n0\r\n\r\nrest", Ok(("abc", Some(4))));
        chunked(
            "A\r\n0123456789\r\n1 ;x=\"y\"\r\nz\r\n00\r\n\r\n",
            Ok(("0123456789z", Some(0))),
        );
        chunked("0\r\nA: b\r\nC: d\r\n\r\n!", Ok(("", Some(1))));
        chunked("5\r\nab", Ok(("ab", None)));
    }

    #[test]
    fn chunks_that_break_their_framing_are_refused() {
        for bytes in [
            "zz\r\n",
            "\r\n",
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "11111111111111111\r\n",
            "3;\n",
            "0\r\n\n",
            "-1\r\n",
        ] {
            check(Framing::chunked(), bytes, Err(FailKind::Protocol));
        }
        for endless in ["1;", "0\r\na: b"] {
            let bytes = format!("{endless}{}", "x".repeat(OVERHEAD_BYTES_MAX));
            let found = read(Framing::chunked(), bytes.as_bytes(), &[]);
            assert_eq!(found, Err(FailKind::TooLarge), "{endless}");
        }
    }

    proptest! {
        #[test]
        fn a_chunked_body_comes_out_however_it_was_cut(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), cuts in prop::collection::vec(0_usize..400, 0..12), rest in 0_usize..5) {
            let mut bytes = Vec::new();
            for part in &parts {
                bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                bytes.extend_from_slice(part);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            bytes.resize(bytes.len() + rest, b'H');
            let mut cuts = cuts;
            cuts.sort_unstable();
            // What was cut off behind the end was never offered.
            let (body, left) = read(Framing::chunked(), &bytes, &cuts).expect("well framed");
            prop_assert_eq!(body, parts.concat());
            prop_assert_eq!(left, Some(rest));
        }

        #[test]
        fn any_bytes_give_the_same_however_they_were_cut(bytes in prop::collection::vec(prop::sample::select(&b"0123aF;\r\n x"[..]), 0..60), cuts in prop::collection::vec(0_usize..60, 0..12)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            prop_assert_eq!(read(Framing::chunked(), &bytes, &cuts), read(Framing::chunked(), &bytes, &[]));
        }
    }
}

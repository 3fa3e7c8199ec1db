//! Strings in the code of RFC 7541, appendix B.
//!
//! The code is canonical (codes of one length follow each other in the order of their symbols), so the
//! lengths are all there is to know of it; the tables are made of them by the compiler.
//! Invariant: what is decoded has exactly one encoding: padding is shorter than a byte and all ones (section 5.2).

/// Bits of the code of each byte, and of the end of a string, which no string may hold.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const SYMBOLS: usize = LENGTHS.len();
/// The end of a string.
const END: u16 = 256;
const LONGEST: usize = 30;
/// Codes up to this many bits are found by one look.
const SHORT_BITS: u32 = 8;

static TABLES: Tables = Tables::new();

struct Tables {
    /// Symbol and length of the code at the front of a byte; length 0: it is longer.
    short: [(u8, u8); 1 << SHORT_BITS],
    /// All symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// For each length its first code, the place of that among the symbols, and how many there are.
    lengths: [(u32, u16, u16); LONGEST + 1],
}

impl Tables {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no `try_from` in constants; all are below 257"
    )]
    const fn new() -> Self {
        let mut tables = Self {
            short: [(0, 0); 1 << SHORT_BITS],
            symbols: [0; SYMBOLS],
            lengths: [(0, 0, 0); LONGEST + 1],
        };
        let (mut code, mut place, mut length) = (0_u32, 0, 1);
        while length <= LONGEST {
            code <<= 1;
            let (first, start) = (code, place);
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    tables.symbols[place] = symbol as u16;
                    tables.shorten(code, length as u32, symbol as u8);
                    code += 1;
                    place += 1;
                }
                symbol += 1;
            }
            tables.lengths[length] = (first, start as u16, (place - start) as u16);
            length += 1;
        }
        tables
    }

    /// Enters a code that is short under every byte that begins with it.
    #[expect(clippy::cast_possible_truncation, reason = "a length up to 8")]
    const fn shorten(&mut self, code: u32, length: u32, symbol: u8) {
        if length > SHORT_BITS {
            return;
        }
        let free = SHORT_BITS - length;
        let mut byte = (code << free) as usize;
        let end = byte + (1 << free);
        while byte < end {
            self.short[byte] = (symbol, length as u8);
            byte += 1;
        }
    }

    /// The symbol whose code stands at the front of `window`, and its length in bits.
    fn find(&self, window: u32) -> (u16, u32) {
        let (symbol, length) = self.short[(window >> (32 - SHORT_BITS)) as usize];
        if length > 0 {
            return (symbol.into(), length.into());
        }
        for (length, (first, start, count)) in (0_u32..).zip(&self.lengths).skip(9) {
            let place = (window >> (32 - length)).wrapping_sub(*first);
            if place < u32::from(*count) {
                return (self.symbols[*start as usize + place as usize], length);
            }
        }
        // The code is complete: every window begins with a symbol's.
        (END, 30)
    }
}

/// Appends what `bytes` encode; false if they encode nothing.
pub(super) fn decode(mut bytes: &[u8], text: &mut Vec<u8>) -> bool {
    // The last `left` bits of `bits` are still to be decoded.
    let (mut bits, mut left) = (0_u64, 0_u32);
    loop {
        while left <= 32
            && let [byte, rest @ ..] = bytes
        {
            bits = (bits << 8) | u64::from(*byte);
            left += 8;
            bytes = rest;
        }
        let (symbol, length) = TABLES.find(window(bits, left));
        if length > left {
            let ones = (1_u64 << left) - 1;
            return left < 8 && bits & ones == ones;
        }
        match u8::try_from(symbol) {
            Ok(byte) => text.push(byte),
            Err(_) => return false,
        }
        left -= length;
    }
}

/// The next 32 of the last `left` of `bits`, ones where there are no more.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn window(bits: u64, left: u32) -> u32 {
    match left.checked_sub(32) {
        Some(behind) => (bits >> behind) as u32,
        None => (bits << (32 - left)) as u32 | (u32::MAX >> left),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The code of a symbol, from the tables.
    fn code(symbol: u16) -> (u32, u8) {
        let length = LENGTHS[symbol as usize];
        let (first, start, count) = TABLES.lengths[length as usize];
        let of_length = &TABLES.symbols[start as usize..][..count as usize];
        let place = of_length.iter().position(|other| *other == symbol);
        (
            first + u32::try_from(place.expect("a symbol")).expect("small"),
            length,
        )
    }

    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let (code, length) = code(u16::from(*byte));
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        bits.chunks(8).map(byte).collect()
    }

    fn check(bytes: &[u8], expected: Option<&[u8]>) {
        let mut text = Vec::new();
        let decoded = decode(bytes, &mut text).then_some(text);
        assert_eq!(decoded.as_deref(), expected, "{bytes:x?}");
    }

    /// RFC 7541, appendix B: codes of each kind of length.
    #[test]
    fn codes_are_those_of_the_table() {
        for (symbol, expected) in [
            (u16::from(b'0'), (0x0, 5)),
            (u16::from(b'&'), (0xf8, 8)),
            (u16::from(b'!'), (0x3f8, 10)),
            (u16::from(b'\\'), (0x7_fff0, 19)),
            (0, (0x1ff8, 13)),
            (10, (0x3fff_fffc, 30)),
            (255, (0x3ff_ffee, 26)),
            (END, (0x3fff_ffff, 30)),
        ] {
            assert_eq!(code(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn padding_is_short_and_all_ones() {
        check(&[], Some(b""));
        check(&[0b0000_0111], Some(b"0"));
        check(&[0b0000_0110], None);
        check(&[0b0000_0000], None);
        // A whole byte of padding, and the end of a string in it.
        check(&[0b0000_0111, 0xff], None);
        check(&[0xff; 4], None);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text in prop::collection::vec(any::<u8>(), 0..200)) {
            check(&encode(&text), Some(&text));
        }

        /// Whatever is accepted is what its own text encodes to.
        #[test]
        fn there_is_one_encoding_of_a_text(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut text = Vec::new();
            if decode(&bytes, &mut text) {
                prop_assert_eq!(encode(&text), bytes);
            }
        }
    }
}

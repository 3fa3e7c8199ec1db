//! Header blocks of answers: what their bytes stand for (RFC 7541).
//!
//! Our own, since no crate of it is kept up: those there are came with clients or servers that are no more,
//! and give each field in memory of its own. Here a field is lent to whoever reads it.
//! Invariant: every block of a connection is decoded, in order and to its end, also one that nobody
//! waits for: the next one refers to it.

mod huffman;
mod table;

use self::table::Table;

pub(super) use self::table::{FIELD_BYTES, FIRST_TOLD, Field, TABLE_BYTES_MAX};

/// A block that breaks RFC 7541: from there on nothing on the connection can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Kinds of representations, by the bits they begin with (RFC 7541, section 6).
const INDEXED: u8 = 0x80;
const TOLD: u8 = 0x40;
const LIMIT: u8 = 0x20;
/// A string in the code of appendix B (RFC 7541, section 5.2).
const HUFFMAN: u8 = 0x80;
/// No number needs more bytes than this behind its first.
const NUMBER_BYTES_MAX: u32 = 4;

/// Reads the header blocks of one connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Hands each field of `block` to `take`.
    pub(super) fn decode(
        &mut self,
        mut block: &[u8],
        mut take: impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let mut has_fields = false;
        while let Some(first) = block.first().copied() {
            if first & INDEXED != 0 {
                let number = number(&mut block, 7)?;
                take(self.table.get(number).ok_or(Malformed)?);
            } else if first & TOLD != 0 {
                self.literal(&mut block, 6)?;
                let field = literal(&self.name, &self.value);
                take(field);
                self.table.tell(field);
            } else if first & LIMIT != 0 {
                // At the beginning of a block alone (RFC 7541, section 4.2).
                let limit = number(&mut block, 5)?;
                if has_fields || !self.table.limit(limit) {
                    return Err(Malformed);
                }
                continue;
            } else {
                self.literal(&mut block, 4)?;
                take(literal(&self.name, &self.value));
            }
            has_fields = true;
        }
        Ok(())
    }

    /// Reads a name, or the number of a field that has it, and a value.
    fn literal(&mut self, block: &mut &[u8], bits: u32) -> Result<(), Malformed> {
        self.name.clear();
        match number(block, bits)? {
            0 => string(block, &mut self.name)?,
            number => {
                let known = self.table.get(number).ok_or(Malformed)?;
                self.name.extend_from_slice(known.name);
            }
        }
        self.value.clear();
        string(block, &mut self.value)
    }
}

/// A number of which the first byte has `bits` (RFC 7541, section 5.1).
fn number(block: &mut &[u8], bits: u32) -> Result<usize, Malformed> {
    let full = (1_usize << bits) - 1;
    let mut number = usize::from(next(block)?) & full;
    if number < full {
        return Ok(number);
    }
    for place in 0..NUMBER_BYTES_MAX {
        let byte = next(block)?;
        number += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

fn next(block: &mut &[u8]) -> Result<u8, Malformed> {
    let (first, rest) = block.split_first().ok_or(Malformed)?;
    *block = rest;
    Ok(*first)
}

fn string(block: &mut &[u8], text: &mut Vec<u8>) -> Result<(), Malformed> {
    let is_coded = block.first().is_some_and(|first| first & HUFFMAN != 0);
    let length = number(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(Malformed)?;
    *block = rest;
    if !is_coded {
        text.extend_from_slice(bytes);
    } else if !huffman::decode(bytes, text) {
        return Err(Malformed);
    }
    Ok(())
}

/// Judged once, when it is spelled out; by number it is what it was.
fn literal<'a>(name: &'a [u8], value: &'a [u8]) -> Field<'a> {
    Field {
        name,
        value,
        is_sound: is_name(name) && is_value(value),
    }
}

/// A pseudo-header, or a name in lower case (RFC 9113, section 8.2.1) that is not one of HTTP/1.1's own
/// (section 8.2.2).
fn is_name(name: &[u8]) -> bool {
    let is_of_http1 = match name.len() {
        7 => name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive",
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        _ => false,
    };
    let plain = name.strip_prefix(b":").unwrap_or(name);
    !is_of_http1 && !plain.is_empty() && plain.iter().all(|byte| NAME_BYTES[*byte as usize])
}

/// What a token of RFC 9110, section 5.6.2, is made of, without capitals.
const NAME_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        allowed[byte as usize] = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    allowed
};

/// What could end a line elsewhere stands in no value, nor space at its ends (RFC 9113, section 8.2.1).
fn is_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.first())
        && !is_space(value.last())
        && !value.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r'))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16).expect("a byte")
        };
        digits.chunks(2).map(byte).collect()
    }

    /// The fields of a block, as lines.
    fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<String, Malformed> {
        let mut lines = Vec::new();
        decoder.decode(block, |field| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            lines.push(format!("{}: {}", text(field.name), text(field.value)));
        })?;
        Ok(lines.join("\n"))
    }

    fn check(blocks: &[(&str, &str)]) {
        let mut decoder = Decoder::default();
        for (block, expected) in blocks {
            let told = fields(&mut decoder, &hex(block));
            assert_eq!(told.as_deref(), Ok(*expected), "{block}");
        }
    }

    /// RFC 7541, appendix C.3.
    #[test]
    fn requests_in_plain_strings() {
        let start = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com";
        let last = ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value";
        check(&[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", start),
            (
                "8286 84be 5808 6e6f 2d63 6163 6865",
                &format!("{start}\ncache-control: no-cache"),
            ),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                last,
            ),
        ]);
    }

    /// RFC 7541, appendix C.6, of which the table is small: fields make room for others.
    #[test]
    fn answers_in_coded_strings() {
        let tail = "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com";
        let last = ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        check(&[
            ("3fe1 01", ""),
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                &format!(":status: 302\n{tail}"),
            ),
            ("4883 640e ffc1 c0bf", &format!(":status: 307\n{tail}")),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                last,
            ),
        ]);
    }

    /// RFC 7541, appendices C.1 and C.2.
    #[test]
    fn single_representations() {
        let number_of = |bytes: &[u8], bits| number(&mut &bytes[..], bits);
        assert_eq!(number_of(&[0b1110_1010], 5), Ok(10));
        assert_eq!(number_of(&[0x1f, 0x9a, 0x0a], 5), Ok(1_337));
        assert_eq!(number_of(&[42], 8), Ok(42));
        check(&[("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path")]);
        check(&[(
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
        )]);
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for block in [
            "80",                // number 0
            "be",                // nothing was told yet
            "ff ff ff ff ff 01", // a number without end
            "00 05 61",          // a string beyond the block
            "00 01",
            "41",
            "3f e2 1f",       // a table larger than we allow
            "82 20",          // a limit behind a field
            "00 81 00 01 61", // padding of zeros
        ] {
            let told = fields(&mut Decoder::default(), &hex(block));
            assert_eq!(told, Err(Malformed), "{block}");
        }
    }

    #[test]
    fn fields_are_sound_as_http_2_has_them() {
        for (name, value, is_sound) in [
            ("x-a_b!", "c d\u{e9}", true),
            (":status", "", true),
            ("X-a", "b", false),
            ("", "b", false),
            (":", "b", false),
            ("a b", "c", false),
            ("x", "a\r\nb: c", false),
            ("x", " a", false),
            ("x", "\0", false),
            ("connection", "close", false),
            ("transfer-encoding", "chunked", false),
        ] {
            let field = literal(name.as_bytes(), value.as_bytes());
            assert_eq!(field.is_sound, is_sound, "{name:?}: {value:?}");
        }
    }

    proptest! {
        /// Any bytes, cut anywhere into blocks, are an error or fields, and leave a table within its bounds.
        #[test]
        fn any_bytes_are_survived(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20)) {
            let mut decoder = Decoder::default();
            for block in &blocks {
                if decoder.decode(block, |_| ()).is_err() {
                    break;
                }
            }
        }

        /// What is spelled out, coded or not, told or not, is read again, and by its number too.
        #[test]
        fn what_is_spelled_out_is_read(
            list in prop::collection::vec((any::<bool>(), any::<bool>(), "[a-z-]{1,300}", ".{0,300}"), 1..10),
        ) {
            let mut decoder = Decoder::default();
            for (is_told, is_coded, name, value) in list {
                let mut block = vec![if is_told { TOLD } else { 0 }];
                for text in [&name, &value] {
                    let coded = huffman::tests::encode(text.as_bytes());
                    let (mark, bytes) = if is_coded { (HUFFMAN, coded.as_slice()) } else { (0, text.as_bytes()) };
                    super::super::request::number(&mut block, mark, 7, bytes.len());
                    block.extend_from_slice(bytes);
                }
                if is_told && name.len() + value.len() + FIELD_BYTES <= TABLE_BYTES_MAX {
                    block.push(INDEXED | 0x3e);
                    let line = format!("{name}: {value}");
                    prop_assert_eq!(fields(&mut decoder, &block), Ok(format!("{line}\n{line}")));
                } else {
                    prop_assert_eq!(fields(&mut decoder, &block), Ok(format!("{name}: {value}")));
                }
            }
        }
    }
}

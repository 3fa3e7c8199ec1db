//! A request as the fields of HTTP/2 (RFC 9113, section 8.3.1; RFC 7541, section 6).
//!
//! A field that is seen for the first time is told to the peer's table, so that the next requests
//! say it in one byte; another value of a name that was told is spelled out and told no more.
//! Invariant: the table is never filled beyond what the peer allows, so that no field ever leaves it; the
//! length that is told is that of the body, whatever the step's headers say.

use bytes::Bytes;
use chaos_record::outcome::FailKind;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request};
use http_body_util::Full;

use super::hpack::{FIELD_BYTES, FIRST_TOLD, TABLE_BYTES_MAX};
use crate::client::transport::Origin;

/// Fields by their numbers in the table that everyone knows (RFC 7541, appendix A).
const METHOD: usize = 2;
const GET: u8 = 0x82;
const POST: u8 = 0x83;
const ROOT: u8 = 0x84;
const HTTP: u8 = 0x86;
const HTTPS: u8 = 0x87;
/// How representations begin, and the bits of the number that follows (RFC 7541, section 6).
const INDEXED: (u8, u32) = (0x80, 7);
const TOLD: (u8, u32) = (0x40, 6);
const LIMIT: (u8, u32) = (0x20, 5);
const NEVER_TOLD: (u8, u32) = (0x10, 4);
const UNTOLD: (u8, u32) = (0x00, 4);
/// What HTTP/2 has no place for (RFC 9113, section 8.2.2), and what is told in another way.
const LEFT_OUT: [&str; 8] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Writes the header blocks of one connection.
#[derive(Debug)]
pub(super) struct Encoder {
    scheme: u8,
    host: HeaderValue,
    authority: Authority,
    /// In the order in which they were told.
    told: Vec<Told>,
    /// Where the next field of a request like the one before stands.
    next: usize,
    size: usize,
    size_max: usize,
    /// The peer has changed its mind about that.
    is_resized: bool,
}

#[derive(Debug)]
struct Told {
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl Encoder {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            scheme: if origin.scheme == Scheme::HTTPS {
                HTTPS
            } else {
                HTTP
            },
            host: origin.host.clone(),
            authority: origin.authority.clone(),
            told: Vec::new(),
            next: 0,
            size: 0,
            size_max: TABLE_BYTES_MAX,
            is_resized: false,
        }
    }

    /// The peer's table holds `size_max` bytes from now on.
    pub(super) fn limit(&mut self, size_max: u32) {
        let size_max = TABLE_BYTES_MAX.min(size_max as usize);
        if size_max != self.size_max {
            self.told.clear();
            (self.size, self.size_max, self.is_resized) = (0, size_max, true);
        }
    }

    /// Appends the header block of `request`, whose body has so many bytes.
    ///
    /// # Errors
    /// `Protocol`, and nothing is appended, if its `host` is no authority.
    pub(super) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        request: &Request<Full<Bytes>>,
        body_bytes: usize,
    ) -> Result<(), FailKind> {
        let other = match request.headers().get(HOST) {
            Some(host) if *host != self.host => {
                let authority = Authority::try_from(host.as_bytes());
                Some(authority.map_err(|_| FailKind::Protocol)?)
            }
            Some(_) | None => None,
        };
        if std::mem::take(&mut self.is_resized) {
            // Empty first: what was told before is gone on both sides (RFC 7541, section 4.2).
            number(out, LIMIT.0, LIMIT.1, 0);
            number(out, LIMIT.0, LIMIT.1, self.size_max);
        }
        self.next = 0;
        match *request.method() {
            Method::GET => out.push(GET),
            Method::POST => out.push(POST),
            ref method => {
                number(out, UNTOLD.0, UNTOLD.1, METHOD);
                string(out, method.as_str().as_bytes());
            }
        }
        out.push(self.scheme);
        let authority = other.unwrap_or_else(|| self.authority.clone());
        self.field(out, b":authority", authority.as_str().as_bytes());
        match request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str())
        {
            "/" => out.push(ROOT),
            path => self.field(out, b":path", path.as_bytes()),
        }
        self.headers(out, request);
        if body_bytes > 0 {
            let length = HeaderValue::from(body_bytes);
            self.field(out, CONTENT_LENGTH.as_str().as_bytes(), length.as_bytes());
        }
        Ok(())
    }

    fn headers(&mut self, out: &mut Vec<u8>, request: &Request<Full<Bytes>>) {
        for (name, value) in request.headers() {
            if LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            let (name, text) = (name.as_str().as_bytes(), value.as_bytes());
            if value.is_sensitive() {
                number(out, NEVER_TOLD.0, NEVER_TOLD.1, 0);
                string(out, name);
                string(out, text);
            } else {
                self.field(out, name, text);
            }
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        let expected = self.told.get(self.next);
        let place = match expected.filter(|told| *told.name == *name) {
            Some(_) => Some(self.next),
            None => self.told.iter().position(|told| *told.name == *name),
        };
        let Some(place) = place else {
            return self.first(out, name, value);
        };
        self.next = place + 1;
        let told_at = FIRST_TOLD + self.told.len() - 1 - place;
        if *self.told[place].value == *value {
            number(out, INDEXED.0, INDEXED.1, told_at);
        } else {
            number(out, UNTOLD.0, UNTOLD.1, told_at);
            string(out, value);
        }
    }

    /// A name that was not told yet: it is told if there is room.
    fn first(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + FIELD_BYTES;
        let fits = self.size + size <= self.size_max;
        let (mark, bits) = if fits { TOLD } else { UNTOLD };
        number(out, mark, bits, 0);
        string(out, name);
        string(out, value);
        if fits {
            self.size += size;
            self.told.push(Told {
                name: name.into(),
                value: value.into(),
            });
            self.next = self.told.len();
        }
    }
}

/// A number of which the first byte, marked with `mark`, has `bits` (RFC 7541, section 5.1).
pub(super) fn number(out: &mut Vec<u8>, mark: u8, bits: u32, number: usize) {
    let full = (1_usize << bits) - 1;
    let byte = |number: usize| number.to_le_bytes()[0];
    let Some(mut rest) = number.checked_sub(full) else {
        out.push(mark | byte(number));
        return;
    };
    out.push(mark | byte(full));
    while rest >= 0x80 {
        out.push(0x80 | byte(rest & 0x7f));
        rest >>= 7;
    }
    out.push(byte(rest));
}

/// A string as it is: coding it would cost us more than its bytes do.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    number(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hpack::Decoder;
    use super::*;

    fn encoder() -> Encoder {
        Encoder::new(&Origin {
            scheme: Scheme::HTTPS,
            host: HeaderValue::from_static("shop:8443"),
            authority: Authority::from_static("shop:8443"),
        })
    }

    /// The fields of a block as lines, as the peer reads them, and the length of the block.
    fn read(
        (encoder, decoder): (&mut Encoder, &mut Decoder),
        request: http::request::Builder,
        body: &'static str,
    ) -> Result<(String, usize), FailKind> {
        let request = request.body(Full::from(body)).expect("a request");
        let mut block = Vec::new();
        encoder.encode(&mut block, &request, body.len())?;
        let mut lines = Vec::new();
        let decoded = decoder.decode(&block, |field| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            lines.push(format!("{}: {}\n", text(field.name), text(field.value)));
        });
        decoded.expect("a sound block");
        Ok((lines.concat(), block.len()))
    }

    fn check(request: http::request::Builder, body: &'static str, expected: &str) {
        let read = read((&mut encoder(), &mut Decoder::default()), request, body);
        assert_eq!(read.map(|(lines, _)| lines), Ok(expected.to_owned()));
    }

    #[test]
    fn a_request_is_told_as_http_2_has_it() {
        let get = Request::get("/a?b=c")
            .header("Host", "shop:8443")
            .header("x-a", "1")
            .header("connection", "close")
            .header("te", "gzip")
            .header("transfer-encoding", "chunked");
        let start = ":method: GET\n:scheme: https\n:authority: shop:8443\n";
        check(get, "", &format!("{start}:path: /a?b=c\nx-a: 1\n"));
        let other = Request::delete("http://x").header("host", "other");
        check(
            other,
            "",
            ":method: DELETE\n:scheme: https\n:authority: other\n:path: /\n",
        );
        let lying = Request::post("/").header("content-length", "7");
        check(
            lying,
            "abc",
            ":method: POST\n:scheme: https\n:authority: shop:8443\n:path: /\ncontent-length: 3\n",
        );
    }

    #[test]
    fn a_host_that_is_no_authority_is_refused() {
        let request = Request::get("/")
            .header("host", "a b")
            .body(Full::default());
        let mut block = Vec::new();
        let encoded = encoder().encode(&mut block, &request.expect("a request"), 0);
        assert_eq!((encoded, block.len()), (Err(FailKind::Protocol), 0));
    }

    #[test]
    fn what_was_said_once_is_said_by_number() {
        let (mut encoder, mut decoder) = (encoder(), Decoder::default());
        let mut read = |tag: &str, limit: Option<u32>| {
            if let Some(limit) = limit {
                encoder.limit(limit);
            }
            let get = Request::get("/some/path")
                .header("user-agent", "chaos")
                .header("x-tag", tag);
            let (lines, length) = read((&mut encoder, &mut decoder), get, "").expect("a block");
            let line = format!("user-agent: chaos\nx-tag: {tag}\n");
            assert!(lines.ends_with(&line), "{lines}");
            length
        };
        let first = read("one", None);
        assert_eq!(read("one", None), 6);
        assert_eq!(read("two", None), 5 + 6);
        assert_eq!(read("one", None), 6);
        // The peer takes its table away, and gives some of it back.
        let spelled = read("one", Some(0));
        assert_eq!(spelled, first + 2);
        assert_eq!(read("one", None), first);
        assert_eq!(read("one", Some(100)), first + 3);
        assert!(read("one", None) < first);
        assert_eq!(read("one", Some(1 << 20)), first + 4);
        assert_eq!(read("one", None), 6);
    }

    #[test]
    fn a_secret_is_never_told_to_a_table() {
        let mut secret = HeaderValue::from_static("token");
        secret.set_sensitive(true);
        let mut encoder = encoder();
        for _ in 0..2 {
            let request = Request::get("/").header("authorization", secret.clone());
            let request = request.body(Full::default()).expect("a request");
            let mut block = Vec::new();
            encoder.encode(&mut block, &request, 0).expect("a block");
            assert!(
                block.ends_with(b"\x10\x0dauthorization\x05token"),
                "{block:x?}"
            );
        }
    }

    proptest! {
        /// Any requests, one after the other, are read by the peer as they are.
        #[test]
        fn the_peer_reads_what_was_asked(
            requests in prop::collection::vec((prop::collection::vec(("[a-d]", "[x-z ]{0,900}y"), 0..6), 0_usize..3), 1..20),
            limits in prop::collection::vec(prop::option::of(0_u32..5_000), 20),
        ) {
            let (mut encoder, mut decoder) = (encoder(), Decoder::default());
            for ((headers, path), limit) in requests.into_iter().zip(limits) {
                if let Some(limit) = limit {
                    encoder.limit(limit);
                }
                let mut request = Request::get(format!("/{path}"));
                let mut expected = vec![format!(":method: GET\n:scheme: https\n:authority: shop:8443\n:path: /{path}\n")];
                for (name, value) in headers.iter().filter(|(_, value)| value.trim() == value) {
                    request = request.header(format!("x-{name}"), value);
                }
                for (name, value) in request.headers_ref().expect("headers") {
                    expected.push(format!("{name}: {}\n", value.to_str().expect("text")));
                }
                let read = read((&mut encoder, &mut decoder), request, "");
                prop_assert_eq!(read.map(|(lines, _)| lines), Ok(expected.concat()));
            }
        }
    }
}

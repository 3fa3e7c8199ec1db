//! The head of an answer: its status, how its body is framed, and whether the connection goes on.
//!
//! Invariant: pure. Two readings of a head that could both be right are refused, since a proxy in
//! between may have taken the other one.

use std::mem::MaybeUninit;

use chaos_record::outcome::FailKind;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use httparse::{Error, Header, ParserConfig, Response, Status};

use super::framing::Framing;

/// Most lines of a head.
const HEADERS_MAX: usize = 100;

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// `Length(0)` if the answer has no body.
    pub(super) framing: Framing,
    /// Another request may follow on the connection.
    pub(super) goes_on: bool,
    /// Empty unless asked for.
    pub(super) headers: HeaderMap,
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Someone wants to read the headers.
    pub(super) keeps_headers: bool,
}

/// Reads the head at the front of `bytes` and its length; `None` if it is not complete.
///
/// # Errors
/// `Protocol` if this is no head of HTTP/1, `TooLarge` if it has more than 100 lines.
pub(super) fn parse(bytes: &[u8], asked: Asked<'_>) -> Result<Option<(usize, Head)>, FailKind> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut lines,
    );
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => return Err(FailKind::TooLarge),
        Err(_) => return Err(FailKind::Protocol),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(FailKind::Protocol)?;
    let lines = Lines::read(response.headers)?;
    let framing = lines.framing(status, asked.method);
    Ok(Some((
        length,
        Head {
            status,
            framing,
            goes_on: lines.goes_on(response.version == Some(1))
                && !framing.ends_with_connection()
                && status != StatusCode::SWITCHING_PROTOCOLS,
            headers: if asked.keeps_headers {
                headers(response.headers)?
            } else {
                HeaderMap::new()
            },
        },
    )))
}

/// What the lines say about the message itself.
#[derive(Debug, Default)]
struct Lines {
    length: Option<u64>,
    /// There is a transfer encoding, and whether the last one is `chunked`.
    coded: Option<bool>,
    closes: bool,
    keeps_alive: bool,
}

impl Lines {
    fn read(lines: &[Header<'_>]) -> Result<Self, FailKind> {
        let mut found = Self::default();
        for Header { name, value } in lines {
            // By length first: hardly any line is one of these.
            match name.len() {
                10 if name.eq_ignore_ascii_case("connection") => found.connection(value),
                14 if name.eq_ignore_ascii_case("content-length") => found.length(value)?,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    let last = tokens(value).last().unwrap_or_default();
                    found.coded = Some(last.eq_ignore_ascii_case(b"chunked"));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn connection(&mut self, value: &[u8]) {
        for token in tokens(value) {
            self.closes |= token.eq_ignore_ascii_case(b"close");
            self.keeps_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Equal lengths may be repeated (RFC 9112, section 6.3).
    fn length(&mut self, value: &[u8]) -> Result<(), FailKind> {
        for token in tokens(value) {
            let length = decimal(token).ok_or(FailKind::Protocol)?;
            if self
                .length
                .replace(length)
                .is_some_and(|other| other != length)
            {
                return Err(FailKind::Protocol);
            }
        }
        self.length.map(drop).ok_or(FailKind::Protocol)
    }

    fn framing(&self, status: StatusCode, method: &Method) -> Framing {
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || *method == Method::HEAD;
        match (self.coded, self.length) {
            _ if has_none => Framing::Length(0),
            (Some(true), _) => Framing::chunked(),
            (Some(false), _) | (None, None) => Framing::UntilClose,
            (None, Some(length)) => Framing::Length(length),
        }
    }

    /// A body with two framings is read as chunked, and nothing behind it is trusted.
    fn goes_on(&self, is_1_1: bool) -> bool {
        !self.closes
            && (is_1_1 || self.keeps_alive)
            && !(self.coded.is_some() && (self.length.is_some() || !is_1_1))
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Digits alone: what `parse` takes beyond them, such as a sign, is no length.
pub(in super::super) fn decimal(token: &[u8]) -> Option<u64> {
    let is_number = token.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(token).ok().filter(|_| is_number);
    text?.parse().ok()
}

fn headers(lines: &[Header<'_>]) -> Result<HeaderMap, FailKind> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for Header { name, value } in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| FailKind::Protocol)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| FailKind::Protocol)?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &Method, lines: &str) -> Result<Head, FailKind> {
        let text = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
        let asked = Asked {
            method,
            keeps_headers: true,
        };
        for cut in 0..text.len() {
            if let Ok(found) = parse(&text.as_bytes()[..cut], asked) {
                assert_eq!(found, None, "{lines:?} cut at {cut}");
            }
        }
        let text = format!("{text}rest");
        let found = parse(text.as_bytes(), asked)?;
        let (length, head) = found.expect("a complete head");
        assert_eq!(&text[length..], "rest");
        Ok(head)
    }

    fn check(lines: &str, framing: Framing, goes_on: bool) {
        let head = head(&Method::GET, lines).expect("a head");
        assert_eq!((head.framing, head.goes_on), (framing, goes_on), "{lines}");
    }

    #[test]
    fn the_body_is_framed_as_the_head_says() {
        check(
            "HTTP/1.1 200 OK\nContent-Length: 13",
            Framing::Length(13),
            true,
        );
        check(
            "HTTP/1.1 200\ncontent-length: 5, 5\ncontent-length: 5",
            Framing::Length(5),
            true,
        );
        check(
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, Chunked",
            Framing::chunked(),
            true,
        );
        check(
            "HTTP/1.1 200 OK\ntransfer-encoding: gzip",
            Framing::UntilClose,
            false,
        );
        check("HTTP/1.1 200 OK", Framing::UntilClose, false);
        check("HTTP/1.1 100 Continue", Framing::Length(0), true);
        for without in ["204 No Content", "304 Not Modified\ncontent-length: 9"] {
            check(&format!("HTTP/1.1 {without}"), Framing::Length(0), true);
        }
        let to_head = head(&Method::HEAD, "HTTP/1.1 200 OK\ncontent-length: 9").expect("a head");
        assert_eq!(
            (to_head.framing, to_head.goes_on),
            (Framing::Length(0), true)
        );
    }

    #[test]
    fn a_connection_goes_on_unless_one_side_says_otherwise() {
        let length = "content-length: 1";
        for (start, goes_on) in [
            ("HTTP/1.1 200 OK\nconnection: close", false),
            (
                "HTTP/1.1 200 OK\nconnection: keep-alive\nConnection: x, Close",
                false,
            ),
            ("HTTP/1.0 200 OK", false),
            ("HTTP/1.0 200 OK\nconnection: Keep-Alive", true),
        ] {
            check(&format!("{start}\n{length}"), Framing::Length(1), goes_on);
        }
        // Two framings: what a proxy took for the next answer cannot be known.
        let both = "HTTP/1.1 200 OK\ncontent-length: 1\ntransfer-encoding: chunked";
        check(both, Framing::chunked(), false);
        let old = "HTTP/1.0 200 OK\nconnection: keep-alive\ntransfer-encoding: chunked";
        check(old, Framing::chunked(), false);
        let switched = head(&Method::GET, "HTTP/1.1 101 Switching Protocols").expect("a head");
        assert!(!switched.goes_on);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for lines in [
            "SSH-2.0-OpenSSH_9.6",
            "HTTP/2.0 200 OK",
            "HTTP/1.1 abc OK",
            "HTTP/1.1 200 OK\ncontent-length: 5\ncontent-length: 6",
            "HTTP/1.1 200 OK\ncontent-length: 5, 6",
            "HTTP/1.1 200 OK\ncontent-length: +5",
            "HTTP/1.1 200 OK\ncontent-length:",
            "HTTP/1.1 200 OK\ncontent-length: 99999999999999999999",
            "HTTP/1.1 200 OK\nno colon",
            "HTTP/1.1 200 OK\na: b\n folded",
        ] {
            assert_eq!(
                head(&Method::GET, lines).err(),
                Some(FailKind::Protocol),
                "{lines}"
            );
        }
        let many = format!("HTTP/1.1 200 OK{}", "\na: b".repeat(HEADERS_MAX + 1));
        assert_eq!(head(&Method::GET, &many).err(), Some(FailKind::TooLarge));
    }

    #[test]
    fn headers_are_kept_only_for_those_who_read_them() {
        let bytes = b"HTTP/1.1 200 OK\r\nX-A: b\xff\r\nx-a: c\r\n\r\n";
        let kept = |keeps_headers| {
            let asked = Asked {
                method: &Method::GET,
                keeps_headers,
            };
            let (_, head) = parse(bytes, asked).expect("a head").expect("complete");
            head.headers.get_all("x-a").iter().count()
        };
        assert_eq!((kept(true), kept(false)), (2, 0));
    }
}

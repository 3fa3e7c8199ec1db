//! A request as bytes (RFC 9112, sections 3 and 6).
//!
//! Invariant: the length that is written is that of the body, whatever the step's headers say.

use std::io::Write as _;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body_util::Full;

use crate::client::body;

/// Writes `request` into `bytes`. False if it asks for the end of the connection.
pub(super) fn write(bytes: &mut Vec<u8>, request: &Request<Full<Bytes>>) -> bool {
    let mut goes_on = true;
    let method = request.method();
    let path = request.uri().path_and_query();
    let body = body::of(request);
    bytes.clear();
    for part in [
        method.as_str(),
        " ",
        path.map_or("/", |path| path.as_str()),
        " HTTP/1.1\r\n",
    ] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
            continue;
        }
        goes_on &= *name != CONNECTION || !says_close(value);
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    // For these methods a receiver may wait for a body unless it is told that there is none.
    let expects_body = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if expects_body || !body.is_empty() {
        write!(bytes, "content-length: {}\r\n", body.len()).expect("memory takes what is written");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    goes_on
}

fn says_close(connection: &HeaderValue) -> bool {
    let mut tokens = connection.as_bytes().split(|byte| *byte == b',');
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: http::request::Builder, body: &'static str, expected: &str) {
        let request = request.body(Full::from(body)).expect("a request");
        let mut bytes = b"of the request before".to_vec();
        let goes_on = write(&mut bytes, &request);
        assert_eq!(str::from_utf8(&bytes), Ok(expected));
        assert_eq!(goes_on, !expected.contains("Close"), "{expected}");
    }

    #[test]
    fn a_request_is_written_as_it_stands() {
        let get = Request::get("/a?b=c")
            .header("Host", "x:1")
            .header("x-a", "1");
        check(
            get,
            "",
            "GET /a?b=c HTTP/1.1\r\nhost: x:1\r\nx-a: 1\r\n\r\n",
        );
        let last = Request::get("/").header("connection", "te, Close");
        check(last, "", "GET / HTTP/1.1\r\nconnection: te, Close\r\n\r\n");
        check(Request::get("http://x"), "", "GET / HTTP/1.1\r\n\r\n");
        check(Request::head("/"), "", "HEAD / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        let lying = || {
            let request = Request::post("/").header("content-length", "7");
            request.header("transfer-encoding", "chunked")
        };
        check(
            lying(),
            "abc",
            "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
        );
        check(lying(), "", "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        check(
            Request::delete("/"),
            "x",
            "DELETE / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx",
        );
    }
}

//! As much of HTTP/1.1 as it takes to find where a request ends.
//!
//! Invariant: nothing is copied, and what is not understood is refused: guessing where a request
//! ends would turn a body into requests.

/// Longest head, in bytes.
pub(super) const HEAD_MAX: usize = 16 * 1_024;

/// What a head says that matters to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the head, with its blank line.
    pub(super) length: usize,
    /// Bytes of body behind it.
    pub(super) body: u64,
    /// The connection ends with the answer.
    pub(super) closes: bool,
    /// The client speaks HTTP/1.0 and has to be told that the connection stays.
    pub(super) is_old: bool,
    /// The answer has no body (`HEAD`).
    pub(super) answers_bare: bool,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Whole(Head),
    /// The head is not complete yet.
    Part,
    Refused,
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn find(bytes: &[u8]) -> Found {
    let Some((first, mut at)) = line(bytes, 0) else {
        return unfinished(bytes);
    };
    let is_old = first.ends_with(b" HTTP/1.0");
    if !is_old && !first.ends_with(b" HTTP/1.1") {
        return Found::Refused;
    }
    let mut head = Head {
        length: 0,
        body: 0,
        closes: is_old,
        is_old,
        answers_bare: first.starts_with(b"HEAD "),
    };
    while let Some((field, next)) = line(bytes, at) {
        at = next;
        if field.is_empty() {
            head.length = at;
            return if at > HEAD_MAX {
                Found::Refused
            } else {
                Found::Whole(head)
            };
        }
        if !note(field, &mut head) {
            return Found::Refused;
        }
    }
    unfinished(bytes)
}

fn unfinished(bytes: &[u8]) -> Found {
    if bytes.len() >= HEAD_MAX {
        Found::Refused
    } else {
        Found::Part
    }
}

/// The line that begins at `at`, without its end, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = &bytes[at..];
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let text = &rest[..end];
    Some((text.strip_suffix(b"\r").unwrap_or(text), at + end + 1))
}

/// Takes in one header field; false if the request cannot be served.
fn note(field: &[u8], head: &mut Head) -> bool {
    // Nearly every field is none of ours: one look at its first letter tells.
    match field[0] | 0x20 {
        b'c' => {
            if let Some(value) = value_of(field, b"content-length") {
                let Some(length) = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                else {
                    return false;
                };
                head.body = length;
            } else if let Some(value) = value_of(field, b"connection") {
                if value.eq_ignore_ascii_case(b"close") {
                    head.closes = true;
                } else if value.eq_ignore_ascii_case(b"keep-alive") {
                    head.closes = false;
                }
            }
            true
        }
        b't' => value_of(field, b"transfer-encoding").is_none(),
        _ => true,
    }
}

fn value_of<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = field.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Head {
        match find(text.as_bytes()) {
            Found::Whole(head) => head,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn the_end_of_a_request_is_found() {
        let head = whole("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length:  12 \r\n\r\nbody");
        assert_eq!((head.length, head.body, head.closes), (51, 12, false));
        assert!(whole("HEAD / HTTP/1.1\n\n").answers_bare);
        for end in 0..18 {
            assert_eq!(
                find(&b"GET / HTTP/1.1\r\n\r\n"[..end]),
                Found::Part,
                "{end}"
            );
        }
    }

    #[test]
    fn the_connection_stays_as_the_version_and_the_field_say() {
        assert!(!whole("GET / HTTP/1.1\r\n\r\n").closes);
        assert!(whole("GET / HTTP/1.1\r\nconnection: Close\r\n\r\n").closes);
        assert!(whole("GET / HTTP/1.0\r\n\r\n").closes);
        let kept = whole("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!((kept.closes, kept.is_old), (false, true));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(find(text.as_bytes()), Found::Refused, "{text:?}");
        }
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(find(endless.as_bytes()), Found::Refused);
    }
}

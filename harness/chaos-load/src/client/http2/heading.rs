//! The fields of one header block of an answer (RFC 9113, section 8): a head, an interim one, or trailers.
//!
//! Invariant: what is kept of a block is bounded by the largest head; a block that HTTP/2 does not allow
//! is found out whether anybody wants its fields or not.

use chaos_record::outcome::FailKind;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::hpack::Field;
use crate::client::http1::{HEAD_BYTES_MAX, decimal};

/// What the fields of a block say together.
#[derive(Debug)]
pub(super) struct Heading {
    keeps: bool,
    pub(super) status: Option<StatusCode>,
    /// What `content-length` says.
    pub(super) length: Option<u64>,
    /// Empty unless they are kept.
    pub(super) headers: HeaderMap,
    has_headers: bool,
    /// As the peer counts them (RFC 9113, section 6.5.2).
    bytes: usize,
    flaw: Option<FailKind>,
}

impl Heading {
    /// Keeps the fields if somebody reads them.
    pub(super) fn new(keeps: bool) -> Self {
        Self {
            keeps,
            status: None,
            length: None,
            headers: HeaderMap::new(),
            has_headers: false,
            bytes: 0,
            flaw: None,
        }
    }

    /// Why the block is no part of an answer; the first reason if there are several.
    pub(super) fn flaw(&self) -> Option<FailKind> {
        self.flaw
    }

    pub(super) fn take(&mut self, field: Field<'_>) {
        if self.flaw.is_some() {
            return;
        }
        self.bytes += field.size();
        self.flaw = if self.bytes > HEAD_BYTES_MAX as usize {
            Some(FailKind::TooLarge)
        } else {
            self.enter(field).err()
        };
    }

    fn enter(&mut self, field: Field<'_>) -> Result<(), FailKind> {
        let Field {
            name,
            value,
            is_sound,
        } = field;
        if !is_sound {
            return Err(FailKind::Protocol);
        }
        if name.starts_with(b":") {
            return self.pseudo(name, value);
        }
        self.has_headers = true;
        if name == b"content-length" {
            let length = decimal(value).ok_or(FailKind::Protocol)?;
            if self
                .length
                .replace(length)
                .is_some_and(|other| other != length)
            {
                return Err(FailKind::Protocol);
            }
        }
        if self.keeps {
            let name = HeaderName::from_bytes(name).map_err(|_| FailKind::Protocol)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| FailKind::Protocol)?;
            let entered = self.headers.try_append(name, value);
            entered.map_err(|_| FailKind::TooLarge)?;
        }
        Ok(())
    }

    /// A status, once, before everything else, is all that an answer may have (RFC 9113, section 8.3.2).
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), FailKind> {
        if name != b":status" || self.has_headers || self.status.is_some() {
            return Err(FailKind::Protocol);
        }
        self.status = StatusCode::from_bytes(value).ok();
        self.status.map(drop).ok_or(FailKind::Protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(lines: &str) -> Heading {
        let mut heading = Heading::new(true);
        for line in lines.lines() {
            let (name, value) = line.split_once("= ").expect("a field");
            heading.take(Field {
                name: name.as_bytes(),
                value: value.as_bytes(),
                is_sound: true,
            });
        }
        heading
    }

    #[test]
    fn a_head_is_read() {
        let heading = heading(":status= 404\ncontent-length= 7\nx-a= b\nx-a= c\ncontent-length= 7");
        assert_eq!(heading.flaw(), None);
        assert_eq!(
            (heading.status, heading.length),
            (Some(StatusCode::NOT_FOUND), Some(7))
        );
        assert_eq!(heading.headers.get_all("x-a").iter().count(), 2);
    }

    #[test]
    fn what_no_answer_may_have_is_found() {
        for lines in [
            ":status= 200\n:status= 200",
            "x-a= b\n:status= 200",
            ":status= abc",
            ":path= /",
            ":status= 200\ncontent-length= 1\ncontent-length= 2",
            ":status= 200\ncontent-length= +1",
            ":status= 200\ncontent-length= ",
        ] {
            assert_eq!(heading(lines).flaw(), Some(FailKind::Protocol), "{lines}");
        }
        let field = Field {
            name: b"x",
            value: b"\0",
            is_sound: false,
        };
        let mut unsound = Heading::new(false);
        unsound.take(field);
        assert_eq!(unsound.flaw(), Some(FailKind::Protocol));
        let line = format!("x-filler= {}\n", "y".repeat(1_000));
        let many = heading(&line.repeat(300));
        assert_eq!(many.flaw(), Some(FailKind::TooLarge));
        assert!(many.headers.len() < 260);
    }
}

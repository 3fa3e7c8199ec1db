//! Header fields by number (RFC 7541, section 2.3): those everyone knows, and those the peer has told us.
//!
//! Invariant: the fields a peer has told never count for more than its table may hold, and their bytes
//! lie in one buffer of twice that.

use std::collections::VecDeque;

/// RFC 7541, appendix A.
const KNOWN: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
/// The number of the field that was told last.
pub(in super::super) const FIRST_TOLD: usize = KNOWN.len() + 1;
/// What a field counts beyond its bytes (RFC 7541, section 4.1).
pub(in super::super) const FIELD_BYTES: usize = 32;
/// Most that the fields of a table count for: what HTTP/2 begins with, and we neither ask for nor use more.
pub(in super::super) const TABLE_BYTES_MAX: usize = 4_096;

/// A header field as it stands in a table or a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Field<'a> {
    pub(in super::super) name: &'a [u8],
    pub(in super::super) value: &'a [u8],
    /// Name and value are such as HTTP/2 allows in an answer.
    pub(in super::super) is_sound: bool,
}

impl Field<'_> {
    /// What it counts for, in bytes.
    pub(in super::super) fn size(&self) -> usize {
        self.name.len() + self.value.len() + FIELD_BYTES
    }
}

/// What one side of a connection may refer to by number.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// The one told last is the first.
    told: VecDeque<Told>,
    size: usize,
    size_max: usize,
}

/// Where the bytes of a field are: the name from `at`, the value behind it.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: usize,
    name: usize,
    value: usize,
    is_sound: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            told: VecDeque::new(),
            size: 0,
            size_max: TABLE_BYTES_MAX,
        }
    }
}

impl Table {
    pub(super) fn get(&self, number: usize) -> Option<Field<'_>> {
        if let Some(place) = number.checked_sub(FIRST_TOLD) {
            return self.told.get(place).map(|told| self.field(told));
        }
        let (name, value) = KNOWN.get(number.checked_sub(1)?)?;
        Some(Field {
            name: name.as_bytes(),
            value: value.as_bytes(),
            is_sound: *name != "transfer-encoding",
        })
    }

    fn field(&self, told: &Told) -> Field<'_> {
        let (name, rest) = self.bytes[told.at..].split_at(told.name);
        Field {
            name,
            value: &rest[..told.value],
            is_sound: told.is_sound,
        }
    }

    /// Takes a field in; those told first make room for it. One larger than the table empties it
    /// (RFC 7541, section 4.4).
    pub(super) fn tell(&mut self, field: Field<'_>) {
        let size = field.size();
        self.shrink_to(self.size_max.saturating_sub(size));
        if size > self.size_max {
            return;
        }
        if self.bytes.len() + size > 2 * TABLE_BYTES_MAX {
            self.close_ranks();
        }
        self.told.push_front(Told {
            at: self.bytes.len(),
            name: field.name.len(),
            value: field.value.len(),
            is_sound: field.is_sound,
        });
        self.bytes.extend_from_slice(field.name);
        self.bytes.extend_from_slice(field.value);
        self.size += size;
    }

    /// A new limit; false if it is more than we allow (RFC 7541, section 6.3).
    pub(super) fn limit(&mut self, size_max: usize) -> bool {
        if size_max > TABLE_BYTES_MAX {
            return false;
        }
        self.size_max = size_max;
        self.shrink_to(size_max);
        true
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.told.pop_back()
        {
            self.size -= oldest.name + oldest.value + FIELD_BYTES;
        }
        if self.told.is_empty() {
            self.bytes.clear();
        }
    }

    /// Moves what is still in use to the front of the buffer.
    fn close_ranks(&mut self) {
        let gone = self
            .told
            .back()
            .map_or(self.bytes.len(), |oldest| oldest.at);
        drop(self.bytes.drain(..gone));
        for told in &mut self.told {
            told.at -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field<'a>(name: &'a [u8], value: &'a [u8]) -> Field<'a> {
        Field {
            name,
            value,
            is_sound: true,
        }
    }

    #[test]
    fn numbers_begin_with_what_everyone_knows() {
        let mut table = Table::default();
        table.tell(field(b"x-a", b"1"));
        assert_eq!(table.get(0), None);
        assert_eq!(table.get(2), Some(field(b":method", b"GET")));
        assert_eq!(table.get(61), Some(field(b"www-authenticate", b"")));
        assert_eq!(table.get(62), Some(field(b"x-a", b"1")));
        assert_eq!(table.get(63), None);
    }

    proptest! {
        /// Against a plain list of fields, whatever is told and however the limit moves.
        #[test]
        fn it_is_a_list_that_forgets_its_oldest(
            acts in prop::collection::vec((0_usize..3_000, prop::option::weighted(0.1, 0_usize..5_000)), 1..80),
        ) {
            let (mut table, mut list, mut most) = (Table::default(), VecDeque::<Vec<u8>>::new(), TABLE_BYTES_MAX);
            for (number, (length, limit)) in acts.into_iter().enumerate() {
                let value = vec![u8::try_from(number).expect("below 80"); length];
                if let Some(limit) = limit {
                    prop_assert_eq!(table.limit(limit), limit <= TABLE_BYTES_MAX);
                    most = if limit <= TABLE_BYTES_MAX { limit } else { most };
                } else {
                    table.tell(field(b"x", &value));
                    list.push_front(value);
                }
                let mut size = 0;
                list.retain(|value| {
                    size += value.len() + 1 + FIELD_BYTES;
                    size <= most
                });
                for (place, value) in list.iter().enumerate() {
                    prop_assert_eq!(table.get(FIRST_TOLD + place), Some(field(b"x", value)));
                }
                prop_assert_eq!(table.get(FIRST_TOLD + list.len()), None);
                prop_assert!(table.bytes.len() <= 2 * TABLE_BYTES_MAX);
            }
        }
    }
}

//! The lines of the operation log: JSON, one value a line.
//!
//! Invariant: an operation is known by its key and the instant it was dispatched, so that a key
//! that was used twice does not mix up two operations.

use chaos_record::operation::OperationOutcome;
use serde::{Deserialize, Serialize};

/// One line. Instants are nanoseconds since the start of the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Begun(Begun),
    Ended(Ended),
}

/// An operation is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) key: String,
    pub(crate) journey: usize,
    pub(crate) step: usize,
    /// When it was dispatched.
    pub(crate) at: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the name it has in the record")]
pub(crate) struct Ended {
    pub(crate) key: String,
    /// When it was dispatched.
    pub(crate) at: u64,
    pub(crate) outcome: OperationOutcome,
    pub(crate) order: Option<String>,
    pub(crate) amount: Option<i64>,
    pub(crate) ended: u64,
}

impl Line {
    /// With its line break.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a line is plain data with text keys");
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let begun = Line::Begun(Begun {
            key: "k\n1".to_owned(),
            journey: 2,
            step: 3,
            at: 5,
        });
        assert_eq!(
            String::from_utf8(begun.to_bytes()).expect("JSON"),
            "{\"begun\":{\"key\":\"k\\n1\",\"journey\":2,\"step\":3,\"at\":5}}\n"
        );
        let ended = Line::Ended(Ended {
            key: "k".to_owned(),
            at: 5,
            outcome: OperationOutcome::Ok,
            order: Some("o-1".to_owned()),
            amount: None,
            ended: 9,
        });
        assert_eq!(
            String::from_utf8(ended.to_bytes()).expect("JSON"),
            "{\"ended\":{\"key\":\"k\",\"at\":5,\"outcome\":\"ok\",\"order\":\"o-1\",\"amount\":null,\"ended\":9}}\n"
        );
    }
}

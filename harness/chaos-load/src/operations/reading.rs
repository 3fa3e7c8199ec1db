//! Reads an operation log back: each operation once, with what is known of it.
//!
//! Invariant: an operation without an end is unknown, never refused; a log that says what cannot be
//! is an error and is not put right by guessing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use chaos_record::operation::{Operation, OperationOutcome};

use super::line::{Begun, Ended, Line};

/// The longest line that is read; longer ones are never written.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The operations of a log, in the order they were begun.
///
/// The last line may be torn, by a disk that was full or a harness that was killed: it then counts
/// as not written. An operation that was only begun is unknown.
///
/// # Errors
/// The file cannot be read, or a line that is not the last is none of a log.
pub fn read_operations(path: &Path) -> io::Result<Vec<Operation>> {
    fold(BufReader::new(File::open(path)?))
}

fn fold(mut log: impl BufRead) -> io::Result<Vec<Operation>> {
    let mut folded = Folded::default();
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        io::Read::take(&mut log, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if bytes.last() != Some(&b'\n') && bytes.len() as u64 != LINE_BYTES_MAX {
            break;
        }
        let wrong = |why: &str| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} of the operation log {why}"),
            )
        };
        match serde_json::from_slice(&bytes) {
            Ok(Line::Begun(begun)) => folded.begin(begun),
            Ok(Line::Ended(ended)) => folded
                .end(ended)
                .map_err(|()| wrong("ends what was not begun"))?,
            Err(error) => return Err(wrong(&format!("is damaged: {error}"))),
        }
    }
    Ok(folded.operations)
}

#[derive(Debug, Default)]
struct Folded {
    operations: Vec<Operation>,
    /// Those without an end, by key and instant.
    open: BTreeMap<(String, u64), usize>,
}

impl Folded {
    fn begin(&mut self, begun: Begun) {
        let Begun {
            key,
            journey,
            step,
            at,
        } = begun;
        self.open.insert((key.clone(), at), self.operations.len());
        self.operations.push(Operation {
            key,
            journey,
            step,
            at,
            ended: None,
            outcome: OperationOutcome::Unknown,
            order: None,
            amount: None,
        });
    }

    fn end(&mut self, ended: Ended) -> Result<(), ()> {
        let Ended {
            key,
            at,
            outcome,
            order,
            amount,
            ended,
        } = ended;
        let number = self.open.remove(&(key, at)).ok_or(())?;
        let operation = &mut self.operations[number];
        operation.ended = Some(ended);
        operation.outcome = outcome;
        operation.order = order;
        operation.amount = amount;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: &str = r#"{"begun":{"key":"a","journey":1,"step":2,"at":5}}"#;
    const AGAIN: &str = r#"{"begun":{"key":"a","journey":1,"step":2,"at":6}}"#;
    const ENDED: &str =
        r#"{"ended":{"key":"a","at":5,"outcome":"ok","order":"o","amount":7,"ended":9}}"#;

    fn begun(at: u64) -> Operation {
        Operation {
            key: "a".to_owned(),
            journey: 1,
            step: 2,
            at,
            ended: None,
            outcome: OperationOutcome::Unknown,
            order: None,
            amount: None,
        }
    }

    fn ended() -> Operation {
        Operation {
            ended: Some(9),
            outcome: OperationOutcome::Ok,
            order: Some("o".to_owned()),
            amount: Some(7),
            ..begun(5)
        }
    }

    fn check(log: &str, expected: &[Operation]) {
        assert_eq!(fold(log.as_bytes()).expect("a log"), expected, "{log}");
    }

    #[test]
    fn an_operation_is_folded_from_its_two_lines() {
        check("", &[]);
        check(&format!("{BEGUN}\n{ENDED}\n"), &[ended()]);
        check(
            &format!("{BEGUN}\n{AGAIN}\n{ENDED}\n"),
            &[ended(), begun(6)],
        );
    }

    #[test]
    fn what_was_only_begun_is_unknown_and_a_torn_end_counts_as_none() {
        check(&format!("{BEGUN}\n"), &[begun(5)]);
        for cut in 1..=ENDED.len() {
            check(&format!("{BEGUN}\n{}", &ENDED[..cut]), &[begun(5)]);
        }
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        for (log, why) in [
            (format!("{ENDED}\n"), "line 1 of the operation log ends"),
            (
                format!("{BEGUN}\n{ENDED}\n{ENDED}\n"),
                "line 3 of the operation log ends",
            ),
            (
                format!("{BEGUN}\n{{}}\n{ENDED}\n"),
                "line 2 of the operation log is damaged",
            ),
        ] {
            let error = fold(log.as_bytes()).expect_err("no log");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}

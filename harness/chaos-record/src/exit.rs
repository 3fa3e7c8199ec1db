//! Exit codes: what each means, and which one wins when several apply.
//!
//! Invariant: codes and names never change; [`PRECEDENCE`] is the order of docs/exit-codes.md.

use crate::verdict::{Because, Exit};

/// One exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode {
    pub code: u8,
    pub name: &'static str,
    pub meaning: &'static str,
}

const fn code(code: u8, name: &'static str, meaning: &'static str) -> ExitCode {
    ExitCode {
        code,
        name,
        meaning,
    }
}

pub const HELD: ExitCode = code(
    0,
    "held",
    "every claim held, evidence complete, clean-up verified",
);
pub const NOT_HELD: ExitCode = code(1, "not-held", "a claim did not hold");
pub const BAD_INPUT: ExitCode = code(
    2,
    "bad-input",
    "bad input: usage or scenario; nothing was touched",
);
pub const INCONCLUSIVE: ExitCode = code(3, "inconclusive", "the evidence does not decide");
pub const ABORTED: ExitCode = code(4, "aborted", "aborted by a safety limit");
pub const ENVIRONMENT: ExitCode = code(
    5,
    "environment",
    "something around it failed: port, privilege, disk, deploy, or the guardian was lost",
);
pub const NOT_CLEAN: ExitCode = code(
    6,
    "not-clean",
    "clean-up not verified: something may be left behind",
);
pub const SLOWER: ExitCode = code(7, "slower", "slower than the baseline it was compared with");
pub const INTEGRITY: ExitCode = code(
    8,
    "integrity",
    "integrity violated: an acknowledged operation lost, doubled or invented",
);
pub const BUG: ExitCode = code(70, "bug", "a bug in chaos");
pub const INTERRUPTED: ExitCode = code(
    130,
    "interrupted",
    "stopped by the user (Ctrl-C or `chaos halt`)",
);
pub const TERMINATED: ExitCode = code(143, "terminated", "stopped by the user (SIGTERM)");

/// The first of these that applies is the exit code.
pub const PRECEDENCE: [ExitCode; 12] = [
    NOT_CLEAN,
    INTEGRITY,
    BUG,
    ENVIRONMENT,
    ABORTED,
    INTERRUPTED,
    TERMINATED,
    NOT_HELD,
    INCONCLUSIVE,
    SLOWER,
    HELD,
    BAD_INPUT,
];

/// The exit code with this number.
pub fn by_code(number: u8) -> Option<ExitCode> {
    PRECEDENCE.into_iter().find(|code| code.code == number)
}

/// Picks the code that wins among `reasons`; without a reason the run held.
pub fn decide(mut reasons: Vec<(ExitCode, String)>) -> Exit {
    let rank = |code: ExitCode| {
        PRECEDENCE
            .iter()
            .position(|other| *other == code)
            .unwrap_or(PRECEDENCE.len())
    };
    reasons.sort_by_key(|(code, _)| rank(*code));
    let winner = reasons.first().map_or(HELD, |(code, _)| *code);
    let because = reasons
        .into_iter()
        .map(|(code, why)| Because {
            code: code.code,
            why,
        })
        .collect();
    Exit {
        code: winner.code,
        name: winner.name.to_owned(),
        because,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn winner(codes: &[ExitCode]) -> u8 {
        decide(
            codes
                .iter()
                .map(|code| (*code, code.name.to_owned()))
                .collect(),
        )
        .code
    }

    #[test]
    fn the_graver_code_wins_in_any_order() {
        assert_eq!(winner(&[]), 0);
        for (i, graver) in PRECEDENCE.iter().enumerate() {
            for lesser in &PRECEDENCE[i..] {
                assert_eq!(
                    winner(&[*lesser, *graver]),
                    graver.code,
                    "{} and {}",
                    graver.name,
                    lesser.name
                );
            }
        }
    }
}

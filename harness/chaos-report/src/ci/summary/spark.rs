//! The course of the p95 as one line of block characters.
//!
//! Invariant: a column shows the worst bucket of its stretch of time, never a mean; a stretch without
//! answers has a sign of its own and is never drawn low.

use crate::timeline::{Response, Timeline};
use crate::view::Story;
use crate::words;

/// Most columns.
const COLUMNS: usize = 60;
/// One eighth to eight eighths of a block (U+2581 to U+2588).
const BARS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];
const NO_ANSWER: char = '\u{d7}';
const NOTHING_ASKED: char = '\u{b7}';

/// The sparkline with its scale in words.
pub(super) fn p95(story: &Story<'_>, timeline: &Timeline) -> String {
    let each = timeline.buckets.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<Response> = timeline
        .buckets
        .chunks(each)
        .map(|buckets| worst(buckets.iter().map(|bucket| bucket.p95)))
        .collect();
    let tallest = columns.iter().filter_map(answered).max();
    let Some(tallest) = tallest else {
        return "### p95 over time\n\nNo request was answered.".to_owned();
    };
    let line: String = columns.iter().map(|column| bar(*column, tallest)).collect();
    let width = u64::try_from(each).unwrap_or(1) * timeline.width;
    let limit = story
        .plan()
        .limits()
        .first()
        .map_or_else(String::new, |limit| {
            let ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            format!("; tightest limit {}", words::duration(ns))
        });
    format!(
        "### p95 over time\n\n`{line}`\n\nTallest {}{limit}. Each column is the worst of {width} s; {NO_ANSWER} not answered, {NOTHING_ASKED} nothing asked.",
        words::duration(tallest)
    )
}

fn answered(response: &Response) -> Option<u64> {
    match response {
        Response::Answered(ns) => Some(*ns),
        Response::Nothing | Response::Unanswered => None,
    }
}

fn worst(responses: impl Iterator<Item = Response>) -> Response {
    let rank = |response: &Response| match response {
        Response::Nothing => (0, 0),
        Response::Answered(ns) => (1, *ns),
        Response::Unanswered => (2, 0),
    };
    responses.max_by_key(rank).unwrap_or(Response::Nothing)
}

fn bar(response: Response, tallest: u64) -> char {
    match response {
        Response::Nothing => NOTHING_ASKED,
        Response::Unanswered => NO_ANSWER,
        Response::Answered(ns) => {
            let eighths = (u128::from(ns) * 8).div_ceil(u128::from(tallest.max(1)));
            BARS[usize::try_from(eighths).unwrap_or(8).clamp(1, 8) - 1]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_tall_as_its_worst_and_no_answer_is_not_low() {
        let check = |response, expected| assert_eq!(bar(response, 800), expected);
        check(Response::Answered(800), '\u{2588}');
        check(Response::Answered(1), '\u{2581}');
        check(Response::Answered(101), '\u{2582}');
        check(Response::Unanswered, NO_ANSWER);
        check(Response::Nothing, NOTHING_ASKED);
        let three = [
            Response::Answered(900),
            Response::Unanswered,
            Response::Nothing,
        ];
        assert_eq!(worst(three.into_iter()), Response::Unanswered);
    }
}

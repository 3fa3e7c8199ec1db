//! "did you mean": the known name closest to a mistyped one.

/// Names compared; more than a user could mean.
const MAX_COMPARED: usize = 100;
/// Longest name worth comparing, in bytes.
const MAX_LENGTH: usize = 64;
/// Names printed in a list of choices.
const MAX_LISTED: usize = 12;

/// The known name at most a third of its letters away, the nearest first.
///
/// Distance is Damerau-Levenshtein (a swap of neighbours counts once); Jaro-Winkler, which
/// favours a common beginning, decides between equals.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let lower = word.to_lowercase();
    let near = known
        .into_iter()
        .take(MAX_COMPARED)
        .filter(|name| name.len() <= MAX_LENGTH)
        .filter_map(|name| {
            let other = name.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let longest = lower.chars().count().max(other.chars().count());
            (distance <= (longest / 3).max(usize::from(longest > 1))).then_some((
                distance,
                strsim::jaro_winkler(&lower, &other),
                name,
            ))
        });
    near.min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(_, _, name)| name)
}

/// `a`, `b` and `c`, cut short when there are many.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(quote).collect();
    if names.len() > MAX_LISTED {
        return format!(
            "{} and {} more",
            names[..MAX_LISTED].join(", "),
            names.len() - MAX_LISTED
        );
    }
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "none".to_owned(),
    }
}

/// The user's text in backticks, cut short.
pub(crate) fn quote(text: &str) -> String {
    const MAX: usize = 60;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: [&str; 14] = [
        "journeys",
        "arrivals",
        "timeout",
        "patience",
        "stages",
        "latency",
        "errors",
        "availability",
        "recovery",
        "during",
        "except",
        "within",
        "steady_for",
        "hypothesis",
    ];

    fn check(word: &str, expected: Option<&str>) {
        let known = [
            "rate", "shape", "name", "for", "front", "kill", "pause", "browse", "checkout", "get",
            "put", "post",
        ];
        assert_eq!(closest(word, known), expected, "{word}");
    }

    #[test]
    fn typos_find_the_name_that_was_meant() {
        check("rat", Some("rate"));
        check("fro", Some("for"));
        check("frnot", Some("front"));
        check("Kill", Some("kill"));
        check("chekout", Some("checkout"));
        check("gett", Some("get"));
        check("nmae", Some("name"));
    }

    #[test]
    fn other_words_find_nothing() {
        check("duration", None);
        check("x", None);
        check(&"front".repeat(100), None);
    }

    proptest! {
        #[test]
        fn one_letter_wrong_finds_the_right_name(key in 0..KEYS.len(), at in 0..6_usize, letter in "[a-z]", kind in 0..3) {
            let mut letters: Vec<char> = KEYS[key].chars().collect();
            let at = at.min(letters.len() - 1);
            let letter = letter.chars().next().expect("one letter");
            match kind {
                0 => letters[at] = letter,
                1 => letters.insert(at, letter),
                _ => { letters.remove(at); }
            }
            let word: String = letters.into_iter().collect();
            prop_assert_eq!(closest(&word, KEYS), Some(KEYS[key]));
        }
    }
}

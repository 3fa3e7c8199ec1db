//! Makes foreign text inert: what a scenario, an instance or a server says may not act on its reader.
//!
//! Escaping is each exporter's own duty; this room takes out what no escaping covers: control
//! characters (terminal sequences), characters that reorder or hide text, and excess length.
//! Invariant: the result of [`clean`] is one line of at most [`CAP`] characters (and `...`) that any terminal,
//! browser or parser shows as it stands.

/// Most characters of one foreign text.
pub const CAP: usize = 300;
/// Most characters of a text of ours that quotes foreign ones, such as the sentence of a verdict.
const COMPOSED_CAP: usize = 1_000;
/// Most lines of a text that keeps its lines.
const LINES: usize = 400;
/// Most characters of all of its lines.
const TEXT_CAP: usize = 40_000;

/// One line without control, reordering or invisible characters, cut off after [`CAP`] characters.
pub fn clean(text: &str) -> String {
    clean_to(CAP, text)
}

/// The same for a text of ours that quotes foreign ones: it may be longer.
pub fn clean_composed(text: &str) -> String {
    clean_to(COMPOSED_CAP, text)
}

pub(crate) fn clean_to(cap: usize, text: &str) -> String {
    let mut inert = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !acts(*c));
    let mut line: String = inert.by_ref().take(cap).collect();
    if inert.next().is_some() {
        line.push_str("...");
    }
    line
}

/// The same for every item.
pub fn clean_all(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| clean(text)).collect()
}

/// Keeps the lines of a text, cleans each, takes out secrets, and cuts off after 400 lines or 40,000 characters.
pub fn clean_lines(text: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .take(LINES)
        .map(|line| redact(&clean(line)))
        .collect();
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        lines.push(format!("... {more} more lines"));
    }
    let text = lines.join("\n");
    match text.char_indices().nth(TEXT_CAP) {
        Some((cut, _)) => format!("{}\n... and more", &text[..cut]),
        None => text,
    }
}

/// Whether a character can steer a terminal, reorder what follows, or stand there unseen.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Words that announce a secret, in lower case.
const SECRETS: [&str; 7] = [
    "authorization",
    "cookie",
    "token",
    "password",
    "passwd",
    "secret",
    "api-key",
];

/// Replaces the value after a key that names a secret, and user and password of a URL, with `[redacted]`.
pub fn redact(line: &str) -> String {
    redact_values(&redact_userinfo(line))
}

fn redact_userinfo(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(scheme) = rest.find("://") {
        let (before, after) = rest.split_at(scheme + 3);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .unwrap_or(after.len());
        kept.push_str(before);
        rest = match after[..end].rfind('@') {
            Some(at) => {
                kept.push_str("[redacted]");
                &after[at..]
            }
            None => after,
        };
    }
    kept.push_str(rest);
    kept
}

fn redact_values(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((start, end)) = secret_value(rest) {
        kept.push_str(&rest[..start]);
        kept.push_str("[redacted]");
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// Where the first value of a secret lies in `text`, if it is one: not empty, not a nested map, not a JSON pointer.
fn secret_value(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<usize> = SECRETS
        .iter()
        .flat_map(|word| lower.match_indices(word).map(|(at, word)| at + word.len()))
        .collect();
    found.sort_unstable();
    found.into_iter().find_map(|key_end| {
        let value = value_start(text, key_end)?;
        let end = value_end(&text[value..]) + value;
        let harmless = end == value
            || text[value..end].starts_with(['{', '/'])
            || text[value..].starts_with("[redacted]");
        (!harmless).then_some((value, end))
    })
}

/// The start of the value after a key that ends at `key_end` (letters, quotes, then `:` or `=`).
fn value_start(text: &str, key_end: usize) -> Option<usize> {
    let rest = &text[key_end..];
    let sign = rest.find(|c: char| {
        !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'' | ' '))
    })?;
    let after = rest[sign..].strip_prefix([':', '='])?;
    Some(text.len() - after.trim_start_matches(' ').len())
}

fn value_end(value: &str) -> usize {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |end| end + 2),
        _ => value.find([',', '}', '&']).unwrap_or(value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_reader_is_taken_out() {
        let check = |text: &str, expected: &str| assert_eq!(clean(text), expected, "{text:?}");
        check("api-2", "api-2");
        check("\u{1b}[31mred\u{7}", "[31mred");
        check("a\u{202e}b\u{2066}c\u{200f}", "abc");
        check("one\r\ntwo\tthree", "one  two three");
        check("a\0b\u{9b}31mc\u{feff}", "ab31mc");
        check("caf\u{e9} \u{4e2d}", "caf\u{e9} \u{4e2d}");
        assert_eq!(clean(&"x".repeat(1_000)).chars().count(), CAP + 3);
    }

    #[test]
    fn secrets_do_not_reach_a_report() {
        let check = |line: &str, expected: &str| assert_eq!(redact(line), expected, "{line}");
        check(
            "headers: { Authorization: \"Bearer abc\", accept: a }",
            "headers: { Authorization: [redacted], accept: a }",
        );
        check("password: hunter2", "password: [redacted]");
        check(
            "extract: { token: { json: /token } }",
            "extract: { token: { json: /token } }",
        );
        check("url: http://me:pw@host/x", "url: http://[redacted]@host/x");
        check("--set api-key=1 cookie=2", "--set api-key=[redacted]");
        check("rate: 20/s", "rate: 20/s");
        check("token:", "token:");
    }
}

//! Foreign text in Markdown that a forge renders.
//!
//! Invariant: [`inline`] gives text alone: no markup, no HTML, no link, no mention of a person or an
//! issue, and neither a line end nor the end of a table cell.

/// Most bytes of one inline text, escaped; a few more end a sign that is being escaped.
const INLINE_MAX: usize = 1_200;
/// Most characters of one line of a code block, and most bytes of all.
const CODE_WIDTH: usize = 300;
const CODE_MAX: usize = 6_000;

/// What Markdown reads (`CommonMark` 0.31, section 2.4; tables and strikethrough of GFM; formulas, superscript
/// and marked changes of the forges).
const MARKUP: &str = "\\`*_[]{}|~$^";
/// Forges make a reference of these before a letter or digit: people, issues, requests, labels.
const REFERENCE: &str = "@#!%~$&^:";
/// A space of no width, as an entity: it parts a sign from what would follow it.
const APART: &str = "&#8203;";

/// One line of plain text, wherever it stands in a line of ours.
pub(super) fn inline(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    let mut tail = String::new();
    while let Some(c) = chars.next() {
        if escaped.len() > INLINE_MAX {
            escaped.push_str("...");
            break;
        }
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' => escaped.push(' '),
            c if MARKUP.contains(c) => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
        tail.push(c.to_ascii_lowercase());
        let next = chars.peek().copied().unwrap_or(' ');
        let refers = REFERENCE.contains(c) && (next.is_alphanumeric() || matches!(next, '"' | '/'));
        if refers || (tail.ends_with("www") && next == '.') {
            escaped.push_str(APART);
        }
    }
    escaped
}

/// Lines as a block of code that none of them can end.
pub(super) fn code_block(lines: &[String]) -> String {
    let one = |line: &String| -> String {
        let line = line.replace(['\n', '\r'], " ");
        line.chars().take(CODE_WIDTH).collect()
    };
    let mut text = String::new();
    for line in lines.iter().map(one) {
        if text.len() + line.len() > CODE_MAX {
            break;
        }
        text.extend([if text.is_empty() { "" } else { "\n" }, &line]);
    }
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_is_markup() {
        let check = |text: &str, expected: &str| assert_eq!(inline(text), expected, "{text}");
        check("p95 <= 200ms (spike)", "p95 &lt;= 200ms (spike)");
        check("0.34 % bad, 12 of 99", "0.34 % bad, 12 of 99");
        check("a|b", "a\\|b");
        check("`x` *y* [z](u)", "\\`x\\` \\*y\\* \\[z\\](u)");
        check("@me #1", "@&#8203;me #&#8203;1");
        check("https://x www.y", "https:&#8203;//x www&#8203;.y");
        check("<b>&amp;", "&lt;b&gt;&amp;&#8203;amp;");
        assert!(inline(&"@x".repeat(9_999)).len() < INLINE_MAX + 20);
    }

    #[test]
    fn a_code_block_ends_where_it_ends() {
        let block = code_block(&["a ``` b".to_owned(), "````".to_owned()]);
        assert_eq!(block, "`````text\na ``` b\n````\n`````");
    }
}

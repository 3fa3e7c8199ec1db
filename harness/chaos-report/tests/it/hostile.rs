//! Foreign texts that try to be more than text.

use chaos_report::clean::clean;
use chaos_report::html::report_html;
use chaos_report::plan_text::plan_text;
use chaos_report::text::{EventLines, closing_block};

use crate::dom::read;
use crate::story::{benign, run};

/// Ends of names, messages, proofs and logs that mean harm somewhere.
pub(crate) const TEXTS: [&str; 30] = [
    "<script>alert(1)</script>",
    "</script><script src=//x>",
    "</title><svg onload=alert(1)>",
    "</style><style>*{display:none}",
    "</svg><img src=x onerror=alert(1)>",
    "</desc></svg><p>",
    "\"><a href=javascript:alert(1)>",
    "' onmouseover='alert(1)",
    "\" style=\"position:fixed",
    "<!-- ",
    "-->",
    "]]>",
    "<![CDATA[",
    "<?xml version=\"1.0\"?>",
    "&lt;b&gt; &amp; &#60;b&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "{% include 'report.css' %}",
    "${jndi:ldap://x}",
    "`rm -rf`; $(id) | cat",
    "::error file=x,line=1::owned",
    "%0A::add-mask::x",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m\u{8}\u{8}\r",
    "\nname: other\n- 1\n...\n---\n",
    "\u{202e}txet\u{2066}\u{2069}\u{200f}",
    "\u{feff}\u{200b}\u{2028}\u{2029}\u{85}",
    "\0\u{1}\u{fffe}\u{ffff}\u{7f}",
    "url(javascript:alert(1))#&<>",
    "<template><noscript><plaintext><textarea><xmp>",
    "\u{1f4a5}\u{e0041}\u{fe0f}\u{301}\u{301}\u{301}",
];

/// Elements that change how a parser reads what follows.
const ELEMENTS: [&str; 34] = [
    "script",
    "style",
    "iframe",
    "object",
    "embed",
    "base",
    "meta",
    "link",
    "form",
    "math",
    "template",
    "textarea",
    "title",
    "noscript",
    "plaintext",
    "xmp",
    "frameset",
    "body",
    "html",
    "head",
    "table",
    "td",
    "select",
    "option",
    "button",
    "input",
    "marquee",
    "video",
    "details",
    "dialog",
    "img",
    "a",
    "p",
    "svg",
];
/// Ways out of where a text stands.
const WAYS_OUT: [&str; 12] = [
    "</td></tr></table>",
    "</code></pre>",
    "</text></g></svg>",
    "</dd></div></dl>",
    "</details></section></main>",
    "</title></head>",
    "\"/>",
    "'/>",
    "&quot;&gt;",
    "\\x3c\\u003c",
    "%3Cscript%3E",
    "\u{fffd}\u{fffd}<",
];

/// A hundred texts that mean harm.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    for element in ELEMENTS {
        texts.push(format!("</{element}><{element} onload=alert(1) src=//x>"));
    }
    for way in WAYS_OUT {
        texts.push(format!("{way}<script>alert(1)</script>"));
        texts.push(format!("{way}<img src=x onerror=alert(1)>"));
        texts.push(format!("{way}\u{1b}]8;;http://x\u{7}<!--"));
    }
    texts
}

/// Long enough for every hostile text: one benign run then does for all.
const LENGTH: usize = 80;

/// Filled up to one length as it is after cleaning.
fn filled(text: &str) -> String {
    let missing = LENGTH - clean(text).chars().count();
    format!("{text}{}", "x".repeat(missing))
}

/// Every `step`th hostile text from `first` gives a page of the same elements and attributes.
fn check_structure(first: usize, step: usize) {
    let page = |suffix: &str| report_html(&run(suffix).story()).expect("a report");
    let (expected, _) = read(&page(&filled("")));
    for suffix in hostile().iter().skip(first).step_by(step) {
        let page = page(&filled(suffix));
        let (found, text) = read(&page);
        let differs = found
            .iter()
            .zip(&expected)
            .find(|(found, expected)| found != expected);
        assert!(
            differs.is_none() && found.len() == expected.len(),
            "{suffix:?}: {differs:?}"
        );
        let acts = |c: char| {
            (c.is_control() && c != '\n')
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
        };
        assert!(!page.contains(acts), "{suffix:?}");
        assert!(
            text.contains(&clean(&format!("kill-api{suffix}"))),
            "{suffix:?} is not told"
        );
    }
}

#[test]
fn there_are_a_hundred_hostile_texts() {
    let mut texts = hostile();
    texts.sort();
    texts.dedup();
    assert!(texts.len() >= 100, "{}", texts.len());
}

#[test]
fn no_text_changes_the_elements_of_the_page() {
    check_structure(0, 2);
}

#[test]
fn no_other_text_changes_the_elements_of_the_page() {
    check_structure(1, 2);
}

#[test]
fn a_text_of_any_length_is_cut() {
    let page = report_html(&run(&"x<".repeat(100_000)).story()).expect("a report");
    assert!(page.len() < 500_000, "{}", page.len());
}

#[test]
fn no_text_steers_a_terminal() {
    let benign = benign();
    for suffix in TEXTS {
        let run = run(suffix);
        let mut text = closing_block(&run.story(), false, "report.html");
        let lines: Vec<String> = run
            .events
            .iter()
            .scan(EventLines::new(true), |lines, event| {
                Some(lines.line(event, &run.header.plan))
            })
            .flatten()
            .collect();
        text.push_str(&lines.join("\n"));
        text.push_str(&plan_text(&run.header.plan, &[]));
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{suffix:?}\n{text}"
        );
        let count = benign
            .events
            .iter()
            .scan(EventLines::new(true), |lines, event| {
                Some(lines.line(event, &benign.header.plan))
            })
            .flatten()
            .count();
        assert_eq!(lines.len(), count, "{suffix:?}");
        assert!(
            text.lines().all(|line| !line.starts_with("::")),
            "{suffix:?}\n{text}"
        );
    }
}

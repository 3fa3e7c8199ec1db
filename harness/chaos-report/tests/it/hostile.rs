//! Foreign texts that try to be more than text.

use std::collections::BTreeMap;

use chaos_report::clean::clean;
use chaos_report::html::report_html;
use chaos_report::plan_text::plan_text;
use chaos_report::text::{EventLines, closing_block};

use crate::html::tags;
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

#[test]
fn no_text_changes_the_structure_of_the_page() {
    let mut benign: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for suffix in TEXTS {
        let page = report_html(&run(suffix).story()).expect("a report");
        // A name is drawn into a chart only where it fits, so the benign one is as long.
        let expected = benign
            .entry(clean(suffix).chars().count())
            .or_insert_with_key(|length| {
                tags(&report_html(&run(&"x".repeat(*length)).story()).expect("a report"))
            });
        let found = tags(&page);
        let differs = found
            .iter()
            .zip(&*expected)
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
    }
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

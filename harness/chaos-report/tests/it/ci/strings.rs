//! Texts that mean harm to a log, a document or a forge; with those for pages and terminals a hundred and more.

/// All of them.
pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    crate::hostile::TEXTS.iter().chain(&MORE).copied()
}

#[test]
fn there_are_a_hundred_and_no_two_are_alike() {
    let mut all: Vec<&str> = texts().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert!(
        all.len() >= 100 && all.len() == count,
        "{} of {count}",
        all.len()
    );
}

/// Beside [`crate::hostile::TEXTS`].
const MORE: [&str; 74] = [
    // Workflow commands of runners.
    "\n::error::owned",
    "\r::warning file=x::owned",
    "\r\n::add-mask::a",
    "\u{2028}::set-output name=x::y",
    "\u{85}::stop-commands::x",
    "::debug::x\n::error::y",
    "\n  ::group::x",
    "\u{1b}[0m\n\u{1b}[0m::error::x",
    "##[error]owned",
    "\n##[group]x",
    "\n##vso[task.setvariable variable=x]y",
    "\n##teamcity[testFailed name='x']",
    "\nsection_start:1:x\r\u{1b}[0K",
    "%0A::error::x%0D",
    "%25%0A%250A",
    ",line=1,title=x::y",
    ":line=2::z",
    "::error::a::b::c",
    "=,=,=",
    // XML.
    "]]]]><![CDATA[>",
    "<!DOCTYPE x [<!ENTITY a \"b\">]>",
    "&a;&#0;&#xFFFE;&#x1b;",
    "<?pi x?>",
    "<testcase name=\"x\"><failure/></testcase>",
    "</system-out></testcase></testsuite></testsuites>",
    "\" failures=\"0\" errors=\"0",
    " skipped=\"0\"",
    "' time='9",
    "\u{fffd}\u{fffe}\u{ffff}\u{fdd0}",
    "\u{c}\u{b}\u{1c}\u{1d}\u{1e}\u{1f}",
    "xmlns:x=\"y\" x:z",
    "<x:y xmlns:x='z'/>",
    "&",
    "<",
    ">",
    "\"",
    "'",
    // Markdown.
    "| a | b |",
    "\\| x",
    "\\",
    "\\\\|",
    "```\n# x\n```",
    "``` ```` `````",
    "~~~",
    "`",
    "``",
    "# heading",
    "\n# heading\n",
    "\n\n---\n\n",
    "\n===\n",
    "\n> quote",
    "\n- item\n- item",
    "\n1. item",
    "\n    code",
    "\n\n<details open>",
    "</details></summary>",
    "[x](javascript:alert(1))",
    "![x](http://x/y.png)",
    "[x]: http://y\n[x]",
    "<http://x>",
    "<a@b.c>",
    "**b** __b__ *i* _i_ ~~s~~",
    "$x^2$ $$y$$",
    "[^1]\n\n[^1]: note",
    "@octocat @org/team",
    "#1 org/repo#2 GH-3",
    "!1 ~label %milestone &2 $3",
    "\n/close\n/merge",
    ":tada: :+1:",
    "<!-- x --> y",
    "- [ ] task",
    "a\u{a0}b\u{3000}c",
    "x\ny\n:::note",
    "\n{.class #id}",
];

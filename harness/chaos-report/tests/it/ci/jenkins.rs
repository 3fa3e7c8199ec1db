//! The schema of Jenkins' xUnit plugin (`junit-10.xsd`, MIT), applied to a document.
//!
//! Reads what that schema uses and no more: elements with attributes, `sequence` and `choice` of
//! references, mixed content, simple strings and the pattern of its one simple type.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

const SCHEMA: &str = include_str!("junit-10.xsd");

struct Element {
    /// Name and whether it must be there.
    attributes: BTreeMap<String, Attribute>,
    /// Children that may stand in it, with the most of each.
    children: BTreeMap<String, Option<usize>>,
    text: bool,
}

struct Attribute {
    required: bool,
    time: bool,
}

/// Everything about `xml` the schema does not allow.
pub(super) fn complaints(xml: &str) -> Vec<String> {
    let schema = Document::parse(SCHEMA).expect("the schema is XML");
    let elements: BTreeMap<String, Element> = schema
        .root_element()
        .children()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2001/XMLSchema", "element")))
        .map(|node| (name(node), element(node)))
        .collect();
    assert!(elements.len() >= 13, "the whole schema was read");
    let document = Document::parse(xml).expect("the document is XML");
    let mut complaints = Vec::new();
    check(&elements, document.root_element(), &mut complaints);
    complaints
}

fn name(node: Node<'_, '_>) -> String {
    node.attribute("name")
        .or(node.attribute("ref"))
        .expect("it has a name")
        .to_owned()
}

fn element(node: Node<'_, '_>) -> Element {
    let inside = |tag: &'static str| {
        node.descendants()
            .filter(move |child| child.tag_name().name() == tag)
    };
    let attributes = inside("attribute").map(|it| {
        let attribute = Attribute {
            required: it.attribute("use") == Some("required"),
            time: it.attribute("type") == Some("SUREFIRE_TIME"),
        };
        (name(it), attribute)
    });
    let unbounded = |it: Node<'_, '_>| {
        it.ancestors()
            .any(|up| up.attribute("maxOccurs") == Some("unbounded"))
    };
    let children = inside("element")
        .filter(|it| it.attribute("ref").is_some())
        .map(|it| (name(it), (!unbounded(it)).then_some(1)));
    Element {
        attributes: attributes.collect(),
        children: children.collect(),
        text: node.attribute("type").is_some()
            || inside("complexType").any(|it| it.attribute("mixed") == Some("true")),
    }
}

fn check(elements: &BTreeMap<String, Element>, node: Node<'_, '_>, complaints: &mut Vec<String>) {
    let tag = node.tag_name().name();
    let Some(element) = elements.get(tag) else {
        complaints.push(format!("<{tag}> is not declared"));
        return;
    };
    for attribute in node.attributes() {
        match element.attributes.get(attribute.name()) {
            None => complaints.push(format!("<{tag}> has no attribute `{}`", attribute.name())),
            Some(known) if known.time && !is_time(attribute.value()) => {
                complaints.push(format!("`{}` is not a time", attribute.value()));
            }
            Some(_) => {}
        }
    }
    for (name, _) in element
        .attributes
        .iter()
        .filter(|(_, attribute)| attribute.required)
    {
        if node.attribute(&**name).is_none() {
            complaints.push(format!("<{tag}> lacks `{name}`"));
        }
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for child in node.children() {
        if child.is_element() {
            let name = child.tag_name().name();
            let count = seen.entry(name).or_default();
            *count += 1;
            match element.children.get(name) {
                None => complaints.push(format!("<{name}> may not stand in <{tag}>")),
                Some(Some(most)) if *count > *most => complaints.push(format!("too many <{name}>")),
                Some(_) => check(elements, child, complaints),
            }
        } else if child.text().is_some_and(|text| !text.trim().is_empty()) && !element.text {
            complaints.push(format!("<{tag}> holds text"));
        }
    }
}

/// `(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,3})?`, for the numbers without commas that we write.
fn is_time(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    digits(whole) && digits(part) && part.len() <= 3
}

#[test]
fn the_check_finds_what_the_schema_forbids() {
    let check = |xml: &str, expected: &[&str]| assert_eq!(complaints(xml), expected, "{xml}");
    let suite = |inside: &str| {
        format!(
            r#"<testsuites><testsuite name="s" tests="1" failures="0" errors="0">{inside}</testsuite></testsuites>"#
        )
    };
    check(&suite(r#"<testcase name="a" classname="b"/>"#), &[]);
    check(
        &suite(r#"<testcase name="a" file="x"/>"#),
        &["<testcase> has no attribute `file`"],
    );
    check(&suite("<testcase/>"), &["<testcase> lacks `name`"]);
    check(&suite("text"), &["<testsuite> holds text"]);
    check(
        &suite("<failure/>"),
        &["<failure> may not stand in <testsuite>"],
    );
    check(
        &suite(r#"<testcase name="a"><failure type="t">why</failure></testcase>"#),
        &[],
    );
    check(
        r#"<testsuites skipped="0" time="1.0000"/>"#,
        &[
            "<testsuites> has no attribute `skipped`",
            "`1.0000` is not a time",
        ],
    );
}

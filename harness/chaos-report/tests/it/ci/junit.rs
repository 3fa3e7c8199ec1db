//! `junit.xml` against the schema of Jenkins and two XML parsers, and what it says of each ending.

use chaos_report::ci::junit_xml;
use quick_xml::Reader;
use quick_xml::events::Event;
use roxmltree::{Document, Node};

use super::endings;
use super::jenkins::complaints;
use super::strings::texts;
use crate::story::{benign, run};

/// Elements and attribute names in order: what a reader of the document sees but for texts.
fn shape(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).expect("XML");
    document
        .descendants()
        .filter(Node::is_element)
        .map(|node| {
            let names: Vec<&str> = node
                .attributes()
                .map(|attribute| attribute.name())
                .collect();
            format!("{} {}", node.tag_name().name(), names.join(" "))
        })
        .collect()
}

/// The same by an independent parser.
fn shape_by_events(xml: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut shape = Vec::new();
    loop {
        match reader.read_event().expect("XML") {
            Event::Start(tag) | Event::Empty(tag) => {
                let names: Vec<String> = tag
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.expect("an attribute");
                        attribute
                            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                            .expect("an escaped value");
                        String::from_utf8(attribute.key.as_ref().to_vec()).expect("UTF-8")
                    })
                    .collect();
                let tag = String::from_utf8(tag.name().as_ref().to_vec()).expect("UTF-8");
                shape.push(format!("{tag} {}", names.join(" ")));
            }
            Event::Eof => return shape,
            _ => {}
        }
    }
}

#[test]
fn every_ending_is_what_the_schema_allows() {
    for (ending, run) in endings("") {
        let xml = junit_xml(&run.story());
        assert_eq!(complaints(&xml), [""; 0], "{ending}\n{xml}");
        assert_eq!(shape(&xml), shape_by_events(&xml), "{ending}");
    }
    // For other validators.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("junit");
    std::fs::create_dir_all(&folder).expect("a folder for tests");
    for (number, (_, run)) in endings("<&>\u{1b}]]>").iter().enumerate() {
        let path = folder.join(format!("{number}.xml"));
        std::fs::write(path, junit_xml(&run.story())).expect("the folder for tests takes a file");
    }
}

#[test]
fn a_case_fails_if_and_only_if_the_exit_code_is_not_zero() {
    for (ending, run) in endings("") {
        let xml = junit_xml(&run.story());
        let bad = xml.contains("<failure") || xml.contains("<error");
        assert_eq!(bad, run.verdict.exit.code != 0, "{ending}\n{xml}");
        let document = Document::parse(&xml).expect("XML");
        let count = |tag: &str| {
            document
                .descendants()
                .filter(|node| node.has_tag_name(tag))
                .count()
                .to_string()
        };
        let suite = document
            .root_element()
            .first_element_child()
            .expect("a suite");
        for (attribute, tag) in [
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ] {
            assert_eq!(
                suite.attribute(attribute),
                Some(&*count(tag)),
                "{ending} {attribute}"
            );
        }
    }
}

#[test]
fn no_two_cases_bear_one_name_and_no_name_holds_a_number_measured() {
    let names = |xml: &str| -> Vec<String> {
        let document = Document::parse(xml).expect("XML");
        let cases = document
            .descendants()
            .filter(|node| node.has_tag_name("testcase"));
        cases
            .map(|case| {
                format!(
                    "{:?} {:?}",
                    case.attribute("classname"),
                    case.attribute("name")
                )
            })
            .collect()
    };
    let first = names(&junit_xml(&benign().story()));
    let mut unique = first.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), first.len());
    for (ending, run) in endings("").iter().filter(|(ending, _)| *ending != "empty") {
        assert_eq!(names(&junit_xml(&run.story())), first, "{ending}");
    }
}

#[test]
fn hostile_texts_are_texts() {
    let expected = shape(&junit_xml(&benign().story()));
    for text in texts() {
        let xml = junit_xml(&run(text).story());
        assert_eq!(shape(&xml), expected, "{text:?}");
        assert_eq!(shape_by_events(&xml), expected, "{text:?}");
        assert_eq!(complaints(&xml), [""; 0], "{text:?}");
        let bad = xml
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(bad, None, "{text:?}");
    }
}

#[test]
fn long_texts_are_cut() {
    let mut run = run(&"<\u{e9}".repeat(50_000));
    let finding = run.verdict.claims[0].findings[0].clone();
    run.verdict.claims[0].findings = vec![finding; 200];
    let xml = junit_xml(&run.story());
    let document = Document::parse(&xml).expect("XML");
    for node in document.descendants() {
        assert!(node.text().is_none_or(|text| text.len() <= 2_000));
        assert!(
            node.attributes()
                .all(|attribute| attribute.value().len() <= 500)
        );
    }
}

#[test]
fn the_whole_document_is_stable() {
    insta::assert_snapshot!("junit", junit_xml(&benign().story()));
}

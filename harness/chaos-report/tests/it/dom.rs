//! A page as a browser reads it: parsed by the HTML standard, texts left out.

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// Every element with its depth and its attributes, in order, and all text a reader sees. Comments
/// and processing instructions are elements of their own here, so that none can hide.
pub(crate) fn read(page: &str) -> (Vec<String>, String) {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    let (mut elements, mut text) = (Vec::new(), String::new());
    walk(&dom.document, 0, &mut elements);
    gather(&dom.document, &mut text);
    (elements, text)
}

fn walk(node: &Handle, depth: usize, elements: &mut Vec<String>) {
    match &node.data {
        NodeData::Element { name, attrs, .. } => {
            let mut attributes: Vec<String> = attrs
                .borrow()
                .iter()
                .map(|attribute| format!("{}={:?}", attribute.name.local, &*attribute.value))
                .collect();
            attributes.sort();
            elements.push(format!("{depth} {} {}", name.local, attributes.join(" ")));
        }
        NodeData::Comment { .. } => elements.push(format!("{depth} comment")),
        NodeData::ProcessingInstruction { .. } => elements.push(format!("{depth} instruction")),
        NodeData::Document | NodeData::Doctype { .. } | NodeData::Text { .. } => {}
    }
    for child in node.children.borrow().iter() {
        walk(child, depth + 1, elements);
    }
}

/// All text a reader sees.
pub(crate) fn text(page: &str) -> String {
    read(page).1
}

fn gather(node: &Handle, text: &mut String) {
    if let NodeData::Text { contents } = &node.data {
        text.push_str(&contents.borrow());
    }
    for child in node.children.borrow().iter() {
        gather(child, text);
    }
}

//! What JSON pointers (RFC 6901) lead to in a body, found in one pass without a tree of it.
//!
//! A journey looks at one or two places of an answer that may be large: everything else is read, since
//! a body that is no JSON has no places, but not kept.
//! Invariant: what is found is the text of what [`serde_json::Value::pointer`] would give, for every
//! body; of a name that stands twice in an object the last counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The texts that were found, by the number of their pointer.
pub(crate) type Found<'b> = Vec<Option<Cow<'b, str>>>;

/// The pointers of one step.
#[derive(Debug, Default)]
pub(crate) struct Pointers {
    texts: Vec<String>,
    root: Node,
}

/// One place, or one on the way to others.
#[derive(Debug, Default)]
struct Node {
    /// The pointer that ends here.
    number: Option<usize>,
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    name: String,
    /// The same in an array.
    index: Option<usize>,
    to: Node,
}

impl Pointers {
    /// The number of `pointer`, which may be there already. One that is none leads nowhere.
    pub(crate) fn number(&mut self, pointer: &str) -> usize {
        if let Some(number) = self.texts.iter().position(|text| text == pointer) {
            return number;
        }
        let number = self.texts.len();
        self.texts.push(pointer.to_owned());
        if pointer.is_empty() || pointer.starts_with('/') {
            let mut node = &mut self.root;
            for token in pointer.split('/').skip(1) {
                node = node.branch(token.replace("~1", "/").replace("~0", "~"));
            }
            node.number = Some(number);
        }
        number
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// What they lead to in `body`; JSON's `null` counts as not there, and in a body that is no JSON
    /// nothing is.
    pub(crate) fn find<'b>(&self, body: &'b [u8]) -> Found<'b> {
        let mut found = vec![None; self.texts.len()];
        let mut json = serde_json::Deserializer::from_slice(body);
        let at = Place {
            node: Some(&self.root),
            found: &mut found,
        };
        if at.deserialize(&mut json).and_then(|()| json.end()).is_err() {
            found.fill(None);
        }
        found
    }
}

impl Node {
    fn branch(&mut self, name: String) -> &mut Self {
        let place = self.branches.iter().position(|branch| branch.name == name);
        let place = place.unwrap_or_else(|| {
            self.branches.push(Branch {
                index: index(&name),
                name,
                to: Self::default(),
            });
            self.branches.len() - 1
        });
        &mut self.branches[place].to
    }

    fn named(&self, name: &str) -> Option<&Self> {
        let branch = self.branches.iter().find(|branch| branch.name == name)?;
        Some(&branch.to)
    }

    fn at(&self, index: usize) -> Option<&Self> {
        let is_here = |branch: &&Branch| branch.index == Some(index);
        Some(&self.branches.iter().find(is_here)?.to)
    }

    /// Nothing that was found here or below counts any more.
    fn forget(&self, found: &mut Found<'_>) {
        if let Some(number) = self.number {
            found[number] = None;
        }
        for branch in &self.branches {
            branch.to.forget(found);
        }
    }

    /// Takes what stands here and below from a tree.
    fn take(&self, value: &Value, found: &mut Found<'_>) {
        if let Some(number) = self.number {
            found[number] = text(value);
        }
        for branch in &self.branches {
            let below = match value {
                Value::Object(fields) => fields.get(&branch.name),
                Value::Array(items) => branch.index.and_then(|index| items.get(index)),
                _ => None,
            };
            if let Some(below) = below {
                branch.to.take(below, found);
            }
        }
    }
}

/// An index has neither sign nor leading zeros.
fn index(token: &str) -> Option<usize> {
    let is_plain = !token.starts_with('+') && (!token.starts_with('0') || token == "0");
    is_plain.then(|| token.parse().ok()).flatten()
}

fn text(value: &Value) -> Option<Cow<'static, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Owned(text.clone())),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// A value of the body that is read now; `node` is `None` if nobody asks for it or for what is in it.
struct Place<'p, 'f, 'b> {
    node: Option<&'p Node>,
    found: &'f mut Found<'b>,
}

impl<'b> Place<'_, '_, 'b> {
    fn put(self, text: impl FnOnce() -> Option<Cow<'b, str>>) {
        if let Some(number) = self.node.and_then(|node| node.number) {
            self.found[number] = text();
        }
    }

    fn put_value(self, value: impl Into<Value>) {
        self.put(|| text(&value.into()));
    }

    /// True if the whole value is asked for, not only something in it.
    fn is_whole(&self) -> bool {
        self.node.is_some_and(|node| node.number.is_some())
    }

    fn put_tree(self, value: &Value) {
        if let Some(node) = self.node {
            node.take(value, self.found);
        }
    }
}

impl<'b> DeserializeSeed<'b> for Place<'_, '_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Place<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put_value(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put_value(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put_value(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put_value(value);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(|| Some(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'b str) -> Result<(), E> {
        self.put(|| Some(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
        if self.is_whole() {
            let value = Value::deserialize(SeqAccessDeserializer::new(items))?;
            self.put_tree(&value);
            return Ok(());
        }
        for index in 0.. {
            let item = Place {
                node: self.node.and_then(|node| node.at(index)),
                found: self.found,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(self, mut fields: A) -> Result<(), A::Error> {
        if self.is_whole() {
            let value = Value::deserialize(MapAccessDeserializer::new(fields))?;
            self.put_tree(&value);
            return Ok(());
        }
        while let Some(node) = fields.next_key_seed(Name(self.node))? {
            if let Some(node) = node {
                node.forget(self.found);
            }
            let field = Place {
                node,
                found: self.found,
            };
            fields.next_value_seed(field)?;
        }
        Ok(())
    }
}

/// The name of a field, which may lead on from here.
struct Name<'p>(Option<&'p Node>);

impl<'b, 'p> DeserializeSeed<'b> for Name<'p> {
    type Value = Option<&'p Node>;

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Name<'p> {
    type Value = Option<&'p Node>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.and_then(|node| node.named(name)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(body: &[u8], pointer: &str) -> Option<String> {
        let value: Value = serde_json::from_slice(body).ok()?;
        match value.pointer(pointer)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Looks for all `pointers` at once.
    fn check(body: &[u8], pointers: &[String]) {
        let mut prepared = Pointers::default();
        let numbers: Vec<usize> = pointers.iter().map(|one| prepared.number(one)).collect();
        let found = prepared.find(body);
        for (pointer, number) in pointers.iter().zip(numbers) {
            assert_eq!(
                found[number].as_deref(),
                expected(body, pointer).as_deref(),
                "{pointer:?} in {:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    fn check_all(body: &[u8]) {
        let pointers = [
            "", "/", "/a", "/a/b", "/a/0", "/a/1/b", "/0", "/00", "/+0", "/1", "/a~1b", "/a~0b",
            "a", "/-", "/a/b/c", "/é",
        ];
        let pointers = pointers.map(str::to_owned);
        check(body, &pointers);
        for pointer in pointers {
            check(body, &[pointer]);
        }
    }

    #[test]
    fn what_is_found_is_what_a_tree_would_give() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for body in [
            r#"{"a":"x"}"#,
            r#"{"a":{"b":1,"c":[true,null]}}"#,
            r#"{"a":[1,{"b":"\u00e9\n\"q\""}]}"#,
            r#"{"a/b":1.50,"a~b":-0.0,"":1e3,"0":18446744073709551615}"#,
            r#"{"a":1,"a":{"b":2}}"#,
            r#"{"a":{"b":2},"a":null}"#,
            r#"{"a":{"b":{"c":7}},"a":{"b":1}}"#,
            r#"{"\u0061":{"\u0062":3}}"#,
            r#"["x",["y"]]"#,
            r#""whole""#,
            "null",
            "12345678901234567890123",
            "-5",
            "1e999",
            "",
            "{",
            r#"{"a":1}x"#,
            r#"{"a":1} "#,
            r#"{"a":1,}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"z":"\ud800","a":1}"#,
            r#"{"z":1e999,"a":1}"#,
            "{\"z\":\"\n\",\"a\":1}",
            r#"{"é":"è"}"#,
            r#"{"z":01,"a":1}"#,
            &deep,
            &format!(r#"{{"z":{deep},"a":1}}"#),
        ] {
            check_all(body.as_bytes());
        }
        check_all(b"{\"z\":\"\xff\",\"a\":1}");
        check_all(b"{\"\xff\":1,\"a\":1}");
    }

    #[test]
    fn texts_without_escapes_are_not_copied() {
        let mut pointers = Pointers::default();
        assert_eq!((pointers.number("/a"), pointers.number("/a")), (0, 0));
        let found = pointers.find(br#"{"a":"x"}"#);
        assert!(matches!(found[..], [Some(Cow::Borrowed("x"))]), "{found:?}");
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<f64>().prop_map(|value| Value::from(value).to_string()),
            "[ab\"\\\\é\n]{0,4}".prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let field = ("[ab01/~]{0,1}", inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(" , "))),
                // A name may stand twice.
                prop::collection::vec(field, 0..4).prop_map(|fields| {
                    let fields = fields
                        .into_iter()
                        .map(|(name, value)| format!("{} :{value}", Value::from(name)));
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_would_give(body in json(), pointers in prop::collection::vec("(/([ab]|0|1|~0|~1|)){0,4}", 1..4)) {
            check(body.as_bytes(), &pointers);
        }

        /// Cut or changed anywhere: both see the same errors.
        #[test]
        fn it_refuses_what_a_tree_would_refuse(body in json(), at: prop::sample::Index, byte: Option<u8>, pointer in "(/[ab01]){0,2}") {
            let mut body = body.into_bytes();
            let at = at.index(body.len());
            match byte {
                Some(byte) => body[at] = byte,
                None => body.truncate(at),
            }
            check(&body, &[pointer]);
        }
    }
}

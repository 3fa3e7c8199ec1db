//! Secrets that are made for one run: passwords of servers that live no longer than it does.
//!
//! Invariant: a value exists in this process and in the cluster only; it is never logged, recorded or
//! written to a file.

use std::collections::BTreeMap;

use chaos_plan::plan::{Cluster, RANDOM};
use chaos_plan::template::Template;
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::{Value, json};

use crate::platform::PlatformError;

/// Bytes of chance in one value.
const CHANCE: usize = 24;

/// The Secret objects of a description, with values drawn now.
pub(super) fn make(cluster: &Cluster) -> Result<Vec<Value>, PlatformError> {
    let mut objects = Vec::new();
    for (name, templates) in &cluster.secrets {
        let values = values(templates)?;
        objects.push(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": values,
        }));
    }
    Ok(objects)
}

/// Values that need no other one first, then those that do.
fn values(templates: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, PlatformError> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for is_simple in [true, false] {
        for (key, text) in templates {
            let template = Template::parse(text).map_err(|error| bad(key, &error.to_string()))?;
            if template.slots().all(|slot| slot == RANDOM) != is_simple {
                continue;
            }
            let drawn = chance()?;
            let value = template.fill(|slot| match slot {
                RANDOM => Some(drawn.clone()),
                other => values.get(other).cloned(),
            });
            let value = value.map_err(|slot| bad(key, &format!("`{slot}` has no value")))?;
            values.insert(key.clone(), value);
        }
    }
    Ok(values)
}

fn bad(key: &str, why: &str) -> PlatformError {
    PlatformError::Cluster {
        act: format!("make the value `{key}` of a Secret"),
        why: why.to_owned(),
    }
}

fn chance() -> Result<String, PlatformError> {
    let mut bytes = [0; CHANCE];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|error| PlatformError::Io {
        act: "draw a password".to_owned(),
        source: error.into(),
    })?;
    let hexadecimal = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = hexadecimal.map(|half| char::from_digit(half.into(), 16).expect("half a byte"));
    Ok(digits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_drawn_anew_and_refer_to_each_other() {
        let templates = [
            ("password", "{random}"),
            ("url", "db://shop:{password}@db"),
            ("plain", "x"),
        ];
        let templates: BTreeMap<String, String> = templates
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into();
        let one = values(&templates).expect("good");
        let other = values(&templates).expect("good");
        assert_eq!(one["url"], format!("db://shop:{}@db", one["password"]));
        let lengths = (one["password"].len(), one["plain"].as_str());
        assert_eq!(lengths, (2 * CHANCE, "x"));
        assert_ne!(one["password"], other["password"]);
    }
}

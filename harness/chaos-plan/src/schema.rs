//! The JSON Schemas of our files, for editors and for `chaos schema`.
//!
//! Invariant: they are made from the very types that files are read into and checked against.

use schemars::JsonSchema;

use crate::file::{journey, scenario, target};

/// JSON Schema (2020-12) of a scenario.
pub fn scenario_schema() -> String {
    text::<scenario::Scenario>()
}

/// JSON Schema (2020-12) of a target description.
pub fn target_schema() -> String {
    text::<target::Target>()
}

/// JSON Schema (2020-12) of a journey.
pub fn journey_schema() -> String {
    text::<journey::Journey>()
}

fn text<T: JsonSchema>() -> String {
    let schema = schemars::schema_for!(T);
    serde_json::to_string_pretty(schema.as_value()).expect("a schema is JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_key_is_described() {
        for text in [scenario_schema(), target_schema(), journey_schema()] {
            let schema: Value = serde_json::from_str(&text).expect("JSON");
            assert!(schema["title"].is_string() && schema["description"].is_string());
            check(&schema, "");
        }
    }

    fn check(schema: &Value, path: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            for (key, value) in properties {
                let is_choice = schema["properties"]
                    .as_object()
                    .is_some_and(|all| all.len() == 1);
                assert!(
                    value["description"].is_string() || is_choice,
                    "{path}/{key} has a description"
                );
            }
        }
        match schema {
            Value::Object(entries) => entries
                .iter()
                .for_each(|(key, value)| check(value, &format!("{path}/{key}"))),
            Value::Array(items) => items.iter().for_each(|item| check(item, path)),
            _ => {}
        }
    }
}

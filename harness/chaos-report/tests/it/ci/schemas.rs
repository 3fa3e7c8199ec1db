//! The published schemas: every result and every event is what they say.

use chaos_report::ci::{event_schema, events_ndjson};
use chaos_report::load::load_schema;
use chaos_report::result::{result_json, result_schema};
use serde_json::Value;

use super::endings;
use super::strings::texts;
use crate::story::{benign, run};

fn check(schema: &Value, text: &str, what: &str) {
    let validator = jsonschema::validator_for(schema).expect("the schema is a schema");
    let value: Value = serde_json::from_str(text).expect("JSON");
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:?}");
}

#[test]
fn every_result_is_what_the_schema_says() {
    let schema = result_schema();
    for (ending, run) in endings("") {
        check(&schema, &result_json(&run.story()), ending);
    }
    for text in texts() {
        check(&schema, &result_json(&run(text).story()), text);
    }
}

#[test]
fn every_event_is_a_line_that_the_schema_allows() {
    let schema = event_schema();
    let run = benign();
    let text = events_ndjson(&run.story());
    assert_eq!(text.lines().count(), run.events.len());
    for line in text.lines() {
        check(&schema, line, line);
    }
    for hostile in texts() {
        let run = crate::story::run(hostile);
        assert_eq!(
            events_ndjson(&run.story()).lines().count(),
            run.events.len(),
            "{hostile:?}"
        );
    }
}

/// Readers of the repository learn from it what a result looks like.
#[test]
fn the_sample_in_the_repository_fits_its_schema() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../reports/examples/spike-with-podkill/result.json"
    );
    let sample = std::fs::read_to_string(path).expect("a sample");
    check(&result_schema(), &sample, path);
    let keys = |text: &str| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&sample), keys(&result_json(&benign().story())));
}

#[test]
fn the_schemas_refuse_what_is_not_so() {
    let validator = jsonschema::validator_for(&result_schema()).expect("a schema");
    let good: Value = serde_json::from_str(&result_json(&benign().story())).expect("JSON");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        validator.is_valid(&value)
    };
    assert!(changed(&|_| {}));
    assert!(!changed(&|value| value["outcome"] = "fine".into()));
    assert!(!changed(
        &|value| value["claims"][0]["status"] = "pass".into()
    ));
    assert!(!changed(&|value| value["exit"]["code"] = "1".into()));
    assert!(!changed(&|value| drop(
        value.as_object_mut().expect("an object").remove("cleanup")
    )));
    assert!(
        changed(&|value| value["later"] = 1.into()),
        "fields may be added"
    );
}

/// The committed copies are for editors and for readers without the program.
#[test]
fn the_published_copies_are_current() {
    for (name, schema) in [
        ("result", result_schema()),
        ("event", event_schema()),
        ("load", load_schema()),
    ] {
        let file = format!("{name}.schema.json");
        let made = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(&file);
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        std::fs::write(&made, &text).expect("the folder for tests takes a file");
        let published = format!("{}/../../docs/schemas/{file}", env!("CARGO_MANIFEST_DIR"));
        let known = std::fs::read_to_string(&published).unwrap_or_default();
        assert!(
            known == text,
            "{published} is old: copy {} over it",
            made.display()
        );
    }
}

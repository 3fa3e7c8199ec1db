//! The command line as a person or a script meets it.

use crate::leftovers;
use crate::program::{Place, scenario};

/// A check that ends without having touched anything.
fn refused(args: &[&str], says: &[&str]) {
    let place = Place::new();
    let ended = place.run(args);
    ended.assert_code(2);
    for text in says {
        assert!(
            ended.stderr.contains(text),
            "no `{text}` in:\n{}",
            ended.stderr
        );
    }
    assert!(ended.out.is_none(), "a folder was made");
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
}

#[test]
fn an_unknown_scenario_is_bad_input() {
    refused(
        &["run", "spike-with-podkil"],
        &["no scenario `spike-with-podkil`", "spike-with-podkill"],
    );
}

#[test]
fn an_unknown_flag_is_bad_input() {
    refused(&["run", "smoke", "--sed", "1"], &["--seed"]);
}

#[test]
fn human_text_goes_to_stderr_and_what_was_asked_for_to_stdout() {
    let place = Place::new();
    let ended = place.run(&["plan", "smoke", "--json"]);
    ended.assert_code(0);
    let plan: serde_json::Value = serde_json::from_str(&ended.stdout).expect("only the plan");
    assert_eq!(plan["name"], "smoke");
}

#[test]
fn a_list_tells_the_question_that_a_run_answers() {
    let place = Place::new();
    let folder = place.path().join("scenarios");
    std::fs::create_dir(&folder).expect("our folder");
    for (name, text) in [
        (
            "ours",
            "# yaml-language-server: $schema=x\n# Does it hold?\n",
        ),
        ("none", "version: 1\n# A remark.\n"),
    ] {
        std::fs::write(folder.join(format!("{name}.yaml")), text).expect("our folder");
    }
    let ended = place.run(&["list", "scenarios", "--json"]);
    ended.assert_code(0);
    let rows: serde_json::Value = serde_json::from_str(&ended.stdout).expect("only the list");
    let about = |name: &str| {
        let row = rows.as_array()?.iter().find(|row| row["name"] == name)?;
        row["about"].as_str()
    };
    assert_eq!(about("ours"), Some("Does it hold?"));
    assert_eq!(about("none"), Some(""));
}

#[test]
fn a_dry_run_touches_nothing() {
    let place = Place::new();
    place.run(&["plan", "spike-with-podkill"]).assert_code(0);
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
    assert!(place.out().is_none());
}

#[test]
fn schemas_are_json() {
    for of in ["scenario", "target", "journey"] {
        let ended = Place::new().run(&["schema", of]);
        ended.assert_code(0);
        let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert!(schema["properties"]["version"].is_object(), "{of}");
    }
}

#[test]
fn an_outage_that_is_not_allowed_is_refused_and_the_setting_named() {
    let service = crate::verdicts::faulted_service(&scenario("lone-kill"));
    let set = format!("target.replicas.{service}=1");
    refused(
        &["run", "spike-with-podkill", "--set", &set],
        &["safety.allow_outage"],
    );
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let place = Place::new();
    let path = place.path().join("huge.yaml");
    // A hole of 100 MB costs no disk.
    std::fs::File::create(&path)
        .and_then(|file| file.set_len(100 << 20))
        .expect("our folder");
    let path = path.display().to_string();
    let ended = place.run(&["validate", &path]);
    ended.assert_code(2);
    assert!(ended.stderr.contains("104857600 bytes"), "{}", ended.stderr);
}

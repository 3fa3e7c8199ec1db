//! Every scenario, target and journey that is shipped checks clean.

use chaos_plan::check::{Options, check_journey, check_target};
use chaos_plan::plan::PlatformName;

use crate::folder::Folder;

#[test]
fn bundled_scenarios_check_clean() {
    let folder = Folder::new("../../scenarios");
    let names = folder.names(".");
    assert!(!names.is_empty());
    for name in names {
        let file = folder.read(&format!("{name}.yaml")).expect("a scenario");
        let outcome = folder.examine(file, &Options::default());
        assert!(
            outcome.diagnostics.problems.is_empty(),
            "{}",
            outcome.diagnostics
        );
        let plan = outcome.plan.expect("a plan");
        assert_eq!(plan.name, name);
        assert!(
            plan.question.ends_with('?'),
            "{name} opens with a question: {}",
            plan.question
        );
    }
}

#[test]
fn bundled_targets_and_journeys_check_clean() {
    let folder = Folder::new("../../scenarios");
    for name in folder.names("targets") {
        let problems = check_target(
            &folder
                .read(&format!("targets/{name}.yaml"))
                .expect("a target"),
            PlatformName::Local,
        );
        assert!(problems.problems.is_empty(), "{problems}");
    }
    for name in folder.names("journeys") {
        let problems = check_journey(
            &folder
                .read(&format!("journeys/{name}.yaml"))
                .expect("a journey"),
            &folder,
        );
        assert!(problems.problems.is_empty(), "{problems}");
    }
}

#[test]
fn killing_the_only_instance_is_refused_unless_allowed() {
    let folder = Folder::new("../../scenarios");
    let mut tried = 0;
    for name in folder.names(".") {
        let file = folder.read(&format!("{name}.yaml")).expect("a scenario");
        let plan = folder
            .examine(file.clone(), &Options::default())
            .plan
            .expect("a plan");
        let Some(fault) = plan.faults.first() else {
            continue;
        };
        let service = &fault.inject.targets().service;
        let one = (format!("target.replicas.{service}"), "1".to_owned());
        let mut options = Options {
            overrides: vec![one, ("safety.allow_outage".to_owned(), "[]".to_owned())],
            ..Options::default()
        };
        let refused = folder.examine(file.clone(), &options);
        assert!(refused.plan.is_none());
        let text = refused.diagnostics.render(false);
        assert!(
            text.contains("E171") && text.contains("`safety.allow_outage: ["),
            "{text}"
        );
        options.overrides[1].1 = format!("[{service}]");
        assert!(folder.examine(file, &options).plan.is_some());
        tried += 1;
    }
    assert!(tried > 0);
}

#[test]
fn a_soak_can_be_tried_out_in_a_minute() {
    let folder = Folder::new("../../scenarios");
    let file = folder.read("soak.yaml").expect("the scenario");
    for time_scale in [0.1, 6.0] {
        let options = Options {
            time_scale,
            ..Options::default()
        };
        let outcome = folder.examine(file.clone(), &options);
        assert!(outcome.plan.is_some(), "{}", outcome.diagnostics);
    }
}

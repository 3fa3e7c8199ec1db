//! What a plan holds: it goes through JSON unchanged, and options scale what they say.

use std::time::Duration;

use chaos_plan::check::Options;
use chaos_plan::plan::{Expect, HowMany, Part, Plan, Row, Rule, Stage, Target, When};

use crate::folder::{Folder, examine_text, good};

fn plan(text: &str, options: &Options) -> Plan {
    let outcome = examine_text(text, options);
    outcome
        .plan
        .ok_or(outcome.diagnostics)
        .map_err(|problems| problems.to_string())
        .expect("a plan")
}

#[test]
fn a_plan_goes_through_json_unchanged() {
    let options = Options {
        time_scale: 1.1,
        rate_scale: 0.7,
        seed: Some(u64::MAX),
        ..Options::default()
    };
    let plan = plan(&good(), &options);
    let text = serde_json::to_string(&plan).expect("a plan is JSON");
    let again: Plan = serde_json::from_str(&text).expect("and back");
    assert_eq!(again, plan);
}

#[test]
fn times_are_resolved_and_defaults_filled_in() {
    let plan = plan(&good(), &Options::default());
    assert_eq!(plan.faults[0].when, When::At(Duration::from_secs(45)));
    assert_eq!(plan.faults[1].when.latest(), Duration::from_secs(83));
    assert_eq!((plan.faults[0].line, plan.claims[0].line), (16, 25));
    assert_eq!(plan.seed, 1);
    assert_eq!(plan.load.timeout, Duration::from_secs(2));
    assert_eq!(plan.load.length(), Duration::from_secs(100));
    assert_eq!(plan.claims[0].expect.stages(), [1, 2, 3, 4]);
    assert_eq!(plan.claims[2].expect.stages(), [3, 4]);
    let targets = plan.faults[0].inject.targets();
    assert_eq!(targets.how_many, HowMany::Count(1));
    let browse = &plan.load.journeys[0];
    assert_eq!(browse.data["word"][2], Row::Value("007".to_owned()));
}

#[test]
fn scales_touch_stages_and_offsets_only() {
    let options = Options {
        time_scale: 2.0,
        rate_scale: 0.5,
        ..Options::default()
    };
    let (plan, as_written) = (plan(&good(), &options), plan(&good(), &Options::default()));
    assert_eq!(plan.load.length(), Duration::from_secs(200));
    assert_eq!(plan.faults[0].when, When::At(Duration::from_secs(90)));
    assert_eq!(plan.faults[1].lasts, as_written.faults[1].lasts);
    assert!((plan.load.stages[3].rates().expect("rates").1.per_second() - 100.0).abs() < 1e-9);
    assert_eq!(plan.load.timeout, as_written.load.timeout);
    assert!(plan.scale.is_scaled());
}

#[test]
fn claims_know_their_part_and_their_rules() {
    let folder = Folder::cases();
    let file = folder.read("market-day.yaml").expect("the case");
    let plan = folder
        .examine(file, &Options::default())
        .plan
        .expect("a plan");
    let expect = |index: usize| &plan.claims[index].expect;
    assert_eq!(
        *expect(0),
        Expect::Integrity {
            rules: Rule::ALL.to_vec()
        }
    );
    // In the order of reports, whatever the order in the file.
    assert_eq!(
        *expect(1),
        Expect::Integrity {
            rules: vec![Rule::AcknowledgedIsStored, Rule::StockConserved]
        }
    );
    let check_out = Part::Endpoint {
        journey: 1,
        step: 2,
    };
    assert_eq!(
        (expect(2).stages(), expect(2).part()),
        (&[1, 2][..], check_out)
    );
    assert_eq!(expect(3).part(), Part::Journey(0));
    assert_eq!(plan.claims[3].name, "errors at most 2% (browse)");
    let purchase = &plan.load.journeys[1];
    assert_eq!(purchase.data["shopper"].len(), 2);
    let operation = purchase.steps[2]
        .acknowledges
        .as_ref()
        .expect("an operation");
    assert_eq!(operation.key.to_string(), "{uuid.purchase}");
    assert_eq!(plan.faults[0].when.latest(), Duration::from_mins(1));
    let Target::Deploy(description) = &plan.target else {
        panic!("the target is deployed");
    };
    assert_eq!(description.services[0].limits.memory, Some(128 << 20));
    let audit = description.audit.as_ref().expect("an audit");
    assert!(audit.is_final("cancelled") && !audit.is_final("paid") && !audit.is_final("gone"));
    assert!(audit.is_at_rest("done") && !audit.is_at_rest("returning"));
    assert_eq!(audit.notified_within, Some(Duration::from_secs(30)));
}

#[test]
fn users_are_scaled_as_rates_are() {
    let folder = Folder::cases();
    let file = folder.read("as-they-can.yaml").expect("the case");
    let options = Options {
        rate_scale: 0.01,
        ..Options::default()
    };
    let plan = folder.examine(file, &options).plan.expect("a plan");
    let users: Vec<_> = plan.load.stages.iter().map(Stage::users).collect();
    assert_eq!(users, [Some((1, 1)), Some((1, 1))]);
    assert!(!plan.load.model.is_paced());
}

#[test]
fn options_go_before_the_file() {
    let text = good().replace("name: good\n", "name: good\nseed: 7\n");
    assert_eq!(plan(&text, &Options::default()).seed, 7);
    assert_eq!(
        plan(
            &text,
            &Options {
                seed: Some(9),
                ..Options::default()
            }
        )
        .seed,
        9
    );
    let set = |key: &str, value: &str| Options {
        overrides: vec![(key.to_owned(), value.to_owned())],
        ..Options::default()
    };
    assert_eq!(plan(&text, &set("seed", "11")).seed, 11);
    assert!(
        (plan(&text, &set("load.shoppers.stages.spike.rate", "150/s"))
            .load
            .stages[3]
            .rates()
            .expect("rates")
            .1
            .per_second()
            - 150.0)
            .abs()
            < 1e-9
    );
    assert_eq!(
        plan(&text, &set("target.replicas.db", "3"))
            .source
            .overrides,
        ["target.replicas.db=3"]
    );
    assert_eq!(
        plan(&text, &set("safety.allow_outage", "[api]"))
            .safety
            .allow_outage,
        ["api"]
    );
}

#[test]
fn one_setting_of_a_service_needs_no_other_change() {
    let set = |value: &str| Options {
        overrides: vec![("target.env.api.DELAY_MS".to_owned(), value.to_owned())],
        ..Options::default()
    };
    for value in ["300", "0.50", "true", "{instance}-a"] {
        let quoted = format!("\"{value}\"");
        let plan = plan(&good(), &set(&quoted));
        let Target::Deploy(description) = &plan.target else {
            panic!("the target is deployed");
        };
        let api = description.service("api").expect("the service");
        assert_eq!(api.env["DELAY_MS"], value);
        assert_eq!(api.env["LIMIT"], "5");
        if !value.starts_with('{') {
            assert_eq!(self::plan(&good(), &set(value)).target, plan.target);
        }
    }
}

//! `chaos list`: scenarios with the question each answers, kinds of fault, runs with their outcome.

use std::path::Path;
use std::time::Duration;

use chaos_plan::check::question;
use chaos_plan::plan::{HowMany, Inject, KillSignal, PlatformName, Rollout, Targets};
use chaos_record::exit;
use serde_json::{Value, json};

use crate::bundled;
use crate::cli::{ListArgs, Listed};
use crate::library::yaml_names;
use crate::output::Output;

pub(super) fn list(args: &ListArgs, output: &Output) -> u8 {
    let rows = match args.what {
        Listed::Scenarios => scenarios(),
        Listed::Faults => faults(),
        Listed::Runs => runs(&args.out),
    };
    if args.json {
        output.give(&serde_json::to_string_pretty(&rows).expect("rows are plain data"));
    } else if rows.is_empty() {
        output.tell("nothing there yet");
    } else {
        output.give(&columns(&rows));
    }
    exit::HELD.code
}

fn scenarios() -> Vec<Value> {
    let mut rows: Vec<Value> = bundled::SCENARIOS
        .iter()
        .map(|(name, text)| json!({ "name": name, "about": question(text).unwrap_or_default(), "where": "bundled" }))
        .collect();
    let folder = Path::new("scenarios");
    for name in yaml_names(folder) {
        if bundled::find(bundled::SCENARIOS, &name).is_none() {
            let text =
                std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap_or_default();
            rows.push(json!({ "name": name, "about": question(&text).unwrap_or_default(), "where": "scenarios/" }));
        }
    }
    rows
}

fn faults() -> Vec<Value> {
    let targets = Targets {
        service: String::new(),
        how_many: HowMany::Count(1),
    };
    let kinds = [
        Inject::Kill {
            targets: targets.clone(),
            signal: KillSignal::Kill,
        },
        Inject::Pause {
            targets: targets.clone(),
        },
        Inject::Stop {
            targets: targets.clone(),
        },
        Inject::Restart {
            targets: targets.clone(),
            pause_between: Duration::ZERO,
        },
        Inject::Evict {
            targets: targets.clone(),
        },
        Inject::Scale {
            targets: targets.clone(),
            replicas: 0,
        },
        Inject::Drift {
            targets: targets.clone(),
            replicas: 0,
        },
        Inject::Rollout {
            targets: targets.clone(),
            to: Rollout::default(),
        },
        Inject::ServiceLost {
            targets: targets.clone(),
            name: String::new(),
        },
        Inject::Cpu {
            targets,
            millicores: 0,
        },
    ];
    kinds.iter().map(fault).collect()
}

fn fault(inject: &Inject) -> Value {
    let platforms = match inject {
        Inject::Kill { .. } => "local, kubernetes",
        inject if inject.is_of_cluster() => "kubernetes",
        _ => "local",
    };
    let words = chaos_faults::fault::describe(inject, PlatformName::Local);
    let about = format!(
        "{}; undo: {}; proof: {}",
        words.act, words.undo, words.proof
    );
    json!({ "name": inject.kind(), "about": about, "where": platforms })
}

fn runs(folder: &Path) -> Vec<Value> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.iter().filter(|name| folder.join(name).join("record.jsonl").is_file()).map(|name| {
        let result = std::fs::read_to_string(folder.join(name).join("result.json")).ok();
        let result: Option<Value> = result.and_then(|text| serde_json::from_str(&text).ok());
        let about = result.as_ref().and_then(|result| Some(format!("{}, exit {}", result["outcome"].as_str()?, result["exit"]["code"])));
        json!({ "name": name, "about": about.unwrap_or_else(|| "no result: killed, or alive".to_owned()), "where": folder.display().to_string() })
    }).collect()
}

fn columns(rows: &[Value]) -> String {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let width = rows
        .iter()
        .map(|row| text(row, "name").len())
        .max()
        .unwrap_or(0);
    let line = |row| format!("{:width$}  {}", text(row, "name"), text(row, "about"));
    let lines: Vec<String> = rows.iter().map(line).collect();
    lines.join("\n")
}

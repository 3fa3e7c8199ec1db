//! Every fault of a cluster through the program, with the Role that `chaos rbac` prints and no other right:
//! seen by `kubectl` while it lasts, judged, undone and verified. The other service never notices, and in
//! the end every object is as it was.

use std::cell::Cell;
use std::thread;

use serde_json::{Value, json};

use crate::bench::{Cluster, PATIENCE, cluster};
use crate::program::{Place, eventually, measured};
use crate::rights::{BUNDLED, Granted, printed_rules};

/// A fault, and how anybody sees that it is there.
struct Case {
    name: &'static str,
    /// Seconds from the begin of the load.
    at: u32,
    fault: &'static str,
    seen: fn(&Cluster) -> bool,
}

const SECONDS: u32 = 48;
/// At the same time, so that they take as long as one.
const RUNS: [&[Case]; 3] = [
    &[
        Case {
            name: "kill",
            at: 7,
            fault: "inject: { kill: { service: api, signal: TERM } }",
            seen: |cluster| pods(cluster, "api").len() == 2,
        },
        Case {
            name: "scale",
            at: 17,
            fault: "for: 5s, inject: { scale: { service: api, replicas: 1 } }",
            seen: |cluster| replicas(cluster) == "1",
        },
        Case {
            name: "cpu",
            at: 32,
            fault: "for: 5s, inject: { cpu: { service: api, limit: 0.05 } }",
            seen: |cluster| limits(cluster).matches("50m").count() == 1,
        },
    ],
    &[
        Case {
            name: "evict",
            at: 7,
            fault: "inject: { evict: { service: api } }",
            seen: |cluster| pods(cluster, "api").len() == 2,
        },
        Case {
            name: "drift",
            at: 17,
            fault: "for: 5s, inject: { drift: { service: api, replicas: 1 } }",
            seen: |cluster| replicas(cluster) == "1",
        },
        Case {
            name: "service_lost",
            at: 32,
            fault: "for: 5s, inject: { service_lost: { service: api } }",
            seen: |cluster| !cluster.get(&["services", "-o", "name"]).contains("/api"),
        },
    ],
    &[Case {
        name: "rollout",
        at: 7,
        fault: "for: 8s, inject: { rollout: { service: api, env: { VERSION: second } } }",
        seen: |cluster| {
            cluster
                .get(&["deployment", "api", "-o", "yaml"])
                .contains("value: second")
        },
    }],
];

fn pods(cluster: &Cluster, app: &str) -> Vec<String> {
    let label = format!("app={app}");
    let path = "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{\"\\n\"}{end}";
    let all = cluster.get(&["pods", "-l", &label, "-o", path]);
    all.lines().map(str::to_owned).collect()
}

fn replicas(cluster: &Cluster) -> String {
    cluster.get(&["deployment", "api", "-o", "jsonpath={.spec.replicas}"])
}

fn limits(cluster: &Cluster) -> String {
    let path = "jsonpath={.items[*].spec.containers[*].resources.limits.cpu}";
    cluster.get(&["pods", "-l", "app", "-o", path])
}

/// What somebody asked for of the workloads and Services, without what their controllers note down.
fn asked(cluster: &Cluster) -> Vec<Value> {
    let all = cluster.get(&["deployments,services", "-o", "json"]);
    let mut all: Value = serde_json::from_str(&all).expect("JSON");
    let items = all["items"].as_array_mut().expect("a list");
    let asked = items.iter_mut().map(|item| {
        let annotations = item["metadata"]["annotations"].as_object_mut();
        annotations
            .expect("kubectl leaves one")
            .retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
        let metadata = &item["metadata"];
        let marks = [&metadata["labels"], &metadata["annotations"]];
        json!([item["kind"], metadata["name"], marks, item["spec"]])
    });
    asked.collect()
}

#[test]
fn every_fault_is_seen_undone_and_judged() {
    thread::scope(|scope| {
        for cases in RUNS {
            let Some(cluster) = cluster() else { return };
            scope.spawn(move || check(&cluster, cases));
        }
    });
}

fn check(cluster: &Cluster, cases: &[Case]) {
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    cluster.apply_by_hand();
    let (before, others) = (asked(cluster), pods(cluster, "front"));
    let first = place(cluster, cases);
    let granted = Granted::of(cluster, &first, "mine.yaml");
    let mut args = vec!["run", "mine.yaml", "--existing"];
    args.extend(cluster.flags(&granted.kubeconfig));
    let tried = printed_rules(cluster, &first, BUNDLED);
    granted.assert_least(cluster, &tried, || first.run(&args));
    let (_place, ended) = measured(|| {
        let place = place(cluster, cases);
        let child = place.command(&args).spawn().expect("the program starts");
        for case in cases {
            see(cluster, &place, case);
        }
        let ended = place.wait(child);
        (place, ended)
    });
    if !ended.was_too_noisy() {
        // On a busy machine even a fault that takes nothing away may be felt; here it only has to be judged.
        let code = ended.status.code();
        assert!(matches!(code, Some(0 | 1)), "{code:?} {}", ended.stderr);
        let faults = ended.result()["faults"].clone();
        for (case, fault) in cases.iter().zip(faults.as_array().expect("a list")) {
            assert!(fault["effective"].is_u64(), "{}: {fault:#}", case.name);
            assert!(fault["trouble"].is_null(), "{}: {fault:#}", case.name);
            assert!(!fault["recovery"].is_null(), "{}: {fault:#}", case.name);
        }
    }
    let clean = |event: &Value| event["what"]["cleaned_up"]["verified"] == json!(true);
    assert!(ended.events().iter().any(clean), "{}", ended.stderr);
    assert_eq!(asked(cluster), before);
    assert_eq!(pods(cluster, "front"), others, "the same lives");
    cluster.remove_namespace();
}

fn place(cluster: &Cluster, cases: &[Case]) -> Place {
    let fault = |case: &Case| {
        let Case {
            name, at, fault, ..
        } = case;
        format!("name: {name}, at: steady + {at}s, {fault}")
    };
    let faults: Vec<String> = cases.iter().map(fault).collect();
    cluster.place_with(SECONDS, &faults)
}

/// Unless this machine was too busy for the fault, which the run says.
fn see(cluster: &Cluster, place: &Place, case: &Case) {
    let said = |change: &str| {
        place.record_says(&format!(
            "\"fault\":\"{}\",\"change\":{{\"{change}\"",
            case.name
        ))
    };
    let over = || said("not_injected") || place.record_says("\"load_stopped\"");
    eventually("the effect is proven", PATIENCE, || {
        said("effective") || over()
    });
    let seen = Cell::new(false);
    eventually("it is seen, or over", PATIENCE, || {
        let is_over = said("undone") || over();
        seen.set((case.seen)(cluster));
        seen.get() || is_over
    });
    assert!(seen.get() || over(), "{}", case.name);
}

//! The Role that `chaos rbac` prints: enough to run with, and nothing in it that is not needed.

use std::fmt::Write;

use serde_json::json;

use crate::bench::Cluster;
use crate::cluster;
use crate::program::{Place, measured};

/// One rule: API group, kind of object, verbs.
type Rule = (String, String, Vec<String>);

#[test]
fn the_role_is_enough_and_least() {
    let cluster = cluster!();
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    cluster.apply_by_hand();
    let place = cluster.place(16, &[("kill", 6)]);
    let printed = place.aside(&["rbac", "mine.yaml", "--namespace", &cluster.namespace]);
    let role = String::from_utf8_lossy(&printed.stdout).into_owned();
    // A killed pod needs nobody who takes that back.
    for never in ["secrets", "\"*\"", "ClusterRole", "jobs", "roles"] {
        assert!(!role.contains(never), "{role}");
    }
    cluster.feed(&["apply"], &role);
    let token = bound(&cluster);
    let kubeconfig = cluster.changed(&place, |config| {
        config["users"][0]["user"] = json!({ "token": token });
    });
    let run = |place: &Place| {
        let mut args = vec!["run", "mine.yaml", "--existing"];
        args.extend(cluster.flags(&kubeconfig));
        place.run(&args)
    };
    let (_place, ended) = measured(|| {
        let fresh = cluster.place(16, &[("kill", 6)]);
        let ended = run(&fresh);
        (fresh, ended)
    });
    // A machine that is too busy to measure says nothing of rights.
    if !ended.was_too_noisy() {
        ended.assert_code(0);
    }
    let rules = rules(&role);
    assert!(rules.len() >= 5, "{role}");
    for (group, resource, verbs) in &rules {
        for verb in verbs {
            cluster.feed(&["apply"], &without(&rules, resource, verb));
            let refused = run(&place);
            refused.assert_code(5);
            let named = match group.as_str() {
                "" => format!("you may not {verb} {resource};"),
                group => format!("you may not {verb} {resource}.{group};"),
            };
            let is_namespace = resource == "namespaces";
            assert!(
                refused.stderr.contains(&named) || is_namespace,
                "{named} {}",
                refused.stderr
            );
        }
    }
    cluster.remove_namespace();
}

/// A token of a `ServiceAccount` that has the Role and nothing else.
pub(crate) fn bound(cluster: &Cluster) -> String {
    let namespace = cluster.namespace.as_str();
    cluster.kubectl(&["-n", namespace, "create", "serviceaccount", "chaos"]);
    cluster.kubectl(&[
        "-n",
        namespace,
        "create",
        "rolebinding",
        "chaos",
        "--role=chaos",
        &format!("--serviceaccount={namespace}:chaos"),
    ]);
    cluster.kubectl(&["-n", namespace, "create", "token", "chaos"])
}

/// What stands in the printed Role, a rule a line.
fn rules(role: &str) -> Vec<Rule> {
    let between = |line: &str, from: &str, to: &str| {
        let (_, rest) = line.split_once(from)?;
        Some(rest.split_once(to)?.0.to_owned())
    };
    let rule = |line: &str| {
        let verbs = between(line, "verbs: [", "]")?;
        Some((
            between(line, "apiGroups: [\"", "\"]")?,
            between(line, "resources: [", "]")?,
            verbs.split(", ").map(str::to_owned).collect(),
        ))
    };
    role.lines().filter_map(rule).collect()
}

/// The Role without one verb.
fn without(rules: &[Rule], resource: &str, verb: &str) -> String {
    let mut text =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: chaos }\nrules:\n"
            .to_owned();
    for (group, kind, verbs) in rules {
        let left: Vec<&str> = verbs
            .iter()
            .map(String::as_str)
            .filter(|one| kind != resource || *one != verb)
            .collect();
        if !left.is_empty() {
            let verbs = left.join(", ");
            writeln!(
                text,
                "  - {{ apiGroups: [\"{group}\"], resources: [{kind}], verbs: [{verbs}] }}"
            )
            .expect("a String takes it");
        }
    }
    text
}

//! The Role that `chaos rbac` prints: nothing in it that is not needed. That it is enough is seen by running
//! with it (`faults`).

use std::fmt::Write;

use serde_json::json;

use crate::bench::{Cluster, PATIENCE};
use crate::cluster;
use crate::program::{Ended, Place, eventually};

/// One rule: API group, kind of object, verbs.
pub(crate) type Rule = (String, String, Vec<String>);

/// Who may do what the Role of a scenario says, and nothing else.
pub(crate) struct Granted {
    rules: Vec<Rule>,
    pub(crate) kubeconfig: String,
}

impl Granted {
    /// Prints the Role of `scenario`, applies it and binds it to a new `ServiceAccount`.
    pub(crate) fn of(cluster: &Cluster, place: &Place, scenario: &str) -> Self {
        let role = printed(cluster, place, scenario);
        cluster.feed(&["apply"], &role);
        let token = bound(cluster);
        let kubeconfig = cluster.changed(place, |config| {
            config["users"][0]["user"] = json!({ "token": token });
        });
        Self {
            rules: rules(&role),
            kubeconfig,
        }
    }

    /// Takes away each verb in turn but those that are `tried` already: `run` must be refused before it
    /// begins, with that verb named.
    pub(crate) fn assert_least(&self, cluster: &Cluster, tried: &[Rule], run: impl Fn() -> Ended) {
        let is_tried = |resource: &String, verb: &String| {
            let mut tried = tried.iter();
            tried.any(|(_, other, verbs)| other == resource && verbs.contains(verb))
        };
        for (group, resource, verbs) in &self.rules {
            for verb in verbs.iter().filter(|verb| !is_tried(resource, verb)) {
                cluster.feed(&["apply"], &without(&self.rules, resource, verb));
                let object = match group.as_str() {
                    "" => resource.clone(),
                    group => format!("{resource}.{group}"),
                };
                until_gone(cluster, verb, &object);
                let refused = run();
                refused.assert_code(5);
                let named = format!("you may not {verb} {object};");
                assert!(
                    refused.stderr.contains(&named),
                    "{named} {}",
                    refused.stderr
                );
            }
        }
        cluster.feed(&["apply"], &without(&self.rules, "", ""));
    }
}

/// A bundled scenario, whose Role the others begin with.
pub(crate) const BUNDLED: &str = "spike-with-podkill";

/// What stands in the Role of a scenario for a target that runs already.
fn printed(cluster: &Cluster, place: &Place, scenario: &str) -> String {
    let printed = place.aside(&["rbac", scenario, "--namespace", &cluster.namespace]);
    assert!(printed.status.success(), "{printed:?}");
    let role = String::from_utf8_lossy(&printed.stdout).into_owned();
    for never in ["secrets", "\"*\"", "ClusterRole"] {
        assert!(!role.contains(never), "{role}");
    }
    let verbs = rules(&role)
        .iter()
        .map(|(_, _, verbs)| verbs.len())
        .sum::<usize>();
    assert!(verbs >= 10, "{role}");
    role
}

pub(crate) fn printed_rules(cluster: &Cluster, place: &Place, scenario: &str) -> Vec<Rule> {
    rules(&printed(cluster, place, scenario))
}

/// What is missing is found before anything is looked for: the target needs not be there.
#[test]
fn the_role_of_a_bundled_scenario_is_least() {
    let cluster = cluster!();
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    let place = Place::new();
    let granted = Granted::of(&cluster, &place, BUNDLED);
    let run = || {
        let mut args = vec!["run", BUNDLED, "--existing"];
        args.extend(cluster.flags(&granted.kubeconfig));
        place.run(&args)
    };
    granted.assert_least(&cluster, &[], run);
    cluster.remove_namespace();
}

/// The API server takes a moment to go by a Role that was changed.
fn until_gone(cluster: &Cluster, verb: &str, object: &str) {
    let (object, part) = object.split_once('/').unwrap_or((object, ""));
    let who = format!("--as=system:serviceaccount:{}:chaos", cluster.namespace);
    let part = format!("--subresource={part}");
    let namespace = cluster.namespace.as_str();
    let ask = ["-n", namespace, "auth", "can-i", verb, object, &part, &who];
    eventually("the right is gone", PATIENCE, || {
        let answer = cluster.command(&ask).output().expect("kubectl starts");
        String::from_utf8_lossy(&answer.stdout).trim() == "no"
    });
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

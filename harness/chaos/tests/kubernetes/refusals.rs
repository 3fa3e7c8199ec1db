//! What cannot be run is refused with its place, its reason and what to do.

use serde_json::json;

use crate::bench::Cluster;
use crate::cluster;
use crate::program::Place;

/// Runs with these flags; it must fail as an environment does, and say all of `parts`.
#[track_caller]
fn refused(place: &Place, args: &[&str], parts: &[&str]) {
    let ended = place.run(args);
    ended.assert_code(5);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}

/// The flags of a run with another value for one of them.
fn with<'a>(mut args: Vec<&'a str>, flag: &str, value: &'a str) -> Vec<&'a str> {
    let at = args.iter().position(|arg| *arg == flag).expect("given");
    args[at + 1] = value;
    args
}

#[test]
fn a_cluster_that_cannot_be_used_is_named_with_a_way_out() {
    let cluster = cluster!();
    let place = cluster.place(16, &[("kill", 6)]);
    let run = || cluster.run_flags();
    refused(
        &place,
        &with(run(), "--kubeconfig", "/nowhere/config"),
        &["there is no file `/nowhere/config`", "--kubeconfig FILE"],
    );
    refused(
        &place,
        &with(run(), "--context", "prod"),
        &["`prod`", &format!("the kubeconfig has {}", cluster.context)],
    );
    let expired = cluster.changed(&place, |config| {
        config["users"][0]["user"] = json!({ "token": "s3cret" });
    });
    refused(
        &place,
        &with(run(), "--kubeconfig", &expired),
        &["(401); have they expired?", "auth whoami"],
    );
    // {"exp":1763776800}, a day of the past; whoever signed it is never asked.
    let over = cluster.changed(&place, |config| {
        config["users"][0]["user"] = json!({ "token": "e30.eyJleHAiOjE3NjM3NzY4MDB9.c2ln" });
    });
    refused(
        &place,
        &with(run(), "--kubeconfig", &over),
        &["its token has expired at 2025-11-22T02:00:00Z"],
    );
    refused(
        &place,
        &with(run(), "--namespace", "kube-system"),
        &["`kube-system`", "belongs to the cluster itself"],
    );
    let nobody = cluster.changed(&place, |config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    });
    refused(
        &place,
        &with(run(), "--kubeconfig", &nobody),
        &["https://127.0.0.1:1 gave no answer"],
    );
    assert!(!cluster.has_namespace());
}

#[test]
fn a_namespace_without_the_label_is_left_alone() {
    let cluster = cluster!();
    cluster.make_namespace(&[]);
    let place = cluster.place(16, &[("kill", 6)]);
    let label = format!("label namespace {} chaos.dev/allow=true", cluster.namespace);
    refused(&place, &cluster.run_flags(), &["not opted in", &label]);
    cluster.remove_namespace();
}

/// The run comes up to what is wrong, says it, and removes what it had applied.
#[test]
fn a_target_that_does_not_come_up_says_why_and_leaves_nothing() {
    let cluster = cluster!();
    let place = cluster.place(16, &[("kill", 6)]);
    let mut args = cluster.run_flags();
    args.extend(["--image", "localhost/never-built:1"]);
    refused(&place, &args, &["localhost/never-built:1", "verified"]);
    assert!(!cluster.has_namespace());
    quota(&cluster);
}

fn quota(cluster: &Cluster) {
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    let few = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" }, "spec": { "hard": { "pods": "3" } } });
    cluster.feed(&["apply"], &few.to_string());
    let place = cluster.place(16, &[("kill", 6)]);
    refused(
        &place,
        &cluster.run_flags(),
        &["exceeded quota", "verified"],
    );
    let pods = cluster.kubectl(&["-n", &cluster.namespace, "get", "pods", "-o", "name"]);
    assert_eq!(pods, "");
    cluster.remove_namespace();
}

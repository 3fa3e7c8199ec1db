//! Never a false `held`: each act on a real cluster replaced by nothing, by an API server that says it was done.

use std::thread;

use serde_json::json;

use crate::bench::{Cluster, cluster};
use crate::liar::Liar;
use crate::program::Ended;

/// One fault that lasts no longer than its effect is waited for, by what is injected.
const KINDS: [(&str, &str); 7] = [
    ("kill", "inject: { kill: { service: api } }"),
    ("evict", "inject: { evict: { service: api } }"),
    (
        "scale",
        "for: 3s, inject: { scale: { service: api, replicas: 1 } }",
    ),
    (
        "drift",
        "for: 3s, inject: { drift: { service: api, replicas: 1 } }",
    ),
    ("rollout", "for: 3s, inject: { rollout: { service: api } }"),
    (
        "service_lost",
        "for: 3s, inject: { service_lost: { service: api } }",
    ),
    (
        "cpu",
        "for: 3s, inject: { cpu: { service: api, limit: 0.05 } }",
    ),
];

#[test]
fn an_act_that_does_nothing_is_inconclusive() {
    thread::scope(|scope| {
        for (kind, fault) in KINDS {
            let Some(cluster) = cluster() else {
                return;
            };
            scope.spawn(move || check(&cluster, kind, fault));
        }
    });
}

/// That nothing showed an effect, and so nothing is claimed; the undo found nothing to do.
fn assert_no_effect(kind: &str, ended: &Ended) {
    // Seven runs at once may be slow, and a claim on latency then does not hold; of the fault nothing is known.
    assert!(
        matches!(ended.status.code(), Some(1 | 3)),
        "{kind}: {}",
        ended.stderr
    );
    let result = ended.result();
    let is_unknown =
        |claim: &serde_json::Value| claim["kind"] == "recovery" && claim["status"] == "unknown";
    let mut claims = result["claims"].as_array().expect("claims").iter();
    assert!(claims.any(is_unknown), "{kind}: {}", ended.stderr);
    let fault = &result["faults"][0];
    assert!(fault["trouble"].is_string(), "{kind}: {fault:#}");
    assert!(fault["effective"].is_null(), "{kind}: {fault:#}");
    let clean = |event: &serde_json::Value| event["what"]["cleaned_up"]["verified"] == json!(true);
    assert!(ended.events().iter().any(clean), "{kind}: {}", ended.stderr);
}

/// The whole of one run, on a target that runs already; it is as it was.
fn check(cluster: &Cluster, kind: &str, fault: &str) {
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    cluster.apply_by_hand();
    let all =
        "jsonpath={range .items[*]}{.metadata.uid} {.metadata.annotations} {.spec}{\"\\n\"}{end}";
    let asked = || cluster.get(&["deployments,services,pods", "-o", all]);
    let before = asked();
    let place = cluster.place_with(20, &[format!("name: {kind}, at: steady + 6s, {fault}")]);
    let liar = Liar::before(cluster.command(&[]));
    let kubeconfig = cluster.changed(&place, |config| {
        config["clusters"][0]["cluster"] =
            json!({ "server": format!("http://127.0.0.1:{}", liar.port) });
    });
    // A janitor would be one of the things that are not made.
    let mut args = vec!["run", "mine.yaml", "--existing", "--no-janitor"];
    args.extend(cluster.flags(&kubeconfig));
    let ended = place.run(&args);
    assert_no_effect(kind, &ended);
    assert!(
        !liar.denied().is_empty(),
        "{kind}: it was never asked to act"
    );
    assert_eq!(asked(), before, "{kind}");
    cluster.remove_namespace();
}

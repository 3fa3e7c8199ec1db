//! The Kubernetes platform over a real cluster, which `CHAOS_TEST_KUBECONFIG` and `CHAOS_TEST_IMAGE` name.
//!
//! Without them each test is skipped with a line, unless `CHAOS_TESTS_MAY_SKIP=no` and
//! `CHAOS_TEST_CLUSTER=yes` forbid that.

mod bench;
mod faults;
mod marks;
mod signs;

use std::time::{Duration, Instant};

use chaos_platform::{Act, Platform, PlatformError, Probe, Seen, undo};
use serde_json::json;

use crate::bench::{bench, life, manifests, seen, until};

/// Within which a deploy that cannot succeed must say why.
const SECONDS: Duration = Duration::from_secs(20);

macro_rules! cluster {
    () => {
        match bench().await {
            Some(bench) => bench,
            None => return,
        }
    };
}

fn kill(target: &chaos_platform::InstanceRef, grace_s: Option<u32>) -> Act {
    Act::Delete {
        target: target.clone(),
        grace_s,
    }
}

#[tokio::test]
async fn a_target_is_applied_killed_and_removed() {
    let bench = cluster!();
    let mut platform = bench.platform().await;
    let mut observations = platform.observe().expect("nobody else observes");
    let removal = platform.prepare_deploy().await.expect("a look");
    let removal = removal.expect("the undo of it");
    assert!(!bench.has_namespace().await, "nothing was done yet");
    let deployment = platform.deploy().await.expect("a deployment");
    assert_eq!(Some(deployment.address), platform.address("front").await);
    let states = platform.instances().await.expect("readable");
    let names: Vec<&str> = states
        .iter()
        .map(|state| state.target.instance.as_str())
        .collect();
    assert_eq!(names, ["front-1", "front-2", "api-1", "api-2"]);
    assert!(
        states
            .iter()
            .all(|state| state.ready && state.target.incarnation == 1)
    );
    let body = platform.get("api", "/", 1_000).await.expect("an answer");
    assert!(!body.is_empty());

    let target = life(&platform, "api-1").await;
    let act = kill(&target, Some(0));
    let undo = platform.prepare(&act).await.expect("an undo");
    let at_ns = platform.apply(&act).await.expect("it is done");
    let gone = Probe::Gone {
        target: target.clone(),
    };
    until("the pod is gone", async || {
        platform.probe(&gone).await.expect("a reading").holds
    })
    .await;
    let ended = seen(&mut observations, "api-1", |seen| {
        matches!(seen, Seen::Exited { asked: false, .. })
    })
    .await;
    assert!(ended.at_ns >= at_ns, "what follows an act is seen after it");
    let back = Probe::Back {
        target: target.clone(),
    };
    until("another is ready", async || {
        platform.probe(&back).await.expect("a reading").holds
    })
    .await;
    seen(&mut observations, "api-1", |seen| {
        matches!(seen, Seen::Started { incarnation: 2, .. })
    })
    .await;
    let refused = platform.apply(&act).await.expect_err("that life is over");
    assert!(
        matches!(refused, PlatformError::Missing { .. }),
        "{refused}"
    );
    assert!(platform.undo(&undo).await.is_clean() && platform.undo(&undo).await.is_clean());

    platform.restart_all().await.expect("all are replaced");
    until("four of the new pods are seen", async || {
        let states = platform.instances().await.expect("readable");
        states.len() == 4 && states.iter().all(|state| state.ready)
    })
    .await;
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert!(!bench.has_namespace().await);
    assert!(
        undo::revert(&removal).await.is_clean(),
        "a second time changes nothing"
    );
}

#[tokio::test]
async fn what_a_dead_harness_applied_is_removed_by_its_data_alone() {
    let bench = cluster!();
    let mut platform = bench.platform().await;
    let removal = platform.prepare_deploy().await.expect("a look");
    let removal = removal.expect("the undo of it");
    platform.deploy().await.expect("a deployment");
    drop(platform);
    let text = serde_json::to_string(&removal).expect("plain data");
    let undo = serde_json::from_str(&text).expect("the same");
    let how = undo::revert(&undo).await;
    assert!(matches!(how, undo::Reverted::Restored { .. }), "{how:?}");
    assert!(!bench.has_namespace().await);
}

#[tokio::test]
async fn only_what_the_run_applied_goes_from_a_namespace_that_was_there() {
    let bench = cluster!();
    bench.make_namespace(&json!({})).await;
    let applied = manifests("none");
    let refused = bench
        .connect(Some(&applied))
        .await
        .err()
        .expect("it is not opted in");
    assert!(
        refused.to_string().contains("chaos.dev/allow=true"),
        "{refused}"
    );
    bench
        .make_namespace(&json!({ "chaos.dev/allow": "true" }))
        .await;
    let mut platform = bench.platform().await;
    platform.deploy().await.expect("a deployment");
    let second = bench
        .connect_as("another")
        .await
        .err()
        .expect("somebody is at it");
    assert!(second.to_string().contains("is at it"), "{second}");
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert!(bench.has_namespace().await, "it is not ours");
    assert_eq!(bench.pods().await, 0);
    bench.remove_namespace().await;
}

#[tokio::test]
async fn a_target_that_runs_already_is_found_and_left() {
    let bench = cluster!();
    bench
        .make_namespace(&json!({ "chaos.dev/allow": "true" }))
        .await;
    bench.apply_by_hand().await;
    let mut platform = bench.connect(None).await.expect("opted in");
    platform.deploy().await.expect("it runs");
    let target = life(&platform, "api-2").await;
    let act = kill(&target, None);
    platform.prepare(&act).await.expect("an undo");
    platform.apply(&act).await.expect("it is done");
    let gone = Probe::Gone { target };
    until("the pod is gone", async || {
        platform.probe(&gone).await.expect("a reading").holds
    })
    .await;
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert!(bench.pods().await >= 4, "they run on");
    bench.remove_namespace().await;
}

#[tokio::test]
async fn a_pod_that_cannot_start_is_told_within_seconds() {
    let bench = cluster!();
    let applied = manifests("localhost/never-built:1");
    let mut platform = bench.connect(Some(&applied)).await.expect("a cluster");
    let begun = Instant::now();
    let error = platform.deploy().await.expect_err("no such image");
    assert!(begun.elapsed() < SECONDS, "{:?}", begun.elapsed());
    assert!(
        error.to_string().contains("localhost/never-built:1"),
        "{error}"
    );
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert!(!bench.has_namespace().await);
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_within_seconds() {
    let bench = cluster!();
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" }, "spec": { "hard": { "pods": "3" } } });
    let applied = format!("{}\n---\n{quota}", bench.own_manifests());
    let mut platform = bench.connect(Some(&applied)).await.expect("a cluster");
    let begun = Instant::now();
    let error = platform
        .deploy()
        .await
        .expect_err("a fourth pod is too many");
    assert!(begun.elapsed() < SECONDS * 2, "{:?}", begun.elapsed());
    assert!(error.to_string().contains("exceeded quota"), "{error}");
    assert_eq!(platform.teardown().await, Vec::<String>::new());
}

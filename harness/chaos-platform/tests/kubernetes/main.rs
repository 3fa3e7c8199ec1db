//! The Kubernetes platform over a real cluster, which `CHAOS_TEST_KUBECONFIG` and `CHAOS_TEST_IMAGE` name.
//!
//! Without them each test is skipped with a line, unless `CHAOS_TESTS_MAY_SKIP=no` and
//! `CHAOS_TEST_CLUSTER=yes` forbid that.

mod bench;
#[path = "../it/contract.rs"]
mod contract;
mod faults;
mod groups;
mod janitor;
#[path = "../it/look.rs"]
mod look;
mod marks;
mod signs;

use std::time::{Duration, Instant};

use chaos_platform::{Platform, Probe, undo};
use serde_json::json;

use crate::bench::{bench, kill, manifests};
use crate::look::{life, until};

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

/// A deploy is dear here: one for all of the contract.
#[tokio::test]
async fn the_contract_is_kept() {
    let bench = cluster!();
    contract::over(&bench, async |up| {
        contract::deploy_makes_every_instance_ready(up).await;
        let address = up.platform.address("front").await;
        assert_eq!(address.as_ref(), Some(&up.deployment.address));
        let body = up.platform.get("api", "/", 1_000).await.expect("an answer");
        assert!(!body.is_empty());
        contract::prepare_changes_nothing(up).await;
        contract::a_killed_instance_is_gone_and_comes_back(up).await;
        contract::what_lasts_holds_until_it_is_undone(up).await;
        contract::an_undo_works_without_the_platform_that_acted(up).await;
        contract::an_undo_after_the_target_is_gone_is_clean(up).await;
        contract::an_act_on_a_life_that_is_over_is_refused(up).await;
        contract::a_restart_of_all_replaces_every_life(up).await;
    })
    .await;
}

#[tokio::test]
async fn a_deploy_that_was_given_up_is_taken_down() {
    let bench = cluster!();
    contract::teardown_works_when_a_deploy_was_given_up(&bench).await;
}

#[tokio::test]
async fn what_a_dead_harness_applied_is_removed_by_its_data_alone() {
    let bench = cluster!();
    let mut platform = bench.platform().await;
    let removal = platform.prepare_deploy().await.expect("a look");
    let removal = removal.expect("the undo of it");
    assert!(!bench.has_namespace().await, "nothing was done yet");
    platform.deploy().await.expect("a deployment");
    drop(platform);
    let text = serde_json::to_string(&removal).expect("plain data");
    let undo = serde_json::from_str(&text).expect("the same");
    let how = undo::revert(&undo).await;
    assert!(matches!(how, undo::Reverted::Restored { .. }), "{how:?}");
    assert!(!bench.has_namespace().await);
    let again = undo::revert(&undo).await;
    assert!(matches!(again, undo::Reverted::Clean { .. }), "{again:?}");
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

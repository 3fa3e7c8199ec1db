//! What a cluster tells beside what becomes of instances, and of pods that never start.

use chaos_plan::plan::Rollout;
use chaos_platform::{Act, Observation, Platform, PlatformChange, Seen, undo};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::bench::bench;
use crate::look::{Watcher, life};

macro_rules! cluster {
    () => {
        match bench().await {
            Some(bench) => bench,
            None => return,
        }
    };
}

/// The next thing the platform tells beside its instances that fits.
async fn told(watcher: &mut Watcher, fits: impl Fn(&PlatformChange) -> bool) -> Observation {
    let fits = |seen: &Seen| matches!(seen, Seen::Platform(change) if fits(change));
    watcher.wait("", fits).await
}

#[tokio::test]
async fn a_version_that_cannot_start_is_told_and_is_no_instance() {
    let bench = cluster!();
    let mut platform = bench.platform().await;
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let act = Act::RollOut {
        service: "api".to_owned(),
        to: Rollout {
            image: Some("localhost/never-built:1".to_owned()),
            ..Rollout::default()
        },
    };
    let undone = platform.prepare(&act).await.expect("an undo");
    platform.apply(&act).await.expect("it is done");
    let stuck = watcher.wait(
        "api-3",
        |seen| matches!(seen, Seen::Stuck { why } if why.contains("never-built")),
    );
    stuck.await;
    let states = platform.instances().await.expect("readable");
    let of_api = states.iter().filter(|state| state.target.service == "api");
    let ready: Vec<bool> = of_api.map(|state| state.ready).collect();
    assert_eq!(ready, [true, true], "the pod that never starts is nobody");
    let warned = told(
        &mut watcher,
        |change| matches!(change, PlatformChange::Warned { object, .. } if object.starts_with("pod/api-")),
    );
    assert_eq!(warned.await.service, "api");
    let how = undo::revert(&undone).await;
    assert!(how.is_clean(), "{how:?}");
    let withdrawn = watcher.wait("api-3", |seen| matches!(seen, Seen::Withdrawn { .. }));
    withdrawn.await;
    assert_eq!(platform.teardown().await, Vec::<String>::new());
}

#[tokio::test]
async fn who_takes_traffic_is_told_as_it_changes() {
    let bench = cluster!();
    let mut platform = bench.platform().await;
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let serving = |was: Option<u32>, ready: u32| {
        move |change: &PlatformChange| {
            let name = "api".to_owned();
            *change == PlatformChange::Serving { name, was, ready }
        }
    };
    told(&mut watcher, serving(None, 2)).await;
    let act = Act::Delete {
        target: life(&platform, "api-1").await,
        grace_s: Some(0),
    };
    platform.prepare(&act).await.expect("an undo");
    platform.apply(&act).await.expect("it is done");
    let fewer = told(&mut watcher, serving(Some(2), 1)).await;
    assert_eq!(fewer.service, "api");
    told(&mut watcher, serving(Some(1), 2)).await;
    assert_eq!(platform.teardown().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_an_autoscaler_wants_is_told_and_who_comes_is_an_instance() {
    let bench = cluster!();
    let autoscaler = json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "more-api" }, "spec": { "minReplicas": 2, "maxReplicas": 5,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "api" },
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
                "target": { "type": "Utilization", "averageUtilization": 90 } } }] } });
    let manifests = format!("{}\n---\n{autoscaler}", bench.own_manifests());
    let platform = bench.connect(Some(&manifests)).await;
    let mut platform = platform.expect("a cluster that may be used");
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let wants = |number: u32| {
        move |change: &PlatformChange| {
            matches!(change, PlatformChange::Autoscaled { autoscaler, wanted, .. }
                if autoscaler == "more-api" && *wanted == number)
        }
    };
    assert_eq!(told(&mut watcher, wants(2)).await.service, "api");
    // As many as somebody says are to be there at least.
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let more = json!({ "spec": { "minReplicas": 3 } });
    let patch = Patch::Merge(&more);
    let patched = api.patch("more-api", &PatchParams::default(), &patch).await;
    patched.expect("an answer");
    let third = watcher.wait("api-3", |seen| *seen == Seen::Ready);
    third.await;
    assert_eq!(platform.teardown().await, Vec::<String>::new());
}

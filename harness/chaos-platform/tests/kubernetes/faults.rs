//! Each fault that is done through the API: its effect as anybody sees it, its mark on the object, its
//! undo by its data alone, and twice; then every object is as it was.

use chaos_plan::plan::Rollout;
use chaos_platform::undo::{self, Reverted};
use chaos_platform::{Act, Platform, Probe, Undo};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bench::{Bench, bench};
use crate::groups;
use crate::look::{life, until};

/// The two services of the target, up.
struct Stage<P> {
    bench: Bench,
    platform: P,
}

impl<P: Platform> Stage<P> {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.bench.client.clone(), &self.bench.namespace)
    }

    async fn holds(&self, probe: Probe) {
        let what = format!("{probe:?}");
        until(&what, async || {
            self.platform.probe(&probe).await.expect("a reading").holds
        })
        .await;
    }

    /// Prepares, sees that nothing changed by that, applies, and sees the effect.
    async fn break_it(&self, act: Act, effect: Probe) -> Undo {
        let undo = self.platform.prepare(&act).await.expect("an undo");
        let before = self.platform.probe(&effect).await.expect("a reading");
        assert!(!before.holds, "prepared only: {before:?}");
        self.platform.apply(&act).await.expect("it is done");
        self.holds(effect).await;
        undo
    }

    async fn scale_to_none(&self) -> Undo {
        let (service, replicas) = (api(), 0);
        let act = Act::Scale { service, replicas };
        let service = api();
        self.break_it(act, Probe::Scaled { service, replicas })
            .await
    }

    /// By its data alone, as another process would; and once more, which changes nothing.
    async fn take_back(&self, undo: &Undo) {
        let text = serde_json::to_string(undo).expect("plain data");
        let undo = serde_json::from_str(&text).expect("the same");
        let how = undo::revert(&undo).await;
        assert!(matches!(how, Reverted::Restored { .. }), "{how:?}");
        let again = undo::revert(&undo).await;
        assert!(matches!(again, Reverted::Clean { .. }), "{again:?}");
    }

    async fn deployment(&self) -> Deployment {
        let api: Api<Deployment> = self.api();
        api.get("api").await.expect("an answer")
    }

    async fn end(mut self) {
        assert_eq!(self.platform.teardown().await, Vec::<String>::new());
    }
}

macro_rules! stage {
    () => {{
        let Some(bench) = bench().await else { return };
        let mut platform = bench.platform().await;
        platform.deploy().await.expect("a deployment");
        Stage { bench, platform }
    }};
}

/// What somebody asked for of an object, without what its controllers write.
fn asked<K: Serialize>(object: &K) -> Value {
    let object = serde_json::to_value(object).expect("JSON");
    let mut annotations = object["metadata"]["annotations"].clone();
    if let Some(all) = annotations.as_object_mut() {
        all.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
    }
    let annotations = if annotations == json!({}) {
        Value::Null
    } else {
        annotations
    };
    json!({ "labels": object["metadata"]["labels"], "annotations": annotations, "spec": object["spec"] })
}

fn annotation<K: kube::ResourceExt>(object: &K, key: &str) -> Option<String> {
    object.annotations().get(key).cloned()
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object).expect("an object");
    let made = api.create(&PostParams::default(), &object).await;
    made.expect("it is made");
}

fn api() -> String {
    "api".to_owned()
}

fn whole() -> Probe {
    Probe::Whole { service: api() }
}

#[tokio::test]
async fn a_service_is_scaled_to_none_and_back() {
    let stage = stage!();
    let before = asked(&stage.deployment().await);
    let undo = stage.scale_to_none().await;
    let scaled = stage.deployment().await;
    assert_eq!(scaled.spec.as_ref().and_then(|spec| spec.replicas), Some(0));
    let marked = annotation(&scaled, "chaos.dev/undo-replicas").expect("its mark");
    assert_eq!(
        serde_json::from_str::<Undo>(&marked).expect("an undo"),
        undo
    );
    stage.take_back(&undo).await;
    stage.holds(whole()).await;
    assert_eq!(asked(&stage.deployment().await), before);
    stage.end().await;
}

#[tokio::test]
async fn a_drift_that_somebody_put_back_is_not_put_back_again() {
    let stage = stage!();
    let act = Act::Drift {
        service: api(),
        replicas: 1,
    };
    let effect = Probe::Wanted {
        service: api(),
        replicas: 1,
    };
    let undo = stage.break_it(act.clone(), effect).await;
    let managers = stage.deployment().await.metadata.managed_fields;
    let mut names = managers.into_iter().flatten().filter_map(|one| one.manager);
    assert!(names.any(|name| name == "somebody-else"));
    let again = stage
        .platform
        .prepare(&act)
        .await
        .expect_err("it bears a mark");
    assert!(!again.to_string().is_empty());
    let deployments: Api<Deployment> = stage.api();
    let back = json!({ "spec": { "replicas": 2 } });
    let patch = Patch::Merge(&back);
    let patched = deployments
        .patch("api", &PatchParams::default(), &patch)
        .await;
    patched.expect("somebody puts it back");
    let how = undo::revert(&undo).await;
    let Reverted::Clean { proof } = &how else {
        unreachable!("{how:?}")
    };
    assert!(proof.contains("put back already"), "{proof}");
    let left = annotation(&stage.deployment().await, "chaos.dev/undo-replicas");
    assert_eq!(left, None, "no mark is left");
    stage.end().await;
}

#[tokio::test]
async fn what_an_autoscaler_set_meanwhile_stays_and_its_minimum_is_kept() {
    let stage = stage!();
    let autoscalers = stage.api::<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>();
    create(
        &autoscalers,
        json!({ "metadata": { "name": "api" }, "spec": {
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "api" },
        "minReplicas": 2, "maxReplicas": 4 } }),
    )
    .await;
    let undo = stage.scale_to_none().await;
    let least = json!({ "spec": { "minReplicas": 3 } });
    let patch = Patch::Merge(&least);
    let raised = autoscalers
        .patch("api", &PatchParams::default(), &patch)
        .await;
    raised.expect("the minimum is raised meanwhile");
    stage.take_back(&undo).await;
    let restored = stage.deployment().await.spec.and_then(|spec| spec.replicas);
    assert_eq!(restored, Some(3));
    stage.end().await;
}

#[tokio::test]
async fn a_bad_image_loses_no_pod_and_is_rolled_back() {
    let stage = stage!();
    let before = asked(&stage.deployment().await);
    let to = Rollout {
        image: Some("localhost/never-built:1".to_owned()),
        ..Rollout::default()
    };
    let act = Act::RollOut {
        service: api(),
        to: to.clone(),
    };
    let probe = Probe::RolledOut { service: api(), to };
    let undo = stage.break_it(act, probe.clone()).await;
    until("a pod cannot start", async || {
        let seen = stage.platform.probe(&probe).await.expect("a reading").seen;
        seen.contains("localhost/never-built:1")
    })
    .await;
    let ready = stage
        .deployment()
        .await
        .status
        .and_then(|status| status.ready_replicas);
    assert_eq!(ready, Some(2), "those of the former version stay");
    stage.take_back(&undo).await;
    stage.holds(whole()).await;
    assert_eq!(asked(&stage.deployment().await), before);
    stage.end().await;
}

#[tokio::test]
async fn another_environment_and_the_same_version_again_are_rolled_out_and_back() {
    let stage = stage!();
    let before = asked(&stage.deployment().await);
    let bad = Rollout {
        env: [("LISTEN".to_owned(), "nowhere".to_owned())].into(),
        ..Rollout::default()
    };
    for to in [bad, Rollout::default()] {
        let act = Act::RollOut { service: api(), to };
        let undo = stage.platform.prepare(&act).await.expect("an undo");
        stage.platform.apply(&act).await.expect("it is done");
        stage.holds(whole()).await;
        assert_ne!(asked(&stage.deployment().await), before);
        stage.take_back(&undo).await;
        stage.holds(whole()).await;
        assert_eq!(asked(&stage.deployment().await), before);
    }
    stage.end().await;
}

#[tokio::test]
async fn a_service_is_lost_and_found_at_its_addresses() {
    let stage = stage!();
    let services: Api<Service> = stage.api();
    let before = services.get("front").await.expect("an answer");
    let both = || ("front".to_owned(), "front".to_owned());
    let (service, name) = both();
    let act = Act::Lose { service, name };
    let (service, name) = both();
    let undo = stage.break_it(act, Probe::Lost { service, name }).await;
    assert!(
        services
            .get_opt("front")
            .await
            .expect("an answer")
            .is_none()
    );
    let leases: Api<Lease> = stage.api();
    let lease = leases.get("chaos").await.expect("an answer");
    let marked = annotation(&lease, "chaos.dev/undo-service-front").expect("its undo");
    assert_eq!(
        serde_json::from_str::<Undo>(&marked).expect("an undo"),
        undo
    );
    stage.take_back(&undo).await;
    let (service, name) = both();
    stage.holds(Probe::Found { service, name }).await;
    let after = services.get("front").await.expect("an answer");
    assert_eq!(asked(&after), asked(&before), "addresses and node port");
    assert_ne!(after.metadata.uid, before.metadata.uid);
    let lease = leases.get("chaos").await.expect("an answer");
    assert_eq!(annotation(&lease, "chaos.dev/undo-service-front"), None);
    stage.end().await;
}

#[tokio::test]
async fn a_pod_gets_less_cpu_without_a_restart_and_then_what_it_had() {
    let stage = stage!();
    let target = life(&stage.platform, "api-1").await;
    let pods: Api<Pod> = stage.api();
    let all = async || {
        let all = pods.list(&ListParams::default()).await.expect("an answer");
        let asked: Vec<Value> = all.items.iter().map(asked).collect();
        json!(asked)
    };
    let before = all().await;
    let quotas = async || {
        groups::quotas(
            &pods
                .list(&ListParams::default())
                .await
                .expect("an answer")
                .items,
        )
    };
    let every = quotas().await;
    assert!(every.values().all(|quota| *quota == Some(200)), "{every:?}");
    assert_eq!(every.len(), 4, "a container in each pod: {every:?}");
    let act = Act::LimitCpu {
        target: target.clone(),
        millicores: 50,
    };
    let effect = Probe::Limited {
        target: target.clone(),
        millicores: 50,
    };
    let undo = stage.break_it(act, effect).await;
    let limited = all().await.to_string();
    assert_eq!(limited.matches("\"cpu\":\"50m\"").count(), 1, "{limited}");
    let (other, same): (Vec<_>, Vec<_>) = quotas()
        .await
        .into_iter()
        .partition(|(pod, quota)| every[pod] != *quota);
    assert!(
        matches!(other.as_slice(), [(_, Some(50))]),
        "{other:?} {same:?}"
    );
    assert_eq!(same.len(), 3, "others have what they had: {same:?}");
    stage.take_back(&undo).await;
    let effect = Probe::Unlimited {
        target: target.clone(),
        millicores: 50,
    };
    stage.holds(effect).await;
    assert_eq!(all().await, before);
    assert_eq!(quotas().await, every);
    assert_eq!(
        life(&stage.platform, "api-1").await,
        target,
        "the same life"
    );
    stage.end().await;
}

#[tokio::test]
async fn a_budget_that_refuses_an_eviction_is_a_result() {
    let stage = stage!();
    let target = life(&stage.platform, "api-1").await;
    let evict = Act::Evict {
        target: target.clone(),
    };
    let evicted = Probe::Evicted {
        target: target.clone(),
    };
    let budgets: Api<PodDisruptionBudget> = stage.api();
    create(
        &budgets,
        json!({ "metadata": { "name": "api" }, "spec": {
        "minAvailable": 2, "selector": { "matchLabels": { "app": "api" } } } }),
    )
    .await;
    until("the budget counts its pods", async || {
        let budget = budgets.get("api").await.expect("an answer");
        budget
            .status
            .is_some_and(|status| status.current_healthy == 2)
    })
    .await;
    stage.platform.prepare(&evict).await.expect("an undo");
    let reading = stage.platform.probe(&evicted).await.expect("a reading");
    assert!(!reading.holds, "nobody asked for it: {reading:?}");
    stage
        .platform
        .apply(&evict)
        .await
        .expect("refused, which is no error");
    stage.holds(evicted.clone()).await;
    let reading = stage.platform.probe(&evicted).await.expect("a reading");
    assert!(reading.seen.contains("refused"), "{reading:?}");
    assert_eq!(life(&stage.platform, "api-1").await, target, "it stays");
    let looser = json!({ "spec": { "minAvailable": 1 } });
    let patch = Patch::Merge(&looser);
    let patched = budgets.patch("api", &PatchParams::default(), &patch).await;
    patched.expect("the budget is looser");
    until("the budget allows it", async || {
        let budget = budgets.get("api").await.expect("an answer");
        budget
            .status
            .is_some_and(|status| status.disruptions_allowed > 0)
    })
    .await;
    let reading = stage.platform.probe(&evicted).await.expect("a reading");
    assert!(!reading.holds, "asking does not evict: {reading:?}");
    stage.platform.apply(&evict).await.expect("it is done");
    stage.holds(Probe::Gone { target }).await;
    stage.end().await;
}

#[tokio::test]
async fn what_cannot_be_undone_or_would_change_nothing_is_refused_before_the_act() {
    let stage = stage!();
    let refused = async |act: Act, why: &str| {
        let error = stage.platform.prepare(&act).await.expect_err("refused");
        assert!(error.to_string().contains(why), "{error}");
    };
    let same = Act::Scale {
        service: api(),
        replicas: 2,
    };
    refused(same, "2 replicas already").await;
    let none = Act::Lose {
        service: api(),
        name: "nobody".to_owned(),
    };
    refused(none, "there is no such object").await;
    let target = life(&stage.platform, "api-1").await;
    let same = Act::LimitCpu {
        target,
        millicores: 200,
    };
    refused(same, "that limit already").await;
    let act = Act::Scale {
        service: api(),
        replicas: 1,
    };
    let error = stage
        .platform
        .apply(&act)
        .await
        .expect_err("never prepared");
    assert!(error.to_string().contains("not prepared"), "{error}");
    stage.end().await;
}

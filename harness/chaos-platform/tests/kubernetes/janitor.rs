//! The janitor is made with what it needs and no more, says why it does not start, stays while a fault
//! stands, and goes with all that was made for it.

use std::time::Instant;

use chaos_platform::undo::{self, Reverted};
use chaos_platform::{Act, Platform};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::SECONDS;
use crate::bench::{Bench, bench};
use crate::look::{life, until};

async fn ready() -> Option<Bench> {
    let bench = bench().await?;
    bench
        .make_namespace(&json!({ "chaos.dev/allow": "true" }))
        .await;
    bench.apply_by_hand().await;
    Some(bench)
}

fn api<K>(bench: &Bench) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(bench.client.clone(), &bench.namespace)
}

/// How many Jobs, accounts, Roles and bindings a janitor has.
async fn made(bench: &Bench) -> [usize; 4] {
    let of_it = ListParams::default().labels("app.kubernetes.io/name=chaos-janitor");
    let jobs = api::<Job>(bench).list(&of_it).await;
    let accounts = api::<ServiceAccount>(bench).list(&of_it).await;
    let roles = api::<Role>(bench).list(&of_it).await;
    let bindings = api::<RoleBinding>(bench).list(&of_it).await;
    [
        jobs.expect("an answer").items.len(),
        accounts.expect("an answer").items.len(),
        roles.expect("an answer").items.len(),
        bindings.expect("an answer").items.len(),
    ]
}

/// Resources, names and verbs that its Role grants.
async fn granted(bench: &Bench) -> Value {
    let of_it = ListParams::default().labels("app.kubernetes.io/name=chaos-janitor");
    let roles = api::<Role>(bench).list(&of_it).await.expect("an answer");
    let rules = roles.items.first().and_then(|role| role.rules.clone());
    let all = rules
        .unwrap_or_default()
        .into_iter()
        .map(|rule| json!([rule.resources, rule.resource_names, rule.verbs]));
    all.collect()
}

#[tokio::test]
async fn it_may_touch_what_faults_touch_stays_while_one_stands_and_goes_with_the_run() {
    let Some(bench) = ready().await else { return };
    let mut platform = bench.connect_with_janitor(None).await.expect("opted in");
    let removal = platform.prepare_deploy().await.expect("a look");
    let removal = removal.expect("the undo of it");
    platform.deploy().await.expect("it runs");
    assert_eq!(made(&bench).await, [1; 4]);
    let lease = json!([["leases"], ["chaos"], ["get", "patch", "delete"]]);
    let workload = json!([["deployments"], ["api"], ["get", "patch"]]);
    assert_eq!(granted(&bench).await, json!([lease, workload]));

    let target = life(&platform, "api-1").await;
    let act = Act::LimitCpu {
        target,
        millicores: 50,
    };
    let fault = platform.prepare(&act).await.expect("an undo");
    platform.apply(&act).await.expect("it is done");
    let grown = granted(&bench).await;
    assert_eq!(grown[3][0], json!(["pods/resize"]), "{grown}");
    assert_eq!(grown[3][1], grown[2][1], "of one pod: {grown}");
    assert_eq!(grown[3][1].as_array().map(Vec::len), Some(1), "{grown}");

    let early = undo::revert(&removal).await;
    assert!(
        early.words().contains("a fault of the run stands on pod/"),
        "{early:?}"
    );
    assert_eq!(made(&bench).await, [1; 4]);
    let undone = platform.undo(&fault).await;
    assert!(matches!(undone, Reverted::Restored { .. }), "{undone:?}");
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    until("all of it is gone", async || made(&bench).await == [0; 4]).await;
    assert!(undo::revert(&removal).await.is_clean());
    bench.remove_namespace().await;
}

#[tokio::test]
async fn a_run_that_lost_the_namespace_begins_no_fault() {
    let Some(bench) = ready().await else { return };
    let mut platform = bench.connect_with_janitor(None).await.expect("opted in");
    platform.deploy().await.expect("it runs");
    let act = Act::Scale {
        service: "api".to_owned(),
        replicas: 1,
    };
    platform.prepare(&act).await.expect("an undo");
    let taken = json!({ "spec": { "holderIdentity": "somebody-else" } });
    let leases: Api<Lease> = api(&bench);
    let patch = Patch::Merge(&taken);
    let patched = leases.patch("chaos", &PatchParams::default(), &patch).await;
    patched.expect("an answer");
    let refused = platform.apply(&act).await.expect_err("it is another's");
    assert!(
        refused.to_string().contains("gone or another's"),
        "{refused}"
    );
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    bench.remove_namespace().await;
}

#[tokio::test]
async fn one_that_cannot_start_is_told_within_seconds() {
    let Some(bench) = ready().await else { return };
    let never = bench.connect_with_janitor(Some("localhost/never-built:1"));
    let mut platform = never.await.expect("opted in");
    let begun = Instant::now();
    let error = platform.deploy().await.expect_err("no such image");
    assert!(begun.elapsed() < SECONDS, "{:?}", begun.elapsed());
    let text = error.to_string();
    for part in ["chaos-janitor", "localhost/never-built:1", "--no-janitor"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    until("all of it is gone", async || made(&bench).await == [0; 4]).await;
    bench.remove_namespace().await;
}

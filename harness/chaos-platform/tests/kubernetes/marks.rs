//! What a dead harness left is found by its marks alone, from anywhere, and nobody begins over it.

use chaos_platform::kubernetes::take_back;
use chaos_platform::undo::Reverted;
use chaos_platform::{Act, Platform};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::bench::bench;
use crate::look::until;

#[tokio::test]
async fn faults_of_a_dead_harness_are_taken_back_by_their_marks() {
    let Some(bench) = bench().await else { return };
    bench
        .make_namespace(&json!({ "chaos.dev/allow": "true" }))
        .await;
    bench.apply_by_hand().await;
    let mut platform = bench.connect(None).await.expect("opted in");
    platform.deploy().await.expect("it runs");
    let scale = Act::Scale {
        service: "api".to_owned(),
        replicas: 1,
    };
    let lose = Act::Lose {
        service: "api".to_owned(),
        name: "api".to_owned(),
    };
    for act in [scale, lose] {
        platform.prepare(&act).await.expect("an undo");
        platform.apply(&act).await.expect("it is done");
    }
    let alive = take_back(&bench.chosen(), None)
        .await
        .expect_err("it lives");
    assert!(alive.to_string().contains("alive"), "{alive}");
    drop(platform);
    // As if it had been dead for long.
    let leases: Api<Lease> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let long_ago = json!({ "spec": { "renewTime": "2020-01-01T00:00:00.000000Z" } });
    until("the lease is nobody's", async || {
        let patch = Patch::Merge(&long_ago);
        let patched = leases.patch("chaos", &PatchParams::default(), &patch).await;
        patched.expect("an answer");
        take_back(&bench.chosen(), Some("no such run"))
            .await
            .is_ok()
    })
    .await;
    let refused = bench.connect(None).await.err().expect("faults stand there");
    assert!(refused.to_string().contains("chaos recover"), "{refused}");
    let taken = take_back(&bench.chosen(), None)
        .await
        .expect("nobody is there");
    assert_eq!(taken.len(), 2, "{taken:?}");
    for one in &taken {
        assert!(matches!(one.how, Reverted::Restored { .. }), "{one:?}");
    }
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let api = deployments.get("api").await.expect("an answer");
    assert_eq!(api.spec.and_then(|spec| spec.replicas), Some(2));
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    assert!(services.get_opt("api").await.expect("an answer").is_some());
    assert!(leases.get_opt("chaos").await.expect("an answer").is_none());
    bench.remove_namespace().await;
}

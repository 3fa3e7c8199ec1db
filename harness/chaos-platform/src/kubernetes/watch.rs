//! Watches the pods of the namespace and the lease, and tells what is seen.
//!
//! Invariant: ends with the platform. A watch that breaks begins again with a list, so nothing stays
//! unseen for longer than the API server was away; that it was is told once, by whoever renews the lease.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::pod::Seen;
use super::slots::Told;
use super::{Shared, lease};
use crate::clock::monotonic_ns;
use crate::observation::{Observation, Seen as Observed};

/// Longest life of one watch, seconds: a connection that died in silence is noticed after it.
pub(super) const WATCH_S: u32 = 30;
/// Between two tries while the API server does not answer.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Pods that were listed since a watch began again, with their services.
type Listed = Vec<(String, Seen)>;

/// Watches pods until the platform stops.
pub(super) async fn pods(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    Box::pin(stop.run_until_cancelled(watch_pods(&shared))).await;
}

async fn watch_pods(shared: &Shared) {
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &shared.place.namespace);
    let config = watcher::Config::default().timeout(WATCH_S);
    let mut events = Box::pin(watcher(api, config));
    let mut listed = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(shared, event, &mut listed).await,
            // The lease tells that the API server is away; a watch that has nothing to tell says nothing.
            Err(error) => {
                tracing::debug!(%error, "pods are not seen");
                sleep(RETRY).await;
            }
        }
    }
}

async fn take(shared: &Shared, event: Event<Pod>, listed: &mut Option<Listed>) {
    let at_ns = monotonic_ns();
    match event {
        Event::Init => *listed = Some(Listed::new()),
        Event::InitApply(pod) => {
            let listed = listed.get_or_insert_default();
            listed.extend(shared.meant(&pod));
        }
        Event::Apply(pod) => {
            if let Some((service, seen)) = shared.meant(&pod) {
                let told = shared.change(|slots| slots.take(&service, &seen));
                tell(shared, at_ns, told).await;
            }
        }
        Event::Delete(pod) => {
            if let Some((service, seen)) = shared.meant(&pod) {
                gone(shared, at_ns, (&service, &seen.uid), Some(&seen)).await;
            }
        }
        Event::InitDone => take_all(shared, at_ns, listed.take().unwrap_or_default()).await,
    }
}

/// What a whole list says: first who is gone, so that who came meanwhile takes their slots.
async fn take_all(shared: &Shared, at_ns: u64, listed: Listed) {
    let there: BTreeSet<(String, String)> = listed
        .iter()
        .map(|(service, seen)| (service.clone(), seen.uid.clone()))
        .collect();
    let known = shared.slots.borrow().uids();
    for (service, uid) in known.difference(&there) {
        gone(shared, at_ns, (service, uid), None).await;
    }
    for (service, seen) in &listed {
        let told = shared.change(|slots| slots.take(service, seen));
        tell(shared, at_ns, told).await;
    }
}

async fn gone(shared: &Shared, at_ns: u64, (service, uid): (&str, &str), last: Option<&Seen>) {
    let told = shared.change(|slots| slots.gone(service, uid, last));
    tell(shared, at_ns, told).await;
}

pub(super) async fn tell(shared: &Shared, at_ns: u64, told: impl IntoIterator<Item = Told>) {
    for (service, instance, seen) in told {
        shared
            .observer
            .tell_at(at_ns, &service, &instance, seen)
            .await;
    }
}

/// Tells of slots that nobody takes any more, until the platform stops.
pub(super) async fn places(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    Box::pin(stop.run_until_cancelled(withdraw(&shared))).await;
}

async fn withdraw(shared: &Shared) {
    let mut slots = shared.slots.subscribe();
    loop {
        let open = slots.borrow_and_update().open();
        let known = shared.services.iter();
        for service in known.filter(|service| open.contains(&service.name)) {
            // While the API server is away nothing is known; the next look comes with the next change.
            if let Ok(wanted) = shared.wanted(service).await {
                let told = shared.change(|slots| slots.settle(&service.name, wanted));
                tell(shared, monotonic_ns(), told).await;
            }
        }
        sleep(RETRY).await;
        if slots.changed().await.is_err() {
            return;
        }
    }
}

/// Renews the lease until the platform stops; whoever loses it is told that the run cannot go on.
pub(super) async fn lease(shared: Arc<Shared>) {
    let stop = shared.release.clone();
    stop.run_until_cancelled(renew(&shared)).await;
}

async fn renew(shared: &Shared) {
    let mut beat = interval(lease::RENEW);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        beat.tick().await;
        match lease::renew(&shared.client, &shared.place, &shared.run).await {
            Ok(true) => {
                if std::mem::take(&mut away) {
                    tracing::warn!(server = shared.place.server, "the API server answers again");
                }
            }
            Ok(false) => break,
            // Nobody else can take it without the API server either.
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!("pods are not seen for now: failed to {error}");
                }
            }
        }
    }
    let why = format!(
        "the lease of namespace `{}` is gone or another's: somebody else may be at it",
        shared.place.namespace
    );
    shared
        .observer
        .pass_on(Observation {
            at_ns: monotonic_ns(),
            service: String::new(),
            instance: String::new(),
            seen: Observed::PlatformLost { why },
        })
        .await;
}

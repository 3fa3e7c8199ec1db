//! Watches objects of one kind and tells what followers make of them.
//!
//! Invariant: a watch that breaks begins again with a list. What a follower keeps of an object is small,
//! and of so many objects at most. While the run takes its target down, nothing is told.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::Shared;
use super::slots::Told;
use super::watch::{RETRY, WATCH_S, tell};
use crate::clock::monotonic_ns;

/// Most objects of a kind that are looked at.
const OBJECTS_MAX: usize = 10_000;

/// Makes observations of the objects of one kind.
pub(super) trait Follower: Send {
    type Object;
    /// What is kept of an object while a list is read.
    type Small: Send;

    /// The part of an object that counts.
    fn small(&self, object: Self::Object) -> Option<Self::Small>;
    /// All there are, at the beginning and whenever a watch had to begin again.
    fn all(&mut self, shared: &Shared, all: Vec<Self::Small>) -> Vec<Told>;
    /// One is there, for the first time or as it is now.
    fn there(&mut self, shared: &Shared, one: Self::Small) -> Vec<Told>;
    /// One is gone.
    fn gone(&mut self, shared: &Shared, one: Self::Small) -> Vec<Told>;
}

/// Follows until the platform stops.
pub(super) async fn follow<F>(shared: Arc<Shared>, api: Api<F::Object>, follower: F)
where
    F: Follower,
    F::Object: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    <F::Object as Resource>::DynamicType: Default + Eq + Hash + Clone,
{
    let stop = shared.stop.clone();
    Box::pin(stop.run_until_cancelled(watch(&shared, api, follower))).await;
}

async fn watch<F>(shared: &Shared, api: Api<F::Object>, mut follower: F)
where
    F: Follower,
    F::Object: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    <F::Object as Resource>::DynamicType: Default + Eq + Hash + Clone,
{
    let config = watcher::Config::default().timeout(WATCH_S);
    let mut events = Box::pin(watcher(api, config));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let at_ns = monotonic_ns();
        let told = match event {
            Ok(event) => take(shared, &mut follower, event, &mut listed),
            // The lease tells that the API server is away; a watch that has nothing to tell says nothing.
            Err(error) => {
                tracing::debug!(%error, "objects are not seen");
                sleep(RETRY).await;
                Vec::new()
            }
        };
        // What the run takes down itself is told by who ends, not by what follows from it.
        let told = told.into_iter().filter(|_| !shared.slots.borrow().asked);
        tell(shared, at_ns, told).await;
    }
}

fn take<F: Follower>(
    shared: &Shared,
    follower: &mut F,
    event: Event<F::Object>,
    listed: &mut Vec<F::Small>,
) -> Vec<Told> {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            if listed.len() < OBJECTS_MAX {
                listed.extend(follower.small(object));
            }
        }
        Event::InitDone => return follower.all(shared, std::mem::take(listed)),
        Event::Apply(object) => {
            let small = follower.small(object);
            return small.map_or_else(Vec::new, |small| follower.there(shared, small));
        }
        Event::Delete(object) => {
            let small = follower.small(object);
            return small.map_or_else(Vec::new, |small| follower.gone(shared, small));
        }
    }
    Vec::new()
}

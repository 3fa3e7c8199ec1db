//! The instances of a target whose pods come and go: slots that pods take.
//!
//! A pod has a name of its own and never comes back; what a service has is a number of places. So an
//! instance is a slot (`api-2`), and one life of it is one run of the container in one pod. A pod that
//! is new takes the first slot whose pod is gone or leaving, otherwise a slot that nobody had yet.
//!
//! Invariant: pure. A life is known by the UID of its pod and the restarts of its container, so an
//! incarnation never means two of them; what is told of a slot is told in the order of its lives. A slot
//! is withdrawn only while as many pods stay as are wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::pod::Seen;
use crate::act::InstanceRef;
use crate::observation::Seen as Observed;

/// Lives of one slot that are remembered; of older ones it is only known that they have ended.
const LIVES: usize = 200;

/// One life: a container of a pod, between two starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) incarnation: u32,
    pub(super) pod: String,
    pub(super) uid: String,
    restarts: i32,
    /// It was told that it started, and not yet that it ended.
    up: bool,
    ready: bool,
    leaving: bool,
    /// It was told that it cannot start.
    stuck: bool,
    /// Something was told of it.
    told: bool,
    /// That it is no longer ready is to be said by its end, which was not told yet.
    owes_end: bool,
}

impl Life {
    /// Whether this version of a pod is of this life.
    pub(super) fn is_of(&self, pod: &Seen) -> bool {
        self.uid == pod.uid && self.restarts == pod.restarts
    }

    /// Its container runs, as far as was told.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }
}

#[derive(Debug, Default)]
struct Slot {
    lives: Vec<Life>,
    /// The last of `lives` is there: its pod is neither gone nor replaced.
    taken: bool,
    /// It was told that nobody takes it any more.
    withdrawn: bool,
}

impl Slot {
    /// Its pod is there and stays.
    fn stays(&self) -> bool {
        self.taken && self.lives.last().is_some_and(|life| !life.leaving)
    }

    /// Somebody was here, and whoever follows the run does not know yet whether somebody comes again.
    fn is_open(&self) -> bool {
        !self.taken && !self.withdrawn && self.lives.iter().any(|life| life.told)
    }

    fn current(&mut self) -> Option<&mut Life> {
        self.lives.last_mut().filter(|_| self.taken)
    }

    fn is_free(&self) -> bool {
        !self.taken || self.lives.last().is_none_or(|life| life.leaving)
    }

    fn begin(&mut self, pod: &Seen) {
        let incarnation = self.lives.last().map_or(1, |life| life.incarnation + 1);
        if self.lives.len() == LIVES {
            self.lives.remove(0);
        }
        self.lives.push(Life {
            incarnation,
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            restarts: pod.restarts,
            up: false,
            ready: false,
            leaving: false,
            stuck: false,
            told: false,
            owes_end: false,
        });
        (self.taken, self.withdrawn) = (true, false);
    }
}

/// What is told of a slot: service, instance, what was seen.
pub(super) type Told = (String, String, Observed);

/// All slots of a target.
#[derive(Debug, Default)]
pub(super) struct Slots {
    services: BTreeMap<String, Vec<Slot>>,
    /// The run itself is taking pods down: their ends are asked for.
    pub(super) asked: bool,
}

impl Slots {
    /// Takes in one version of a pod of `service`.
    pub(super) fn take(&mut self, service: &str, pod: &Seen) -> Vec<Told> {
        let asked = self.asked;
        let slots = self.services.entry(service.to_owned()).or_default();
        let known = slots.iter().position(|slot| {
            slot.taken && slot.lives.last().is_some_and(|life| life.uid == pod.uid)
        });
        let index = match known {
            Some(index) => index,
            // What is about to go when it is first seen, or was replaced already, takes no slot.
            None if pod.leaving || seen_before(slots, &pod.uid) => return Vec::new(),
            None => free(slots),
        };
        let slot = &mut slots[index];
        let mut seen = Vec::new();
        if known.is_none() {
            // Its successor may be seen before it is gone.
            if let Some(life) = slot.current().filter(|life| life.owes_end) {
                let status = format!("pod {} is deleted", life.pod);
                seen.push(Observed::Exited { status, asked });
            }
            slot.begin(pod);
        }
        follow(slot, pod, asked, &mut seen);
        named(service, index, seen)
    }

    /// The pod of this UID is gone.
    pub(super) fn gone(&mut self, service: &str, uid: &str, last: Option<&Seen>) -> Vec<Told> {
        let asked = self.asked;
        let slots = self.services.entry(service.to_owned()).or_default();
        let mut all = slots.iter_mut().enumerate();
        let found = all
            .find(|(_, slot)| slot.taken && slot.lives.last().is_some_and(|life| life.uid == uid));
        let Some((index, slot)) = found else {
            return Vec::new();
        };
        slot.taken = false;
        let mut seen = Vec::new();
        if let Some(life) = slot.lives.last_mut() {
            (life.leaving, life.ready) = (true, false);
            if std::mem::take(&mut life.up) {
                let how = last.and_then(|last| last.ended.clone());
                let status = match how {
                    Some(how) => format!("pod {} is gone, {how}", life.pod),
                    None => format!("pod {} is gone", life.pod),
                };
                seen.push(Observed::Exited { status, asked });
            }
        }
        named(service, index, seen)
    }

    /// Services with a slot that is free, so that it is worth asking how many of them are wanted.
    pub(super) fn open(&self) -> Vec<String> {
        let services = self.services.iter().filter(|_| !self.asked);
        let open = services.filter(|(_, slots)| slots.iter().any(Slot::is_open));
        open.map(|(service, _)| service.clone()).collect()
    }

    /// So many pods of `service` are wanted: withdraws the free slots if nobody is missing.
    pub(super) fn settle(&mut self, service: &str, wanted: usize) -> Vec<Told> {
        let asked = self.asked;
        let Some(slots) = self.services.get_mut(service).filter(|_| !asked) else {
            return Vec::new();
        };
        if slots.iter().filter(|slot| slot.stays()).count() < wanted {
            return Vec::new();
        }
        let free = slots
            .iter_mut()
            .enumerate()
            .filter(|(_, slot)| slot.is_open());
        let told = free.flat_map(|(index, slot)| {
            slot.withdrawn = true;
            let started = slot.lives.last().is_some_and(|life| !life.stuck);
            let why = if started {
                format!("its pod is gone, and all {wanted} that are wanted are there")
            } else {
                "its pod is gone and never started".to_owned()
            };
            named(service, index, vec![Observed::Withdrawn { why }])
        });
        told.collect()
    }

    /// The service of the pod of this UID, also of one that is gone.
    pub(super) fn whose(&self, uid: &str) -> Option<String> {
        let mut services = self.services.iter();
        let found = services.find(|(_, slots)| seen_before(slots, uid));
        found.map(|(service, _)| service.clone())
    }

    /// UIDs of the pods that are there.
    pub(super) fn uids(&self) -> BTreeSet<(String, String)> {
        let all = self.services.iter().flat_map(|(service, slots)| {
            let taken = slots.iter().filter(|slot| slot.taken);
            let lives = taken.filter_map(|slot| slot.lives.last());
            lives.map(move |life| (service.clone(), life.uid.clone()))
        });
        all.collect()
    }

    /// The life that a reference means, if it is remembered.
    pub(super) fn life(&self, target: &InstanceRef) -> Option<&Life> {
        let lives = &self.slot(target)?.lives;
        lives
            .iter()
            .find(|life| life.incarnation == target.incarnation)
    }

    /// The life that a slot is in, or was in last.
    pub(super) fn last(&self, target: &InstanceRef) -> Option<&Life> {
        self.slot(target)?.lives.last()
    }

    fn slot(&self, target: &InstanceRef) -> Option<&Slot> {
        let slots = self.services.get(&target.service)?;
        let named = slots.iter().enumerate();
        let mut same = named.filter(|(index, _)| name(&target.service, *index) == target.instance);
        Some(same.next()?.1)
    }

    /// The present life of each slot, or its last; and whether its pod is there and stays.
    pub(super) fn all(&self) -> Vec<(InstanceRef, &Life, bool)> {
        let mut all = Vec::new();
        for (service, slots) in &self.services {
            for (index, slot) in slots.iter().enumerate() {
                let Some(life) = slot.lives.last() else {
                    continue;
                };
                let target = InstanceRef {
                    service: service.clone(),
                    instance: name(service, index),
                    incarnation: life.incarnation,
                };
                all.push((target, life, slot.stays()));
            }
        }
        all
    }
}

fn name(service: &str, index: usize) -> String {
    format!("{service}-{}", index + 1)
}

fn named(service: &str, index: usize, seen: Vec<Observed>) -> Vec<Told> {
    let instance = name(service, index);
    seen.into_iter()
        .map(|seen| (service.to_owned(), instance.clone(), seen))
        .collect()
}

fn seen_before(slots: &[Slot], uid: &str) -> bool {
    slots
        .iter()
        .any(|slot| slot.lives.iter().any(|life| life.uid == uid))
}

fn free(slots: &mut Vec<Slot>) -> usize {
    slots.iter().position(Slot::is_free).unwrap_or_else(|| {
        slots.push(Slot::default());
        slots.len() - 1
    })
}

/// What one version of the slot's own pod changes.
fn follow(slot: &mut Slot, pod: &Seen, asked: bool, seen: &mut Vec<Observed>) {
    let ended = || pod.ended.clone().unwrap_or_else(|| pod.why.clone());
    if let Some(life) = slot.current() {
        let again = pod.restarts > life.restarts;
        if life.up && (again || !pod.running) {
            (life.up, life.ready, life.owes_end) = (false, false, false);
            seen.push(Observed::Exited {
                status: ended(),
                asked,
            });
        }
        if again && pod.running {
            slot.begin(pod);
        }
    }
    let Some(life) = slot.current() else { return };
    if pod.running && !life.up {
        (life.up, life.told, life.stuck) = (true, true, false);
        seen.push(Observed::Started {
            incarnation: life.incarnation,
            pid: None,
            address: pod.address.clone().unwrap_or_default(),
            place: Some(pod.place()),
        });
    }
    if let Some(why) = pod.stuck.as_ref().filter(|_| !life.up && !life.stuck) {
        (life.stuck, life.told) = (true, true);
        seen.push(Observed::Stuck { why: why.clone() });
    }
    life.leaving |= pod.leaving;
    let ready = pod.ready && life.up;
    if ready == life.ready {
        return;
    }
    life.ready = ready;
    if ready {
        seen.push(Observed::Ready);
        return;
    }
    // Of a pod that goes at once, or that the run takes down, the end is told and says it all.
    let is_said_by_its_end = pod.at_once || (asked && pod.leaving);
    life.owes_end = is_said_by_its_end && life.up;
    if !is_said_by_its_end {
        seen.push(Observed::Unready {
            why: pod.why.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::pod::tests::{meant, pod};

    const READY: &str = "/status/conditions";
    const STATUS: &str = "/status/containerStatuses/0";

    fn view(name: &str, changes: &[(&str, Value)]) -> Seen {
        Seen::of(&pod(name, changes), &meant()).expect("a pod")
    }

    fn unready() -> (&'static str, Value) {
        (READY, json!([{ "type": "Ready", "status": "False" }]))
    }

    fn leaving() -> (&'static str, Value) {
        ("/metadata/deletionTimestamp", json!("2026-11-21T10:00:00Z"))
    }

    fn restarts(count: i32, state: &Value) -> (&'static str, Value) {
        let status = json!({ "name": "api", "image": "", "imageID": "", "ready": false,
            "restartCount": count, "state": state });
        (STATUS, status)
    }

    /// Slot and word of everything that is told.
    fn words(told: &[Told]) -> Vec<String> {
        let word = |seen: &Observed| match seen {
            Observed::Started { incarnation, .. } => format!("started {incarnation}"),
            Observed::Ready => "ready".to_owned(),
            Observed::Unready { .. } => "unready".to_owned(),
            Observed::Exited { asked, .. } => format!("exited {asked}"),
            Observed::Stuck { why } => format!("stuck: {why}"),
            Observed::Withdrawn { why } => format!("withdrawn: {why}"),
            other => format!("{other:?}"),
        };
        told.iter()
            .map(|(_, instance, seen)| format!("{instance} {}", word(seen)))
            .collect()
    }

    fn two() -> Slots {
        let mut slots = Slots::default();
        for name in ["a", "b"] {
            slots.take("api", &view(name, &[]));
        }
        slots
    }

    #[test]
    fn a_pod_that_replaces_another_takes_its_slot() {
        let mut slots = two();
        assert_eq!(
            words(&slots.gone("api", "uid-a", None)),
            ["api-1 exited false"]
        );
        let new = slots.take("api", &view("c", &[unready()]));
        assert_eq!(words(&new), ["api-1 started 2"]);
        assert_eq!(words(&slots.take("api", &view("c", &[]))), ["api-1 ready"]);
        let target = |incarnation| InstanceRef {
            service: "api".to_owned(),
            instance: "api-1".to_owned(),
            incarnation,
        };
        assert_eq!(slots.life(&target(1)).expect("remembered").pod, "a");
        assert_eq!(slots.life(&target(2)).expect("the present one").pod, "c");
        assert_eq!(slots.life(&target(3)), None);
    }

    #[test]
    fn one_that_is_leaving_is_replaced_before_it_is_gone_and_its_end_is_not_the_others() {
        let mut slots = two();
        assert_eq!(
            words(&slots.take("api", &view("a", &[leaving()]))),
            ["api-1 unready"]
        );
        let new = slots.take("api", &view("c", &[]));
        assert_eq!(words(&new), ["api-1 started 2", "api-1 ready"]);
        assert!(slots.take("api", &view("a", &[leaving()])).is_empty());
        assert!(slots.gone("api", "uid-a", None).is_empty());
        assert_eq!(slots.all().len(), 2);
    }

    #[test]
    fn one_more_than_before_gets_a_slot_of_its_own() {
        let mut slots = two();
        let surge = slots.take("api", &view("c", &[]));
        assert_eq!(words(&surge), ["api-3 started 1", "api-3 ready"]);
    }

    fn without_image(message: &str) -> [(&'static str, Value); 2] {
        let waiting = json!({ "waiting": { "reason": "ErrImagePull", "message": message } });
        [unready(), restarts(0, &waiting)]
    }

    #[test]
    fn a_pod_that_cannot_start_says_so_once_and_is_withdrawn_when_nobody_misses_it() {
        let mut slots = two();
        let stuck = slots.take("api", &view("c", &without_image("not found")));
        assert_eq!(
            words(&stuck),
            ["api-3 stuck: image `` cannot be pulled: not found"]
        );
        let again = slots.take("api", &view("c", &without_image("back-off")));
        assert!(again.is_empty(), "{again:?}");
        assert!(slots.open().is_empty(), "its pod is still there");
        assert!(slots.gone("api", "uid-c", None).is_empty());
        assert_eq!(slots.open(), ["api"]);
        assert!(slots.settle("api", 3).is_empty(), "one more is wanted");
        let told = words(&slots.settle("api", 2));
        assert_eq!(told, ["api-3 withdrawn: its pod is gone and never started"]);
        assert!(slots.open().is_empty() && slots.settle("api", 2).is_empty());
    }

    #[test]
    fn one_that_starts_after_all_is_no_longer_stuck() {
        let mut slots = two();
        slots.take("api", &view("c", &without_image("not found")));
        let up = slots.take("api", &view("c", &[]));
        assert_eq!(words(&up), ["api-3 started 1", "api-3 ready"]);
    }

    #[test]
    fn after_a_surge_the_slot_that_nobody_takes_is_withdrawn_and_may_be_taken_again() {
        let mut slots = two();
        slots.take("api", &view("c", &[]));
        slots.gone("api", "uid-b", None);
        let told = words(&slots.settle("api", 2));
        assert_eq!(
            told,
            ["api-2 withdrawn: its pod is gone, and all 2 that are wanted are there"]
        );
        let more = slots.take("api", &view("d", &[]));
        assert_eq!(words(&more), ["api-2 started 2", "api-2 ready"]);
        slots.asked = true;
        slots.gone("api", "uid-d", None);
        assert!(slots.open().is_empty(), "the run takes everything down");
    }

    #[test]
    fn a_container_that_starts_again_is_another_life_of_the_same_pod() {
        let mut slots = two();
        let ended = json!({ "terminated": { "exitCode": 1 } });
        let down = slots.take("api", &view("a", &[unready(), restarts(0, &ended)]));
        assert_eq!(words(&down), ["api-1 exited false"]);
        let up = slots.take(
            "api",
            &view("a", &[unready(), restarts(1, &json!({ "running": {} }))]),
        );
        assert_eq!(words(&up), ["api-1 started 2"]);
        // Its end was missed between two versions.
        let again = slots.take(
            "api",
            &view("a", &[unready(), restarts(2, &json!({ "running": {} }))]),
        );
        assert_eq!(words(&again), ["api-1 exited false", "api-1 started 3"]);
    }

    #[test]
    fn the_same_version_twice_says_nothing_new_and_old_pods_come_back_to_no_slot() {
        let mut slots = two();
        assert!(slots.take("api", &view("a", &[])).is_empty());
        slots.gone("api", "uid-a", None);
        assert!(slots.gone("api", "uid-a", None).is_empty());
        assert!(
            slots.take("api", &view("a", &[])).is_empty(),
            "a late version of it"
        );
        assert!(slots.take("api", &view("z", &[leaving()])).is_empty());
    }

    #[test]
    fn what_the_run_takes_down_is_asked_for_and_told_once() {
        let mut slots = two();
        slots.asked = true;
        assert!(slots.take("api", &view("b", &[leaving()])).is_empty());
        assert_eq!(
            words(&slots.gone("api", "uid-b", None)),
            ["api-2 exited true"]
        );
    }

    #[test]
    fn of_a_pod_that_goes_at_once_the_end_is_told_before_its_successor_begins() {
        let mut slots = two();
        let grace = ("/metadata/deletionGracePeriodSeconds", json!(0));
        slots.take("api", &view("a", &[leaving(), grace]));
        assert_eq!(
            words(&slots.take("api", &view("c", &[]))),
            ["api-1 exited false", "api-1 started 2", "api-1 ready"]
        );
        assert!(slots.gone("api", "uid-a", None).is_empty());
    }

    #[test]
    fn of_a_pod_that_goes_at_once_only_the_end_is_told() {
        let mut slots = two();
        let grace = ("/metadata/deletionGracePeriodSeconds", json!(0));
        assert!(
            slots
                .take("api", &view("a", &[leaving(), grace]))
                .is_empty()
        );
        assert_eq!(
            words(&slots.gone("api", "uid-a", None)),
            ["api-1 exited false"]
        );
    }
}

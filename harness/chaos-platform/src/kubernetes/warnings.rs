//! What the cluster warns of while a run goes on.
//!
//! Invariant: pure. What an object is warned of for one reason is told once, and again when it was seen
//! twice as often; what was there before the watch began is not told. Bounded by [`KINDS_MAX`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Event;

use super::Shared;
use super::follow::Follower;
use super::slots::Told;
use super::words::shortened;
use crate::observation::{PlatformChange, Seen};

/// Most pairs of object and reason that are told of in a run.
const KINDS_MAX: usize = 500;

/// One event, as far as it counts.
#[derive(Debug)]
pub(super) struct Warning {
    object: String,
    /// UID of what it is about, if that is a pod.
    pod: Option<String>,
    reason: String,
    message: String,
    times: u32,
}

/// Tells of warnings.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    begun: bool,
    full: bool,
    /// How often each was seen when it was told last.
    known: BTreeMap<(String, String), u32>,
}

impl Warnings {
    fn note(&mut self, warning: &Warning) {
        if self.known.len() < KINDS_MAX {
            let key = (warning.object.clone(), warning.reason.clone());
            let times = self.known.entry(key).or_default();
            *times = warning.times.max(*times);
        }
    }

    fn tell(&mut self, warning: Warning, service: String) -> Vec<Told> {
        let key = (warning.object.clone(), warning.reason.clone());
        match self.known.get(&key) {
            Some(told) if warning.times < told.saturating_mul(2) => return Vec::new(),
            None if self.known.len() >= KINDS_MAX => return self.tell_full(),
            Some(_) | None => {}
        }
        self.known.insert(key, warning.times);
        let seen = PlatformChange::Warned {
            object: warning.object,
            reason: warning.reason,
            message: warning.message,
            times: warning.times,
        };
        vec![(service, String::new(), Seen::Platform(seen))]
    }

    fn tell_full(&mut self) -> Vec<Told> {
        if std::mem::replace(&mut self.full, true) {
            return Vec::new();
        }
        let seen = PlatformChange::Unwatched {
            what: "more warnings of the cluster".to_owned(),
            why: format!("{KINDS_MAX} different ones were seen"),
        };
        vec![(String::new(), String::new(), Seen::Platform(seen))]
    }
}

impl Follower for Warnings {
    type Object = Event;
    type Small = Warning;

    fn small(&self, object: Event) -> Option<Warning> {
        read(&object)
    }

    fn all(&mut self, shared: &Shared, all: Vec<Warning>) -> Vec<Told> {
        if !std::mem::replace(&mut self.begun, true) {
            for warning in &all {
                self.note(warning);
            }
            return Vec::new();
        }
        let all = all.into_iter();
        all.flat_map(|warning| self.there(shared, warning))
            .collect()
    }

    fn there(&mut self, shared: &Shared, warning: Warning) -> Vec<Told> {
        let of_pod = warning.pod.as_ref().and_then(|pod| shared.whose(pod));
        let service = of_pod.or_else(|| shared.whose_workload(&warning.object));
        self.tell(warning, service.unwrap_or_default())
    }

    /// The cluster forgets events after a while; what was told stays told.
    fn gone(&mut self, _: &Shared, _: Warning) -> Vec<Told> {
        Vec::new()
    }
}

fn read(event: &Event) -> Option<Warning> {
    let reason = event.reason.clone()?;
    let message = event.message.as_deref().unwrap_or_default();
    // That a container is ended is a warning only if a probe made the kubelet do it.
    let probe = reason == "Killing" && message.contains("failed");
    let driven_out = matches!(reason.as_str(), "Preempted" | "TaintManagerEviction");
    if event.type_.as_deref() != Some("Warning") && !probe && !driven_out {
        return None;
    }
    let object = &event.involved_object;
    let kind = object.kind.as_deref().unwrap_or_default();
    // What an autoscaler cannot see it says itself, and its watch passes it on.
    if kind == "HorizontalPodAutoscaler" {
        return None;
    }
    let name = object.name.as_deref().unwrap_or_default();
    let series = event.series.as_ref().and_then(|series| series.count);
    let times = series.or(event.count).unwrap_or(1);
    Some(Warning {
        object: shortened(&format!("{}/{name}", kind.to_ascii_lowercase())),
        pod: object.uid.clone().filter(|_| kind == "Pod"),
        reason: shortened(&reason),
        message: shortened(message),
        times: u32::try_from(times).unwrap_or(1).max(1),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(changes: &[(&str, Value)]) -> Option<Warning> {
        let mut object = json!({ "metadata": {}, "type": "Warning", "reason": "BackOff", "message": "again",
            "count": 1, "involvedObject": { "kind": "Pod", "name": "api-7c", "uid": "u" } });
        for (key, value) in changes {
            object[*key] = value.clone();
        }
        read(&serde_json::from_value(object).expect("an event"))
    }

    fn times(warnings: &mut Warnings, count: i32) -> Vec<u32> {
        let warning = event(&[("count", json!(count))]).expect("a warning");
        let told = warnings.tell(warning, "api".to_owned());
        let times = told.into_iter().map(|(_, _, seen)| match seen {
            Seen::Platform(PlatformChange::Warned { times, .. }) => times,
            other => panic!("{other:?}"),
        });
        times.collect()
    }

    #[test]
    fn the_same_of_the_same_object_is_told_once_and_when_it_was_seen_twice_as_often() {
        let mut warnings = Warnings::default();
        let told: Vec<u32> = [1, 1, 2, 3, 4, 7, 9]
            .into_iter()
            .flat_map(|count| times(&mut warnings, count))
            .collect();
        assert_eq!(told, [1, 2, 4, 9]);
    }

    #[test]
    fn what_was_there_before_is_not_told() {
        let mut warnings = Warnings::default();
        warnings.note(&event(&[("count", json!(3))]).expect("a warning"));
        assert!(times(&mut warnings, 3).is_empty());
        assert_eq!(times(&mut warnings, 6), [6]);
    }

    #[test]
    fn so_many_different_ones_are_told_and_then_that_there_are_more() {
        let mut warnings = Warnings::default();
        let mut told = 0;
        for number in 0..KINDS_MAX + 9 {
            let warning = event(&[("reason", json!(format!("R{number}")))]).expect("a warning");
            told += warnings.tell(warning, String::new()).len();
        }
        assert_eq!(told, KINDS_MAX + 1);
        assert_eq!(warnings.known.len(), KINDS_MAX);
    }

    #[test]
    fn an_event_of_another_type_is_told_only_if_something_was_driven_out() {
        let normal = |reason: &str, message: &str| {
            event(&[
                ("type", json!("Normal")),
                ("reason", json!(reason)),
                ("message", json!(message)),
            ])
            .is_some()
        };
        assert!(!normal("Pulled", "image is there"));
        assert!(!normal("Killing", "Stopping container api"));
        assert!(normal(
            "Killing",
            "Container api failed liveness probe, will be restarted"
        ));
        assert!(normal("TaintManagerEviction", "Marking for deletion"));
        let blind = json!({ "kind": "HorizontalPodAutoscaler", "name": "api", "uid": "u" });
        assert!(event(&[("involvedObject", blind)]).is_none());
    }
}

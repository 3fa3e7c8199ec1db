//! Gives an object of the cluster back what it had before a fault: from the harness, the guardian, the
//! janitor and another machine.
//!
//! Invariant: only what is as we set it and bears our mark is given back. What an autoscaler or
//! somebody else set meanwhile stays; our mark goes in any case.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::FIELD_MANAGER;
use super::changed::{self, Asking, Changed, Kind, OVERTAKEN, annotated, run_of, uid};
use super::field::{self, Field};
use super::place::Place;
use crate::platform::PlatformError;
use crate::undo::Reverted;

/// Longest time of one undo, with the waits for an API server that does not answer.
pub const RESTORED_WITHIN: Duration = Duration::from_secs(100);
/// The part of it in which it is tried again; the rest is for the last answers.
const WAIT: Duration = Duration::from_secs(75);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(500);

const ASKING: Asking = Asking {
    dry: false,
    manager: FIELD_MANAGER,
};

/// What is to be done to an object as it is now.
#[derive(Debug, PartialEq)]
enum Next {
    /// Nothing of ours is on it.
    Leave(Reverted),
    /// Its values are not ours to change any more; our mark is.
    Unmark(Reverted),
    /// These values are given back.
    Restore(Vec<Value>),
}

/// Gives back what a fault changed; tried again while the API server does not answer.
pub(crate) async fn restore(run: &str, changed: &Changed) -> Reverted {
    persist(|| try_restore(run, changed), || by_hand(changed)).await
}

/// Tries until there is an answer or no time is left; then the lines say how it is done without chaos.
pub(super) async fn persist<F: Future<Output = Result<Reverted, PlatformError>>>(
    mut trying: impl FnMut() -> F,
    by_hand: impl FnOnce() -> String,
) -> Reverted {
    let deadline = Instant::now() + WAIT;
    loop {
        let error = match trying().await {
            Ok(done) => return done,
            Err(error) => error,
        };
        let may_pass = matches!(error, PlatformError::Unreachable { .. });
        if !may_pass || Instant::now() >= deadline {
            return Reverted::Failed {
                why: format!("failed to {error}; by hand: {}", by_hand()),
            };
        }
        sleep(RETRY).await;
    }
}

async fn try_restore(run: &str, changed: &Changed) -> Result<Reverted, PlatformError> {
    let Changed { place, object, .. } = changed;
    let client = place.reach().await?;
    let mut resized = None;
    for _ in 0..OVERTAKEN {
        let found = changed::version(&client, place, (object.kind, &object.name)).await?;
        let least = least(&client, changed).await?;
        let Some(found) = found.filter(|found| uid(found) == Some(&object.uid)) else {
            return Ok(Reverted::Clean {
                proof: format!("{} is gone, and what was changed of it", object.words()),
            });
        };
        match next(&found, (changed, run), least) {
            Next::Leave(how) => return Ok(how),
            Next::Unmark(how) => {
                if changed::mark(&client, changed, &found, None, ASKING).await? {
                    return Ok(resized.unwrap_or(how));
                }
            }
            Next::Restore(values) => {
                let fields = changed.changes.iter().map(|change| &change.field);
                let values: Vec<(&Field, &Value)> = fields.zip(&values).collect();
                let restored = Reverted::Restored {
                    proof: format!("{} has {} again", object.words(), words(&values)),
                };
                if object.kind == Kind::Pod {
                    changed::resize(&client, changed, &values, ASKING).await?;
                    // Seen anew, its mark goes.
                    resized = Some(restored);
                } else if changed::write(&client, changed, (&found, &values), None, ASKING).await? {
                    return Ok(restored);
                }
            }
        }
    }
    Err(PlatformError::Cluster {
        act: format!("restore {}", object.words()),
        why: "others change it all the time".to_owned(),
    })
}

fn next(found: &Value, (changed, run): (&Changed, &str), least: Option<u64>) -> Next {
    let object = changed.object.words();
    let now: Vec<Option<Value>> = changed
        .changes
        .iter()
        .map(|change| change.field.read(found))
        .collect();
    let is = |pick: fn(&field::Change) -> &Value| {
        let mut both = changed.changes.iter().zip(&now);
        both.all(|(change, now)| now.as_ref() == Some(pick(change)))
    };
    let (as_set, as_before) = (is(|change| &change.set), is(|change| &change.was));
    match annotated(found, changed.annotation()) {
        None if as_set => Next::Leave(Reverted::Foreign {
            why: format!("{object} bears no mark of the run any more; left as it is"),
        }),
        None => Next::Leave(Reverted::Clean {
            proof: format!("nothing of the run stands on {object}"),
        }),
        Some(text) if run_of(text) != run => Next::Leave(Reverted::Foreign {
            why: format!(
                "{object} bears the mark of run `{}`; left as it is",
                run_of(text)
            ),
        }),
        Some(_) if as_set => Next::Restore(
            changed
                .changes
                .iter()
                .map(|change| restored(change, least))
                .collect(),
        ),
        Some(_) if as_before => Next::Unmark(Reverted::Clean {
            proof: format!("{object} was put back already"),
        }),
        Some(_) => Next::Unmark(match &changed.autoscaler {
            Some(name) => Reverted::Clean {
                proof: format!(
                    "{object} is kept by horizontalpodautoscaler/{name}, which set it since"
                ),
            },
            None => Reverted::Foreign {
                why: format!("{object} was changed by somebody else since; left as it is"),
            },
        }),
    }
}

/// What was, but not fewer pods than an autoscaler keeps.
fn restored(change: &field::Change, least: Option<u64>) -> Value {
    match (&change.field, change.was.as_u64(), least) {
        (Field::Replicas, Some(was), Some(least)) => json!(was.max(least)),
        _ => change.was.clone(),
    }
}

/// Fewest pods that the autoscaler keeps, where there is one.
async fn least(client: &Client, changed: &Changed) -> Result<Option<u64>, PlatformError> {
    let Some(name) = &changed.autoscaler else {
        return Ok(None);
    };
    let Place { namespace, .. } = &changed.place;
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
    let act = format!("look at horizontalpodautoscaler/{name}");
    let found = changed.place.answer(&act, api.get_opt(name)).await?;
    let least = found
        .and_then(|found| found.spec)
        .map(|spec| spec.min_replicas.unwrap_or(1));
    Ok(least.and_then(|least| u64::try_from(least).ok()))
}

/// What is set, without the values of variables.
fn words(values: &[(&Field, &Value)]) -> String {
    let one = |(field, value): &(&Field, &Value)| match field {
        Field::Replicas => format!("{value} replicas"),
        Field::Image { .. } => format!("image {}", value.as_str().unwrap_or_default()),
        Field::Variable { name, .. } => format!("its own {name}"),
        Field::Again => "its template".to_owned(),
        Field::Cpu { .. } => format!("a CPU limit of {}m", value["limit"]),
    };
    let all: Vec<String> = values.iter().map(one).collect();
    all.join(", ")
}

/// The exact lines that do it without chaos.
fn by_hand(changed: &Changed) -> String {
    let Place {
        context, namespace, ..
    } = &changed.place;
    let object = changed.object.words();
    let kubectl = format!("kubectl --context {context} -n {namespace}");
    let undo = match changed
        .changes
        .first()
        .map(|change| (&change.field, &change.was))
    {
        Some((Field::Replicas, was)) => format!("scale {object} --replicas={was}"),
        Some((Field::Cpu { container }, was)) => {
            let patch = field::resize(container, was);
            format!("patch {object} --subresource resize --patch '{patch}'")
        }
        _ => format!("rollout undo {object}"),
    };
    let key = changed.annotation();
    format!("`{kubectl} {undo}`, then `{kubectl} annotate {object} {key}-`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::changed::Object;
    use crate::kubernetes::field::Change;
    use crate::undo::{self, Undo, UndoStep};

    fn changed(autoscaler: Option<&str>) -> Changed {
        Changed {
            place: Place {
                kubeconfig: vec!["/none".into()],
                context: "test".to_owned(),
                server: "https://10.0.0.1".to_owned(),
                namespace: "shop".to_owned(),
            },
            object: Object {
                kind: Kind::Deployment,
                name: "api".to_owned(),
                uid: "u1".to_owned(),
            },
            changes: vec![Change {
                field: Field::Replicas,
                was: json!(3),
                set: json!(0),
            }],
            autoscaler: autoscaler.map(str::to_owned),
        }
    }

    fn object(replicas: u32, run: Option<&str>, changed: &Changed) -> Value {
        let annotation = run.map(|run| {
            let undo = Undo {
                version: undo::VERSION,
                mark: run.to_owned(),
                step: UndoStep::Restore(changed.clone()),
            };
            serde_json::to_string(&undo).expect("plain data")
        });
        json!({ "metadata": { "uid": "u1", "annotations": { "chaos.dev/undo-replicas": annotation } }, "spec": { "replicas": replicas } })
    }

    fn check(replicas: u32, run: Option<&str>, changed: &Changed, least: Option<u64>) -> String {
        let found = object(replicas, run, changed);
        match next(&found, (changed, "mine"), least) {
            Next::Leave(how) => format!("leave {}", kind(&how)),
            Next::Unmark(how) => format!("unmark {}", kind(&how)),
            Next::Restore(values) => format!("restore {}", json!(values)),
        }
    }

    fn kind(how: &Reverted) -> &'static str {
        match how {
            Reverted::Restored { .. } => "restored",
            Reverted::Clean { .. } => "clean",
            Reverted::Foreign { .. } => "foreign",
            Reverted::Failed { .. } => "failed",
        }
    }

    #[test]
    fn only_what_is_as_we_set_it_and_bears_our_mark_is_given_back() {
        let alone = changed(None);
        assert_eq!(check(0, Some("mine"), &alone, None), "restore [3]");
        assert_eq!(check(0, Some("other"), &alone, None), "leave foreign");
        assert_eq!(check(0, None, &alone, None), "leave foreign");
        assert_eq!(check(5, Some("mine"), &alone, None), "unmark foreign");
        assert_eq!(check(3, Some("mine"), &alone, None), "unmark clean");
        assert_eq!(check(3, None, &alone, None), "leave clean");
    }

    #[test]
    fn what_an_autoscaler_keeps_is_its_own() {
        let kept = changed(Some("api"));
        assert_eq!(check(0, Some("mine"), &kept, Some(2)), "restore [3]");
        assert_eq!(check(0, Some("mine"), &kept, Some(4)), "restore [4]");
        assert_eq!(check(5, Some("mine"), &kept, Some(4)), "unmark clean");
    }

    #[tokio::test]
    async fn what_cannot_be_restored_is_told_with_the_lines_that_do_it() {
        let how = restore("mine", &changed(None)).await;
        let lines = "`kubectl --context test -n shop scale deployment/api --replicas=3`, then `kubectl --context test -n shop annotate deployment/api chaos.dev/undo-replicas-`";
        assert!(how.words().contains(lines), "{how:?}");
    }

    #[test]
    fn the_data_fits_an_annotation() {
        let changed = changed(Some("api"));
        let text = serde_json::to_string(&changed).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Changed>(&text).expect("the same"),
            changed
        );
        assert!(text.len() < 1_000, "{text}");
    }
}

//! Looks at single pods, and deletes them.
//!
//! Invariant: what is answered is read from the API server at that moment; the slots only say which
//! pod is meant. A pod is deleted by its UID, so never another one of the same name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use chaos_plan::plan::Find;

use super::pod::Seen;
use super::slots::Life;
use super::{KubernetesPlatform, ServicePods, Shared};
use crate::act::{InstanceRef, Reading};
use crate::clock::monotonic_ns;
use crate::platform::{InstanceState, PlatformError};

impl KubernetesPlatform {
    fn pods(&self) -> Api<Pod> {
        let Shared { client, place, .. } = &*self.shared;
        Api::namespaced(client.clone(), &place.namespace)
    }

    /// Every slot as its pod is now. As many are named for each service as it is to have; one that
    /// has no pod is not ready.
    pub(super) async fn look_at_pods(&self) -> Result<Vec<InstanceState>, PlatformError> {
        let pods = self.all_pods().await?;
        let live: BTreeMap<String, Seen> = pods
            .iter()
            .filter_map(|pod| self.shared.meant(pod))
            .map(|(_, seen)| (seen.uid.clone(), seen))
            .collect();
        let mut states = Vec::new();
        for service in &self.shared.services {
            let wanted = self.shared.wanted(service).await?;
            states.extend(self.states(&service.name, wanted, &live));
        }
        Ok(states)
    }

    fn states(
        &self,
        service: &str,
        wanted: usize,
        live: &BTreeMap<String, Seen>,
    ) -> Vec<InstanceState> {
        let slots = self.shared.slots.borrow();
        let state = |(target, life, stays): (InstanceRef, &Life, bool)| {
            let pod = live.get(&life.uid).filter(|pod| stays && !pod.leaving);
            let state = InstanceState {
                target,
                ready: pod.is_some_and(|pod| pod.ready && life.is_of(pod)),
                pid: None,
            };
            (state, pod.is_some(), life.is_up())
        };
        let all = slots.all().into_iter();
        let of_it = all
            .filter(|(target, ..)| target.service == service)
            .map(state);
        let (mut there, mut away): (Vec<_>, Vec<_>) = of_it.partition(|(_, is_there, _)| *is_there);
        // One of a surge that has not started is nobody yet, so nobody is missing for it.
        let mut spare = there.len().saturating_sub(wanted);
        there.retain(|(.., up)| {
            let stays = *up || spare == 0;
            spare -= usize::from(!stays);
            stays
        });
        away.truncate(wanted.saturating_sub(there.len()));
        let mut states: Vec<InstanceState> = there
            .into_iter()
            .chain(away)
            .map(|(state, ..)| state)
            .collect();
        states.sort_by(|one, other| one.target.instance.cmp(&other.target.instance));
        states
    }

    pub(super) fn life(&self, target: &InstanceRef) -> Result<Life, PlatformError> {
        let slots = self.shared.slots.borrow();
        slots.life(target).cloned().ok_or_else(|| {
            let why = match slots.last(target) {
                Some(last) => format!("it is in life {}", last.incarnation),
                None => "there is no such instance".to_owned(),
            };
            missing(target, &why)
        })
    }

    /// The pod of exactly this life, which must not be leaving.
    pub(super) async fn living(&self, target: &InstanceRef) -> Result<(Life, Pod), PlatformError> {
        let life = self.life(target)?;
        if let Some(last) = self.shared.slots.borrow().last(target)
            && last.incarnation != life.incarnation
        {
            return Err(missing(
                target,
                &format!("it is in life {}", last.incarnation),
            ));
        }
        let pod = self.find(&life).await?;
        let seen = pod
            .as_ref()
            .and_then(|pod| Some((pod, self.shared.meant(pod)?.1)));
        match seen {
            Some((pod, seen)) if life.is_of(&seen) && !seen.leaving => Ok((life, pod.clone())),
            Some((_, seen)) if life.is_of(&seen) => Err(missing(target, &seen.why)),
            _ => Err(missing(target, &format!("pod {} is gone", life.pod))),
        }
    }

    /// The pod of a life, if its object is still there.
    pub(super) async fn find(&self, life: &Life) -> Result<Option<Pod>, PlatformError> {
        let api = self.pods();
        let act = format!("look at pod {}", life.pod);
        let found = self
            .shared
            .place
            .answer(&act, api.get_opt(&life.pod))
            .await?;
        Ok(found.filter(|pod| pod.metadata.uid.as_ref() == Some(&life.uid)))
    }

    /// Refuses a pod that nobody would replace.
    pub(super) async fn replaceable(&self, target: &InstanceRef) -> Result<(), PlatformError> {
        let (life, pod) = self.living(target).await?;
        let owners = pod.metadata.owner_references.unwrap_or_default();
        if owners.iter().any(|owner| owner.controller == Some(true)) {
            return Ok(());
        }
        Err(PlatformError::Cluster {
            act: format!("delete pod {}", life.pod),
            why: "no controller owns it, so nobody would make another".to_owned(),
        })
    }

    /// Deletes the pod of exactly this life. The instant is that of the request: what follows from it
    /// may be seen before its answer.
    pub(super) async fn delete(
        &self,
        target: &InstanceRef,
        grace_s: Option<u32>,
    ) -> Result<u64, PlatformError> {
        let (life, _) = self.living(target).await?;
        let parameters = DeleteParams {
            grace_period_seconds: grace_s,
            preconditions: Some(Preconditions {
                uid: Some(life.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.pods();
        let act = format!("delete pod {}", life.pod);
        let at_ns = monotonic_ns();
        let deleting = api.delete(&life.pod, &parameters);
        self.shared.place.answer(&act, deleting).await?;
        Ok(at_ns)
    }

    pub(super) async fn is_gone(&self, target: &InstanceRef) -> Result<Reading, PlatformError> {
        let life = self.life(target)?;
        let Life { pod: name, uid, .. } = &life;
        let Some(pod) = self.find(&life).await? else {
            return Ok(Reading {
                holds: true,
                seen: format!("pod {name} ({uid}) is gone from the API server"),
            });
        };
        let seen = self.shared.meant(&pod).map(|(_, seen)| seen);
        let again = seen.as_ref().is_some_and(|seen| !life.is_of(seen));
        Ok(Reading {
            holds: again,
            seen: match seen {
                Some(seen) if again => {
                    format!(
                        "the container of pod {name} was started again, {}",
                        seen.why
                    )
                }
                Some(seen) if seen.leaving => format!("pod {name} is still there: {}", seen.why),
                _ => format!("pod {name} is still there"),
            },
        })
    }

    pub(super) async fn is_back(&self, target: &InstanceRef) -> Result<Reading, PlatformError> {
        let last = self.shared.slots.borrow().last(target).cloned();
        let later = last.filter(|last| last.incarnation > target.incarnation);
        let Some(life) = later else {
            return Ok(Reading {
                holds: false,
                seen: format!("{} has not begun another life", target.instance),
            });
        };
        let pod = self.find(&life).await?;
        let seen = pod.and_then(|pod| Some(self.shared.meant(&pod)?.1));
        Ok(match seen {
            None => Reading {
                holds: false,
                seen: format!("pod {} is gone", life.pod),
            },
            Some(seen) => Reading {
                holds: seen.ready,
                seen: if seen.ready {
                    format!("pod {} is ready", seen.place())
                } else {
                    format!("pod {} is not ready: {}", seen.place(), seen.why)
                },
            },
        })
    }
}

impl Shared {
    /// How many pods of a service there are to be.
    pub(super) async fn wanted(&self, service: &ServicePods) -> Result<usize, PlatformError> {
        let wanted = match &service.pods.find {
            Find::Workload(workload) => self.progress(workload).await?.wanted,
            Find::Labels(_) => i32::try_from(service.replicas).unwrap_or(i32::MAX),
        };
        Ok(usize::try_from(wanted).unwrap_or(0))
    }
}

fn missing(target: &InstanceRef, why: &str) -> PlatformError {
    let InstanceRef {
        instance,
        incarnation,
        ..
    } = target;
    PlatformError::Missing {
        what: format!("life {incarnation} of `{instance}`: {why}"),
    }
}

//! The janitor itself, as it runs in its pod: watches the lease, and takes back what its run left.
//!
//! Invariant: it acts only after the lease stood still for [`STANDS_STILL`] while the API server answered,
//! and only once it holds the lease itself, so that a harness that was merely stopped finds it lost and
//! ends. What it does is what the ledger would have said: the same data and the same compare-and-swap.

use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::ObjectMeta;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::waiting::{STANDS_STILL, Waiting};
use super::{CHARGE, Charge, READY, name};
use crate::kubernetes::changed;
use crate::kubernetes::place::Place;
use crate::kubernetes::{lease, marks};
use crate::platform::PlatformError;
use crate::undo::{self, Reverted, Undo, UndoStep};

/// Between two looks at the lease.
const LOOK: Duration = Duration::from_secs(2);
/// Times that what could not be taken back is tried, each with its own limit.
const TRIES: u32 = 10;
/// Between two of them.
const RETRY: Duration = Duration::from_secs(3);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Served {
    /// Everything that was found is taken back and looked at again; how many undos that were.
    Clean(usize),
    /// Something could not be taken back, in words.
    Left(Vec<String>),
}

/// What the lease says of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sign {
    /// It was renewed by the run at this instant, as it wrote it.
    Renewed(Option<String>),
    /// It is gone, or somebody else's: nobody speaks for the run any more.
    Lost,
    /// It was taken over by a janitor of this run before.
    Ours,
}

fn sign(lease: Option<&Lease>, run: &str, own: &str) -> Sign {
    let spec = lease.and_then(|lease| lease.spec.as_ref());
    match spec.and_then(|spec| spec.holder_identity.as_deref()) {
        Some(holder) if holder == run => {
            let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
            Sign::Renewed(renewed.map(|at| at.0.to_string()))
        }
        Some(holder) if holder == own => Sign::Ours,
        _ => Sign::Lost,
    }
}

/// One janitor at work.
struct Service<'a> {
    client: Client,
    place: Place,
    run: &'a str,
    own: String,
    /// What it looks after, as last heard.
    charge: Charge,
    /// Whether it has said that it watches.
    said: bool,
}

/// The body of `chaos janitor RUN`, in a pod: returns when there is nothing left to do.
pub async fn serve(run: &str) -> Result<Served, PlatformError> {
    let place = Place::inside()?;
    let mut service = Service {
        client: place.reach().await?,
        place,
        run,
        own: name(run),
        charge: Charge::default(),
        said: false,
    };
    let begun = Instant::now();
    let mut waiting = Waiting::new();
    let mut away = false;
    loop {
        let asked = begun.elapsed();
        match service.look().await {
            Ok((lease, sign)) => {
                away = false;
                let still = waiting.answered((asked, begun.elapsed()), sign.clone());
                if (still || sign == Sign::Ours) && service.takes_over(lease.as_ref(), &sign).await
                {
                    return Ok(service.take_back(&sign).await);
                }
                if still {
                    waiting.begin_anew();
                }
            }
            Err(error) => {
                waiting.begin_anew();
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!("the lease is not seen: failed to {error}");
                }
            }
        }
        sleep(LOOK).await;
    }
}

impl Service<'_> {
    /// The lease as it is now; the first time, that all is in reach which it looks after.
    async fn look(&mut self) -> Result<(Option<Lease>, Sign), PlatformError> {
        let lease = lease::find(&self.client, &self.place).await?;
        if let Some(charge) = lease.as_ref().and_then(charge_of) {
            self.charge = charge;
        }
        let sign = sign(lease.as_ref(), self.run, &self.own);
        if !self.said && matches!(sign, Sign::Renewed(_)) {
            self.standing().await?;
            lease::annotate(&self.client, &self.place, READY, &self.own).await?;
            self.said = true;
            tracing::info!(run = self.run, charge = ?self.charge, "watching");
        }
        Ok((lease, sign))
    }

    /// Whether it may act now. A lease that somebody writes at the same moment stays theirs.
    async fn takes_over(&self, lease: Option<&Lease>, sign: &Sign) -> bool {
        let (Sign::Renewed(_), Some(lease)) = (sign, lease) else {
            tracing::warn!(run = self.run, ?sign, "nobody speaks for the run any more");
            return true;
        };
        match lease::take_over(&self.client, &self.place, lease, &self.own).await {
            Ok(taken) => {
                tracing::warn!(
                    run = self.run,
                    taken,
                    "the lease stood still for {} s",
                    STANDS_STILL.as_secs()
                );
                taken
            }
            Err(error) => {
                tracing::warn!("not taken over: failed to {error}");
                false
            }
        }
    }

    /// Takes everything back while it renews the lease it took, looks at it all again, and frees the lease.
    async fn take_back(&self, sign: &Sign) -> Served {
        let served = {
            let taking = self.try_all();
            tokio::pin!(taking);
            let mut beat = interval(lease::RENEW);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    served = &mut taking => break served,
                    _ = beat.tick(), if *sign != Sign::Lost => {
                        if let Err(error) = lease::renew(&self.client, &self.place, &self.own).await {
                            tracing::warn!("the lease is not renewed: failed to {error}");
                        }
                    }
                }
            }
        };
        if matches!(served, Served::Clean(_))
            && let Err(error) = lease::release(&self.client, &self.place, &self.own).await
        {
            tracing::warn!("the lease runs out by itself: failed to {error}");
        }
        served
    }

    async fn try_all(&self) -> Served {
        let mut done = 0;
        let mut left = Vec::new();
        for _ in 0..TRIES {
            match self.try_once().await {
                Ok(hows) => {
                    let (clean, failed): (Vec<_>, Vec<_>) =
                        hows.into_iter().partition(Reverted::is_clean);
                    done += clean.len();
                    left = failed.iter().map(|how| how.words().to_owned()).collect();
                }
                Err(error) => left = vec![format!("failed to {error}")],
            }
            if left.is_empty() {
                match self.standing().await {
                    Ok(undos) if undos.is_empty() => {
                        tracing::info!(run = self.run, "verified: no fault of the run stands");
                        return Served::Clean(done);
                    }
                    Ok(undos) => {
                        let targets = undos.iter().map(|undo| undo.target().to_owned());
                        left = targets.collect();
                    }
                    Err(error) => left = vec![format!("failed to {error}")],
                }
            }
            sleep(RETRY).await;
        }
        Served::Left(left)
    }

    async fn try_once(&self) -> Result<Vec<Reverted>, PlatformError> {
        let undos = self.standing().await?;
        let hows = join_all(undos.iter().map(undo::revert)).await;
        for how in &hows {
            tracing::info!(run = self.run, clean = how.is_clean(), "{}", how.words());
        }
        Ok(hows)
    }

    async fn standing(&self) -> Result<Vec<Undo>, PlatformError> {
        standing(&self.client, &self.place, self.run, &self.charge).await
    }
}

/// What a lease says that a janitor looks after.
fn charge_of(lease: &Lease) -> Option<Charge> {
    serde_json::from_str(lease::annotated(lease, CHARGE)?).ok()
}

/// Every undo of the run that stands on what is looked after, and on the lease.
async fn standing(
    client: &Client,
    place: &Place,
    run: &str,
    charge: &Charge,
) -> Result<Vec<Undo>, PlatformError> {
    let mut undos = Vec::new();
    for (kind, name) in &charge.objects {
        let found = changed::version(client, place, (*kind, name)).await?;
        let metadata = found.and_then(|found| metadata(&found));
        undos.extend(metadata.iter().flat_map(|one| marks::of(one, place)));
    }
    if let Some(lease) = lease::find(client, place).await? {
        undos.extend(marks::of(&lease.metadata, place));
    }
    undos.retain(|undo| undo.mark == run);
    Ok(undos)
}

fn metadata(object: &Value) -> Option<ObjectMeta> {
    serde_json::from_value(object.get("metadata")?.clone()).ok()
}

/// Something on which a fault of the run stands, as its lease knows it.
pub(super) async fn still_stands(
    client: &Client,
    place: &Place,
    run: &str,
) -> Result<Option<String>, PlatformError> {
    let lease = lease::find(client, place).await?;
    let charge = lease.as_ref().and_then(charge_of).unwrap_or_default();
    let undos = standing(client, place, run, &charge).await?;
    Ok(undos.first().map(|undo| match &undo.step {
        UndoStep::Restore(changed) => changed.object.words(),
        UndoStep::Recreate(lost) => format!("service/{}", lost.name),
        _ => undo.target().to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(holder: &str, at: &str) -> Lease {
        let spec = json!({ "holderIdentity": holder, "renewTime": format!("2026-11-21T10:00:{at}.000000Z") });
        let text = serde_json::to_string(&crate::kubernetes::janitor::charge::tests::charge())
            .expect("plain data");
        serde_json::from_value(
            json!({ "metadata": { "annotations": { CHARGE: text } }, "spec": spec }),
        )
        .expect("a lease")
    }

    #[test]
    fn a_sign_of_life_is_one_that_the_run_itself_gave() {
        let check = |lease: Option<&Lease>| sign(lease, "r1", "chaos-janitor-r1");
        let renewed = check(Some(&lease("r1", "05")));
        assert!(matches!(renewed, Sign::Renewed(Some(_))), "{renewed:?}");
        assert_ne!(renewed, check(Some(&lease("r1", "10"))));
        assert_eq!(check(Some(&lease("chaos-janitor-r1", "05"))), Sign::Ours);
        assert_eq!(check(Some(&lease("r2", "05"))), Sign::Lost);
        assert_eq!(check(None), Sign::Lost);
    }

    #[test]
    fn what_it_looks_after_stands_on_the_lease() {
        let found = charge_of(&lease("r1", "05")).expect("it is there");
        assert_eq!(found.objects.len(), 2);
        assert_eq!(charge_of(&Lease::default()), None);
    }
}

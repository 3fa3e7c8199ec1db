//! Restarts everything at once, as if the power of the machine were cut and came back.
//!
//! One switch for all instances: while it is off, each ends its life and waits. Invariant: the switch
//! comes back on whatever happens to the restart, so nothing stays down because of it.

use tokio::sync::watch;
use tokio::time::timeout;

use super::instance::KILLED;
use super::teardown::SLACK;
use super::{LocalPlatform, Member};
use crate::platform::PlatformError;

/// Whether instances may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Supply {
    pub(super) on: bool,
    /// Counts the power cuts, so that nobody takes the answer to an earlier one for that to this one.
    pub(super) cut: u64,
}

/// The switch.
#[derive(Debug)]
pub(super) struct Power {
    supply: watch::Sender<Supply>,
}

impl Default for Power {
    fn default() -> Self {
        let (supply, _) = watch::channel(Supply { on: true, cut: 0 });
        Self { supply }
    }
}

impl Power {
    pub(super) fn subscribe(&self) -> watch::Receiver<Supply> {
        self.supply.subscribe()
    }

    /// Comes when the power is off.
    pub(super) async fn cut(&self) {
        let mut supply = self.subscribe();
        let off = supply.wait_for(|supply| !supply.on).await;
        off.expect("the switch is there as long as it is borrowed");
    }

    /// Switches off until what is returned is dropped.
    fn off(&self) -> Off<'_> {
        self.supply.send_modify(|supply| {
            supply.on = false;
            supply.cut += 1;
        });
        Off { power: self }
    }
}

/// The power is off as long as this is there.
#[derive(Debug)]
struct Off<'a> {
    power: &'a Power,
}

impl Off<'_> {
    fn cut(&self) -> u64 {
        self.power.supply.borrow().cut
    }
}

impl Drop for Off<'_> {
    fn drop(&mut self) {
        self.power.supply.send_modify(|supply| supply.on = true);
    }
}

impl LocalPlatform {
    pub(super) async fn cycle_power(&mut self) -> Result<(), PlatformError> {
        if self.members.is_empty() || self.shared.stop.is_cancelled() {
            return Err(PlatformError::Unable {
                act: "restart a target that is not deployed".to_owned(),
            });
        }
        let off = self.shared.power.off();
        self.all_parked(off.cut()).await?;
        drop(off);
        self.all_ready().await
    }

    /// Waits until every instance has ended its life, or had none.
    async fn all_parked(&self, cut: u64) -> Result<(), PlatformError> {
        let within = self.longest_stop() + KILLED + SLACK;
        let all = async {
            for member in &self.members {
                parked(member, cut).await?;
            }
            Ok(())
        };
        let late = |_| PlatformError::Stop {
            instance: self.still_up(cut),
            why: format!("it has not ended within {within:?}"),
        };
        timeout(within, all).await.map_err(late)?
    }

    /// The first instance that has not ended.
    fn still_up(&self, cut: u64) -> String {
        self.members
            .iter()
            .find(|member| member.status.borrow().parked < cut)
            .map(|member| member.instance.clone())
            .unwrap_or_default()
    }
}

async fn parked(member: &Member, cut: u64) -> Result<(), PlatformError> {
    let stop = |why: String| PlatformError::Stop {
        instance: member.instance.clone(),
        why,
    };
    let mut status = member.status.clone();
    let parked = status
        .wait_for(|status| status.parked >= cut)
        .await
        .map_err(|_| stop("nobody looks after it any more".to_owned()))?;
    match &parked.process {
        None => Ok(()),
        Some(process) => Err(stop(format!(
            "{process} is still there {KILLED:?} after SIGKILL"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_power_is_off_as_long_as_somebody_keeps_it_off() {
        let power = Power::default();
        let mut seen = power.subscribe();
        for cut in 1..=2 {
            let off = power.off();
            assert_eq!(off.cut(), cut);
            power.cut().await;
            assert_eq!(*seen.borrow_and_update(), Supply { on: false, cut });
            drop(off);
            assert_eq!(*seen.borrow_and_update(), Supply { on: true, cut });
        }
        let cut = timeout(Duration::ZERO, power.cut());
        cut.await.expect_err("it is on");
    }
}

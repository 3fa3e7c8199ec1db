//! One instance over all its lives: started, asked whether it is ready, started again, ended.
//!
//! Invariant: an instance is told ready only after the proxy sends connections to it, and told
//! exited only after the proxy no longer does. Once teardown has begun, and while the power is off, no
//! life begins.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use chaos_plan::plan::{Service, StopSignal};
use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::family::Family;
use super::group;
use super::launch::{self, Slots, Streams};
use super::power::Supply;
use super::process::ProcessId;
use super::ready::{self, Change, Readiness};
use super::restart::Backoff;
use super::routes::Routes;
use super::supervisor::{Shared, Status};
use super::{logs, signal};
use crate::clock::monotonic_ns;
use crate::observation::Seen;

/// Longest wait for a killed process to end.
pub(super) const KILLED: Duration = Duration::from_secs(2);
/// Shortest time between two readiness probes.
const MIN_EVERY: Duration = Duration::from_millis(10);

/// What an instance is made of.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) service: Service,
    /// `host:port` of each service it calls.
    pub(super) calls: BTreeMap<String, String>,
    pub(super) shared: Arc<Shared>,
    pub(super) routes: Arc<Routes>,
    pub(super) status: watch::Sender<Status>,
    /// True as long as it is to be away.
    pub(super) held: watch::Receiver<bool>,
}

/// One life while it lasts.
struct Life {
    child: Child,
    process: ProcessId,
    address: SocketAddr,
}

/// What asks it to end in order.
fn stop_signal(service: &Service) -> Signal {
    match service.stop_signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
    }
}

/// How a life ended.
struct Ended {
    /// A start that failed, or an exit with other than success.
    failed: bool,
    /// How long it had been ready without a break.
    ready_for: Duration,
}

impl Instance {
    /// Lives until teardown. If its restart policy leaves it down, only a restart of everything gives
    /// it another life.
    pub(super) async fn run(self) {
        let mut power = self.shared.power.subscribe();
        let mut backoff = Backoff::new(&self.service.restart);
        while self.powered(&mut power).await {
            let undisturbed = match self.live().await {
                Some(ended) => self.rest(backoff.next(ended.failed, ended.ready_for)).await,
                None => false,
            };
            if !undisturbed {
                backoff = Backoff::new(&self.service.restart);
            }
        }
    }

    /// Waits until it may start; false once teardown has begun.
    async fn powered(&self, power: &mut watch::Receiver<Supply>) -> bool {
        while !self.shared.stop.is_cancelled() {
            let supply = *power.borrow_and_update();
            let mut held = self.held.clone();
            let is_held = *held.borrow_and_update();
            if supply.on && !is_held {
                return true;
            }
            if !supply.on {
                self.status.send_modify(|status| status.park(supply.cut));
            }
            let changed = async {
                tokio::select! {
                    // An error means that the platform is gone, and with it whoever could ask.
                    _ = power.changed() => {}
                    _ = held.changed() => {}
                }
            };
            self.shared.stop.run_until_cancelled(changed).await;
        }
        false
    }

    /// Between two lives: waits so long, or for ever. False if teardown or a power cut came first.
    async fn rest(&self, wait: Option<Duration>) -> bool {
        let Some(wait) = wait else {
            self.status.send_modify(|status| status.down = true);
            self.tell(Seen::Down).await;
            self.asked_to_end().await;
            return false;
        };
        let after_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.tell(Seen::Restarting { after_ns }).await;
        timeout(wait, self.asked_to_end()).await.is_err()
    }

    /// Comes when teardown begins, the power is cut or it is to be away.
    async fn asked_to_end(&self) {
        tokio::select! {
            () = self.taken_down() => {}
            () = self.held_back() => {}
        }
    }

    /// Comes when teardown begins or the power is cut.
    async fn taken_down(&self) {
        tokio::select! {
            () = self.shared.stop.cancelled() => {}
            () = self.shared.power.cut() => {}
        }
    }

    /// Comes when it is to be away.
    async fn held_back(&self) {
        let mut held = self.held.clone();
        if held.wait_for(|held| *held).await.is_err() {
            // The platform is gone: teardown has begun.
            std::future::pending::<()>().await;
        }
    }

    /// One life; `None` if it was asked to end.
    async fn live(&self) -> Option<Ended> {
        let mut life = match self.start() {
            Ok(life) => life,
            Err(why) => return Some(self.never_lived(why).await),
        };
        self.status
            .send_modify(|status| status.begin(life.process.clone(), life.address));
        let incarnation = self.status.borrow().incarnation;
        let address = life.address.to_string();
        self.tell(Seen::Started {
            incarnation,
            pid: Some(life.process.pid),
            address,
            place: None,
        })
        .await;
        let mut readiness = Readiness::default();
        let exited = tokio::select! {
            biased;
            exited = life.child.wait() => exited,
            () = self.taken_down() => {
                self.leave().await;
                self.stop(life, None).await;
                return None;
            }
            () = self.held_back() => {
                self.stop(life, Some(&mut readiness)).await;
                return None;
            }
            never = self.attend(life.address, &mut readiness) => match never {},
        };
        Some(self.exited(&life.process, exited).await)
    }

    fn start(&self) -> Result<Life, String> {
        let config = &self.shared.config;
        let text = |error: io::Error| error.to_string();
        let port = self.shared.ports.free().map_err(text)?;
        let data = self.shared.data(&self.service.name);
        let here = std::path::absolute(Path::new(self.here())).map_err(text)?;
        let slots = Slots {
            port,
            instance: &self.name,
            calls: &self.calls,
            data: &data,
            chaos: &config.chaos,
            here: &here,
        };
        let program = slots.program(&self.service)?;
        let log = logs::open(&config.logs, &self.name).map_err(text)?;
        let (child, process) =
            launch::spawn(config, &self.name, &program, Streams::Log, log).map_err(text)?;
        Ok(Life {
            child,
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
    }

    /// Folder of the description; a bundled one has none and does not ask for it.
    fn here(&self) -> &str {
        self.shared
            .config
            .description()
            .map(|description| description.folder.as_str())
            .filter(|folder| !folder.is_empty())
            .unwrap_or(".")
    }

    async fn never_lived(&self, why: String) -> Ended {
        tracing::warn!(instance = self.name, why, "failed to start");
        let status = format!("could not be started: {why}");
        self.status.send_modify(|known| known.end(status.clone()));
        self.tell(Seen::Exited {
            status,
            asked: false,
        })
        .await;
        Ended {
            failed: true,
            ready_for: Duration::ZERO,
        }
    }

    /// Asks on and on whether it is ready.
    async fn attend(&self, address: SocketAddr, readiness: &mut Readiness) -> Infallible {
        let policy = &self.service.ready;
        let mut ticks = interval(policy.every.max(MIN_EVERY));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let answer = ready::ask(address, policy.path.as_deref(), policy.timeout).await;
            let changed = readiness.hear(answer.is_ok(), policy.failures);
            match (changed, answer) {
                (Some(Change::Ready), _) => self.became_ready(&address.to_string()).await,
                (Some(Change::Unready), Err(why)) => self.became_unready(why).await,
                (None, Err(why)) => self.status.send_modify(|status| status.trouble = why),
                (Some(Change::Unready) | None, Ok(())) => {}
            }
        }
    }

    async fn became_ready(&self, address: &str) {
        if let Err(error) = self
            .routes
            .enter(&self.service.name, &self.name, address)
            .await
        {
            return self.shared.lose(format!("failed to {error}")).await;
        }
        self.status.send_modify(|status| {
            status.ready_since = Some(Instant::now());
            status.was_ready = true;
        });
        self.tell(Seen::Ready).await;
    }

    async fn became_unready(&self, why: String) {
        self.leave().await;
        self.status.send_modify(|status| {
            status.ready_since = None;
            status.trouble.clone_from(&why);
        });
        self.tell(Seen::Unready { why }).await;
    }

    async fn exited(&self, process: &ProcessId, exited: io::Result<ExitStatus>) -> Ended {
        let at_ns = monotonic_ns();
        let ready_for = self
            .status
            .borrow()
            .ready_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        self.leave().await;
        let failed = !exited.as_ref().is_ok_and(ExitStatus::success);
        let status = exited.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.status.send_modify(|known| known.end(status.clone()));
        let asked = self.shared.stop.is_cancelled();
        self.tell_at(at_ns, Seen::Exited { status, asked }).await;
        self.kill_rest(process).await;
        Ended { failed, ready_for }
    }

    /// Ends a life: asks, waits, kills. With what is known of its readiness it is sent connections for
    /// as long as it says that it takes them, as a platform's balancer would that hears of the end as
    /// late as everybody else.
    async fn stop(&self, mut life: Life, readiness: Option<&mut Readiness>) {
        self.signal(&life.process, stop_signal(&self.service));
        // A stopped process takes the request only when it goes on.
        self.signal(&life.process, Signal::CONT);
        let address = life.address;
        let attended = async {
            let Some(readiness) = readiness else {
                return life.child.wait().await;
            };
            tokio::select! {
                biased;
                exited = life.child.wait() => exited,
                never = self.attend(address, readiness) => match never {},
            }
        };
        let mut exited = timeout(self.service.stop, attended).await;
        self.leave().await;
        if exited.is_err() {
            self.signal(&life.process, Signal::KILL);
            exited = timeout(KILLED, life.child.wait()).await;
        }
        let at_ns = monotonic_ns();
        self.kill_rest(&life.process).await;
        let Ok(exited) = exited else {
            let Life { process, .. } = life;
            tracing::error!(
                instance = self.name,
                "{process} did not end {KILLED:?} after SIGKILL"
            );
            return;
        };
        let status = exited.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.status.send_modify(|known| known.end(status.clone()));
        self.tell_at(
            at_ns,
            Seen::Exited {
                status,
                asked: true,
            },
        )
        .await;
    }

    async fn leave(&self) {
        if let Err(error) = self.routes.leave(&self.service.name, &self.name).await {
            self.shared.lose(format!("failed to {error}")).await;
        }
    }

    /// The present life: the next begins only after its end.
    fn family<'a>(&'a self, leader: &'a ProcessId) -> Family<'a> {
        Family {
            run: &self.shared.config.run,
            instance: &self.name,
            leader,
            until: None,
        }
    }

    fn signal(&self, process: &ProcessId, signal: Signal) {
        if let Err(source) = signal::send_all(self.family(process), signal) {
            tracing::warn!(%source, instance = self.name, "failed to signal {process}");
        }
    }

    /// A program's children do not outlive it, as they would not in a container.
    async fn kill_rest(&self, process: &ProcessId) {
        let config = &self.shared.config;
        let killed = async {
            let empty = signal::kill_rest(self.family(process)).await?;
            if empty {
                return group::unlist(&config.work, &self.name);
            }
            Err(io::Error::other("they are still there after SIGKILL"))
        };
        if let Err(source) = killed.await {
            tracing::warn!(%source, instance = self.name, "failed to end what {process} left");
        }
    }

    async fn tell(&self, seen: Seen) {
        self.tell_at(monotonic_ns(), seen).await;
    }

    async fn tell_at(&self, at_ns: u64, seen: Seen) {
        self.shared
            .observer
            .tell_at(at_ns, &self.service.name, &self.name, seen)
            .await;
    }
}

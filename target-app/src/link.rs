//! A connection to a part of the store, such as a broker, that is kept up in the background.
//!
//! Requests take the connection if there is one and never wait for it: a part that is away costs them
//! nothing. Whoever finds it broken says so; the keeper then makes a new one.
//!
//! Invariant: at most one connection is being made at a time, and tries are at least [`PAUSE_MIN`]
//! apart. No line of the log names more of the part's address than host and port.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::serve::stopped;
use crate::trouble::Trouble;

/// The shortest pause before another try.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause before another try, before chance adds up to half of it.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How connections to a part are made.
pub(crate) trait Part: Send + Sync + 'static {
    /// A connection; clones are the same one.
    type Connection: Clone + Send + Sync + 'static;

    /// The name of the part in logs and metrics.
    const NAME: &'static str;
    /// The setting that tells its address.
    const SETTING: &'static str;

    /// Host and port.
    fn place(&self) -> String;

    /// Makes a connection that is ready for use; must end within a bound of its own.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, String>> + Send;

    /// Resolves when the connection has ended, with the reason; may never.
    fn ended(&self, connection: &Self::Connection) -> impl Future<Output = String> + Send;
}

/// A connection and which one it is.
#[derive(Debug, Clone)]
pub(crate) struct Linked<C> {
    pub(crate) generation: u64,
    pub(crate) connection: C,
}

/// What users of a part hold.
#[derive(Debug, Clone)]
pub(crate) struct Link<C> {
    current: watch::Receiver<Option<Linked<C>>>,
    /// The youngest connection found broken, and how.
    broken: Arc<watch::Sender<(u64, String)>>,
}

impl<C: Clone> Link<C> {
    /// The connection, if there is one now.
    pub(crate) fn get(&self) -> Option<Linked<C>> {
        self.current.borrow().clone()
    }

    /// Waits for a connection younger than that of a generation (0: any); never resolves once the keeper
    /// is gone.
    pub(crate) async fn connected(&mut self, after: u64) -> Linked<C> {
        let younger = |linked: &Option<Linked<C>>| {
            linked
                .as_ref()
                .is_some_and(|linked| linked.generation > after)
        };
        if let Ok(linked) = self.current.wait_for(younger).await
            && let Some(linked) = linked.clone()
        {
            return linked;
        }
        std::future::pending().await
    }

    /// Resolves when the keeper has given a connection up, whoever found it broken; never resolves once the
    /// keeper is gone.
    pub(crate) async fn given_up(&self, generation: u64) {
        let mut current = self.current.clone();
        let other = |linked: &Option<Linked<C>>| {
            linked
                .as_ref()
                .is_none_or(|linked| linked.generation != generation)
        };
        if current.wait_for(other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Says that a connection does not work.
    pub(crate) fn lost(&self, linked: &Linked<C>, reason: impl Into<String>) {
        self.broken.send_if_modified(|broken| {
            let news = linked.generation > broken.0;
            if news {
                *broken = (linked.generation, reason.into());
            }
            news
        });
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    part: &'static str,
}

/// Keeps the connection up.
#[derive(Debug)]
pub(crate) struct Keeper<P: Part> {
    part: P,
    current: watch::Sender<Option<Linked<P::Connection>>>,
    broken: watch::Receiver<(u64, String)>,
    generation: u64,
    connected: Gauge,
    connections: Counter,
}

/// A link and what keeps it.
pub(crate) fn open<P: Part>(part: P, registry: &mut Registry) -> (Link<P::Connection>, Keeper<P>) {
    let labels = PartLabels { part: P::NAME };
    let connected = Family::<PartLabels, Gauge>::default();
    let connections = Family::<PartLabels, Counter>::default();
    registry.register(
        "part_connected",
        "Whether the part is connected",
        connected.clone(),
    );
    registry.register(
        "part_connections",
        "Connections made to the part, the first one included",
        connections.clone(),
    );
    let current = watch::Sender::new(None);
    let broken = watch::Sender::new((0, String::new()));
    let keeper = Keeper {
        part,
        broken: broken.subscribe(),
        generation: 0,
        connected: connected.get_or_create(&labels).clone(),
        connections: connections.get_or_create(&labels).clone(),
        current: current.clone(),
    };
    let link = Link {
        current: current.subscribe(),
        broken: Arc::new(broken),
    };
    (link, keeper)
}

impl<P: Part> Keeper<P> {
    /// Keeps the connection up until `stop` turns true; whoever uses it closes the last one.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = stopped(&mut stop) => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        let mut voice = Voice::default();
        let mut pauses = Pauses::default();
        loop {
            let connection = self.connect(&mut voice, &mut pauses).await;
            voice.connected(&self.part);
            self.generation += 1;
            self.connections.inc();
            self.connected.set(1);
            self.current.send_replace(Some(Linked {
                generation: self.generation,
                connection: connection.clone(),
            }));
            let since = Instant::now();
            let reason = self.until_lost(&connection).await;
            self.current.send_replace(None);
            self.connected.set(0);
            voice.failed(&self.part, &reason);
            pauses.lived(since.elapsed());
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn connect(&self, voice: &mut Voice, pauses: &mut Pauses) -> P::Connection {
        loop {
            match self.part.connect().await {
                Ok(connection) => return connection,
                Err(reason) => voice.failed(&self.part, &reason),
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn until_lost(&mut self, connection: &P::Connection) -> String {
        let generation = self.generation;
        tokio::select! {
            reason = self.part.ended(connection) => reason,
            broken = self.broken.wait_for(|broken| broken.0 >= generation) => {
                broken.map_or_else(|_| "nobody uses it any more".to_owned(), |broken| broken.1.clone())
            }
        }
    }
}

/// The pauses between tries.
#[derive(Debug)]
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pauses {
    /// A connection had lived so long: one that served for a while gives hope for the next.
    fn lived(&mut self, age: Duration) {
        if age > PAUSE_MAX {
            *self = Self::default();
        }
    }

    // Up to half as long again, so that processes do not come back in step.
    fn next(&mut self) -> Duration {
        let chance = uuid::Uuid::new_v4().as_u128() % 500;
        let chance = u32::try_from(chance).expect("it is below 500");
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSE_MAX);
        pause + pause * chance / 1000
    }
}

/// Says what happens to a connection; one that comes and goes for the same reason is not news each time.
#[derive(Debug, Default)]
struct Voice {
    trouble: Trouble,
    /// What was said last; nothing was at first.
    said: Option<Said>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Connected,
    Failed,
}

impl Voice {
    fn connected<P: Part>(&mut self, part: &P) {
        if self.said == Some(Said::Connected) {
            return;
        }
        let (place, again) = (part.place(), self.said.is_some());
        self.said = Some(Said::Connected);
        tracing::info!(part = P::NAME, place, again, "connected");
    }

    fn failed<P: Part>(&mut self, part: &P, reason: &str) {
        if !self.trouble.is_news(reason) {
            return;
        }
        self.said = Some(Said::Failed);
        tracing::warn!(
            part = P::NAME,
            place = part.place(),
            setting = P::SETTING,
            "{} is away and is tried again: {reason}",
            P::NAME
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    /// Refuses some tries, then gives numbered connections.
    struct Numbers {
        refusals: u64,
        tries: Arc<AtomicU64>,
    }

    impl Part for Numbers {
        type Connection = u64;
        const NAME: &'static str = "numbers";
        const SETTING: &'static str = "NUMBERS_URL";

        fn place(&self) -> String {
            "nowhere:1".to_owned()
        }

        async fn connect(&self) -> Result<u64, String> {
            let number = self.tries.fetch_add(1, Ordering::Relaxed) + 1;
            if number <= self.refusals {
                return Err("refused".to_owned());
            }
            Ok(number)
        }

        async fn ended(&self, _: &u64) -> String {
            std::future::pending().await
        }
    }

    fn keep(refusals: u64) -> (Link<u64>, Arc<AtomicU64>, tokio::task::JoinSet<()>) {
        let stop = watch::Sender::new(false);
        let tries = Arc::new(AtomicU64::new(0));
        let part = Numbers {
            refusals,
            tries: Arc::clone(&tries),
        };
        let (link, keeper) = open(part, &mut Registry::default());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { keeper.run(stop.subscribe()).await });
        (link, tries, tasks)
    }

    #[test]
    fn pauses_grow_to_a_cap_and_begin_anew_after_a_connection_that_served() {
        let mut pauses = Pauses::default();
        for base_ms in [50, 100, 200, 400, 800, 1000, 1000] {
            let pause = pauses.next();
            let base = Duration::from_millis(base_ms);
            assert!((base..base * 3 / 2).contains(&pause), "{pause:?}");
        }
        pauses.lived(Duration::from_millis(10));
        assert!(pauses.next() >= PAUSE_MAX);
        pauses.lived(Duration::from_secs(5));
        assert!(pauses.next() < PAUSE_MIN * 2);
    }

    #[tokio::test]
    async fn whoever_waits_on_a_connection_hears_when_another_has_found_it_broken() {
        let (mut link, _tries, _tasks) = keep(0);
        let first = link.connected(0).await;
        assert_eq!(link.given_up(first.generation).now_or_never(), None);
        link.lost(&first, "reset");
        link.given_up(first.generation).await;
        let second = link.connected(first.generation).await;
        link.given_up(first.generation).await;
        assert_eq!(link.given_up(second.generation).now_or_never(), None);
    }

    #[tokio::test]
    async fn tries_go_on_and_a_connection_found_broken_by_many_is_replaced_once() {
        let (mut link, tries, _tasks) = keep(2);
        let first = link.connected(0).await;
        assert_eq!(first.connection, 3);
        link.lost(&first, "reset");
        link.lost(&first, "reset too");
        assert_eq!(link.broken.borrow().1, "reset");
        let second = link.connected(first.generation).await;
        link.lost(&first, "an old complaint");
        assert_eq!(link.broken.borrow().0, first.generation);
        assert_eq!((second.connection, tries.load(Ordering::Relaxed)), (4, 4));
    }
}

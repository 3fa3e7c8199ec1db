//! Load by itself, on a target that runs already: the same engine and the same record as in a run,
//! without conductor, guardian, ledger and folder, because nothing is broken and nothing was started.
//!
//! Invariant: nothing outside this process is changed but by the requests of the plan, and none is
//! sent before the target was found and took a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chaos_load::clock::{length_ns, now_ns};
use chaos_load::{Address, AddressError, Engine, EngineConfig, EngineError, FaultClock};
use chaos_plan::Plan;
use chaos_plan::plan::Target;
use chaos_record::event::{Event, Stamped};
use chaos_record::line::{Header, Line};
use chaos_record::outcome::{Counts, FailKind};
use chaos_record::record::Record;
use chaos_record::{measured, words};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Interval, timeout};

use crate::calibration;
use crate::conductor::Audience;
use crate::conductor::waiting::ticking;
use crate::state_folder;
use crate::stop::StopSignals;
use crate::told::{HEAD_START, Told, load_stopped};

/// Time between two looks of whoever watches.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for the first connection, whatever the plan's timeout.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What a load needs.
#[derive(Debug, Clone)]
pub struct BareConfig {
    /// With the plan, whose target is an address; the time it began is filled in.
    pub header: Header,
    /// Threads, from 1 to 64.
    pub workers: usize,
}

/// Why no request was sent. The text completes "failed to ...".
#[derive(Debug, Error)]
pub enum BareError {
    #[error("play a load without a run: its target is not an address")]
    NoAddress,
    #[error(
        "find the host of `{address}`: {source}; check its spelling, or give the IP address itself"
    )]
    Resolve { address: String, source: io::Error },
    #[error("reach `{address}`: {source}; is the server running, and are host and port right?")]
    Connect { address: String, source: io::Error },
    #[error(
        "reach `{address}`: it took no connection within {}; is it the right host and port, and does a firewall let us through?",
        words::duration(length_ns(*within))
    )]
    NoConnection { address: String, within: Duration },
    #[error("start the load: {0}")]
    Engine(#[from] EngineError),
    #[error("listen for signals: {source}")]
    Signals { source: io::Error },
}

/// Plays the plan's load. The first wish to stop ends it with what is in flight, the second at once.
pub async fn play(config: BareConfig, audience: &mut dyn Audience) -> Result<Record, BareError> {
    let plan = Arc::new(config.header.plan.clone());
    let Target::Url(running) = &plan.target else {
        return Err(BareError::NoAddress);
    };
    // Until the load begins a signal may end us: nothing was touched.
    let address = find(&running.url).await?;
    let within = plan.load.timeout.min(CONNECT_MAX);
    reach(&running.url, &address, within).await?;
    chaos_load::look(&plan, &address)?;
    let mut record = Record::new(config.header);
    // Before the first request, so that from then on a signal never ends us without a word.
    let stops = StopSignals::install().map_err(|source| BareError::Signals { source })?;
    record.header.started = jiff::Timestamp::now().to_string();
    // Without a state folder it is as if nothing was calibrated.
    let root = state_folder::root().ok();
    record.header.calibration = root
        .and_then(|root| calibration::of_this_machine(&root))
        .map(Box::new);
    let zero_ns = now_ns();
    let start_ns = zero_ns + length_ns(HEAD_START);
    let engine = Engine::start(EngineConfig {
        plan: Arc::clone(&plan),
        address,
        workers: config.workers,
        start_ns,
        faults: Arc::new(FaultClock::new(0)),
        operations: None,
    })?;
    let mut load = Load {
        plan,
        record,
        engine,
        stops,
        zero_ns,
        start_ns,
        workers: config.workers,
    };
    let is_whole = load.play(audience).await;
    Ok(load.ended(is_whole, audience))
}

/// Resolves the host, once: everything goes to what was found here.
async fn find(url: &str) -> Result<Address, BareError> {
    let given = url.to_owned();
    let found = tokio::task::spawn_blocking(move || Address::resolve(&given)).await;
    let found = found.map_err(|panicked| BareError::Resolve {
        address: url.to_owned(),
        source: io::Error::other(panicked),
    })?;
    found.map_err(|error| match error {
        AddressError::Resolve { address, source } => BareError::Resolve { address, source },
        other @ AddressError::NotAnAddress { .. } => BareError::Engine(other.into()),
    })
}

/// Whether anything takes a connection there. No byte is sent.
async fn reach(address: &str, found: &Address, within: Duration) -> Result<(), BareError> {
    match timeout(within, TcpStream::connect(found.sockets())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(BareError::Connect {
            address: address.to_owned(),
            source,
        }),
        Err(_) => Err(BareError::NoConnection {
            address: address.to_owned(),
            within,
        }),
    }
}

struct Load {
    plan: Arc<Plan>,
    record: Record,
    engine: Engine,
    stops: StopSignals,
    /// Time zero of the record, and of the load, both raw.
    zero_ns: u64,
    start_ns: u64,
    workers: usize,
}

impl Load {
    /// Hears the engine until it is over; false if somebody did not want to wait for that.
    async fn play(&mut self, audience: &mut dyn Audience) -> bool {
        let workers = self.workers;
        let at = self.start_ns.saturating_sub(self.zero_ns);
        self.event(at, Event::LoadStarted { workers }, audience);
        let mut look = ticking(LOOK);
        let mut wishes = 0;
        loop {
            match self.hear(&mut look).await {
                Heard::Stop(signal) => {
                    wishes += 1;
                    self.event_now(Event::Interrupted { signal }, audience);
                    self.engine.stop();
                    if wishes > 1 {
                        return false;
                    }
                }
                Heard::Told(Told::Delta(delta)) => {
                    self.record.apply(&Line::Delta(delta));
                    self.record.fold();
                }
                Heard::Told(Told::Health(look)) => self.record.apply(&Line::Health(look)),
                Heard::Told(Told::Event(event)) => self.event_now(event, audience),
                Heard::Told(Told::Broken(event)) => {
                    self.event_now(event, audience);
                    self.engine.stop();
                }
                Heard::Look => {
                    let load_ns = now_ns().checked_sub(self.start_ns);
                    audience.look(&self.record, load_ns);
                }
                Heard::Over => return true,
            }
        }
    }

    async fn hear(&mut self, look: &mut Interval) -> Heard {
        tokio::select! {
            biased;
            signal = self.stops.next() => Heard::Stop(signal),
            told = self.engine.next() => told.map_or(Heard::Over, |told| Heard::Told(told.into())),
            _ = look.tick() => Heard::Look,
        }
    }

    /// The record with its end, if everything was heard to the end.
    fn ended(mut self, is_whole: bool, audience: &mut dyn Audience) -> Record {
        if let Some(at) = self.engine.spent_at().map(Duration::from_nanos) {
            // How long so many requests take is known only now.
            self.record.ended(at);
            Arc::make_mut(&mut self.plan).ended(at);
        }
        self.event_now(load_stopped(&self.engine, &self.plan), audience);
        // Whoever did not wait for answers is not told that there were none.
        let was_stopped = self.engine.stopped_at().is_some();
        if let Some(what) = unanswered(&self.record).filter(|_| !was_stopped) {
            self.event_now(Event::EnvironmentFailed { what }, audience);
        }
        // Nothing was started and nothing broken, so nothing can be left.
        let clean = Event::CleanedUp {
            verified: true,
            left: Vec::new(),
        };
        self.event_now(clean, audience);
        if is_whole {
            let end = self.record.end_line(now_ns().saturating_sub(self.zero_ns));
            self.record.apply(&end);
        }
        self.record
    }

    fn event_now(&mut self, what: Event, audience: &mut dyn Audience) {
        self.event(now_ns().saturating_sub(self.zero_ns), what, audience);
    }

    fn event(&mut self, at: u64, what: Event, audience: &mut dyn Audience) {
        let stamped = Stamped { at, what };
        self.record.apply(&Line::Event(stamped.clone()));
        audience.event(&stamped, &self.record);
    }
}

enum Heard {
    Stop(chaos_record::event::StopSignal),
    Told(Told),
    Look,
    Over,
}

/// What is said of a target that gave not one answer, not even a bad one.
fn unanswered(record: &Record) -> Option<String> {
    let stages: Vec<usize> = (0..record.header.plan.load.stages.len()).collect();
    let measured = measured::over(record, &stages);
    let counts = measured.counts;
    let answers = [
        FailKind::TooLarge,
        FailKind::Status,
        FailKind::Check,
        FailKind::Extract,
    ];
    let answered = counts.ok
        + answers
            .map(|kind| counts.failed[kind as usize])
            .iter()
            .sum::<u64>();
    let Target::Url(running) = &record.header.plan.target else {
        return None;
    };
    if answered > 0 || counts.bad() == 0 {
        return None;
    }
    let unopened = Counts::of_failures(measured.connections_failed);
    let connecting = match unopened.failed_total() {
        0 => String::new(),
        _ => format!("; connecting: {}", unopened.kinds_in_words()),
    };
    Some(format!(
        "no answer from `{}` to any of {}: {}{connecting}",
        running.url,
        words::counted(counts.bad(), "request"),
        counts.kinds_in_words()
    ))
}

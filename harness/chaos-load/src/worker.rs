//! One worker: a thread with a runtime of its own that joins pace, journeys, client and recorder.
//!
//! Its loop sleeps until the soonest of: an arrival, an alarm, the next flush. It lines up all that
//! is due, never skips, and sees to it that runners begin it.
//! Invariant: nothing is shared with other workers while the load runs but the fault clock and the
//! order to stop; every journey that was handed out is recorded before the worker ends.

mod arrivals;
mod in_flight;
mod line;
mod openings;
mod operation;
mod shopping;
mod slots;
mod spares;
mod turns;
mod user;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

use chaos_plan::Plan;
use chaos_record::CELL_NS;
use chaos_record::event::WorkerReport;
use chaos_record::outcome::Outcome;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use self::in_flight::InFlight;
use self::line::Line;
use self::openings::Openings;
use self::spares::Spares;
use self::turns::Turns;
use crate::FaultClock;
use crate::alarm::Alarms;
use crate::budget::Budget;
use crate::client::{Client, ClientConfig, Transport};
use crate::clock::{self, length_ns, now_ns};
use crate::engine::EngineEvent;
use crate::halt::Halt;
use crate::health::stalls::Stalls;
use crate::operations::OperationLog;
use crate::pace::{Due, Pace, Slice};
use crate::prepare::Prepared;
use crate::recorder::Recorder;
use crate::search_clock::SearchClock;
use crate::timer::Timer;
use crate::trace::Traces;

/// How long before something is due the worker stays awake for it: about as long as a thread that
/// sleeps takes to wake, which would be our lag otherwise.
const AWAKE_NS: u64 = 50_000;
/// The shortest sleep. In a virtual machine the core goes back to its host for a shorter one, too, and
/// each way back can take milliseconds.
const SLEEP_NS_MIN: u64 = 250_000;
/// Between two deltas, and the grid they are sent on.
const FLUSH_NS: u64 = CELL_NS;
/// Flushes between two that carry the clocks of the stages and close dead idle connections.
const FLUSHES_A_SECOND: u64 = 10;
/// Longest that requests in flight may go on after a stop.
const DRAIN_NS_MAX: u64 = 1_000_000_000;

/// What a worker is told.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) slice: Slice,
    pub(crate) plan: Arc<Plan>,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) transport: Arc<Transport>,
    /// Raw instant of load time zero.
    pub(crate) start_ns: u64,
    pub(crate) faults: Arc<FaultClock>,
    pub(crate) operations: Option<Arc<OperationLog>>,
    pub(crate) events: mpsc::Sender<EngineEvent>,
    pub(crate) halt: Halt,
    /// Where the loop tells how late it came round.
    pub(crate) stalls: Arc<Stalls>,
    pub(crate) search: Option<Arc<SearchClock>>,
    pub(crate) budget: Option<Arc<Budget>>,
}

/// What the tasks of one worker share.
#[derive(Debug)]
struct Shared {
    prepared: Arc<Prepared>,
    operations: Option<Arc<OperationLog>>,
    halt: Halt,
    budget: Option<Arc<Budget>>,
    seed: u64,
    start_ns: u64,
    patience_ns: u64,
    client: Client,
    /// Ends of think time; closed when the load stops.
    thinking: Alarms,
    /// Limits of requests; closed when those in flight are cut off.
    limits: Rc<Alarms>,
    recorder: RefCell<Recorder>,
    in_flight: RefCell<InFlight>,
    line: RefCell<Line>,
    turns: Turns,
    spares: Spares,
    /// Journeys begun.
    journeys: Cell<u64>,
    /// Marks requests where the plan asks for it.
    traces: RefCell<Option<Traces>>,
}

impl Shared {
    /// A journey is under way from now on.
    fn begin(&self, due: Due) {
        self.journeys.set(self.journeys.get() + 1);
        let cell = self.recorder.borrow().cell_of(due.intended_ns);
        self.in_flight.borrow_mut().begin(cell);
    }
}

/// Plays one worker's share of the load on the calling thread, until it is over.
///
/// # Errors
/// The system gave no runtime or no timer.
pub(crate) fn play(assignment: Assignment) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        Worker::new(assignment)?.play().await;
        Ok(())
    })
}

struct Worker {
    assignment: Assignment,
    pace: Pace,
    timer: Rc<Timer>,
    shared: Rc<Shared>,
    tasks: JoinSet<()>,
    end_ns: u64,
    next_flush_ns: u64,
    openings: Openings,
    /// Journeys given up as they came due, since too many waited already.
    turned_away: u64,
}

impl Worker {
    fn new(assignment: Assignment) -> io::Result<Self> {
        let Assignment {
            slice, start_ns, ..
        } = assignment;
        let load = &assignment.plan.load;
        let timer = Rc::new(Timer::new()?);
        let limits = Rc::new(Alarms::new(Rc::clone(&timer)));
        let config = ClientConfig {
            transport: Arc::clone(&assignment.transport),
            slots: slots::needed(load, slice.workers),
            kept: slots::kept(load, slice),
            seed: assignment.plan.seed,
            timeout_ns: length_ns(load.timeout),
        };
        let traces = load
            .traceparent
            .then(|| Traces::new(assignment.plan.seed, start_ns));
        let shared = Shared {
            prepared: Arc::clone(&assignment.prepared),
            operations: assignment.operations.clone(),
            halt: assignment.halt.clone(),
            budget: assignment.budget.clone(),
            seed: assignment.plan.seed,
            start_ns,
            patience_ns: length_ns(load.patience),
            client: Client::new(config, Rc::clone(&limits)),
            thinking: Alarms::new(Rc::clone(&timer)),
            limits,
            recorder: RefCell::new(Recorder::new(
                slice.worker,
                &assignment.plan,
                start_ns,
                Arc::clone(&assignment.faults),
            )),
            in_flight: RefCell::default(),
            line: RefCell::default(),
            turns: Turns::new(load, slice),
            spares: Spares::default(),
            journeys: Cell::default(),
            traces: RefCell::new(traces),
        };
        Ok(Self {
            pace: Pace::new(&assignment.plan, start_ns, slice, assignment.search.clone()),
            timer,
            shared: Rc::new(shared),
            tasks: JoinSet::new(),
            end_ns: start_ns.saturating_add(length_ns(load.length())),
            next_flush_ns: start_ns.saturating_add(FLUSH_NS),
            openings: Openings::default(),
            turned_away: 0,
            assignment,
        })
    }

    async fn play(mut self) {
        self.let_users_in();
        loop {
            let now_ns = now_ns();
            if self.assignment.halt.is_ordered() {
                self.wind_down().await;
                break;
            }
            let is_behind = self.line_up(now_ns);
            self.keep_up(now_ns);
            let look_ns = self.call_runners(now_ns);
            if is_behind {
                tokio::task::yield_now().await;
                self.assignment.stalls.came_round(now_ns, clock::now_ns());
                continue;
            }
            if self.is_tail(now_ns) {
                self.shared.line.borrow_mut().close();
                if self.tasks.is_empty() {
                    break;
                }
            }
            self.sleep(look_ns).await;
        }
        self.finish().await;
    }

    /// Nothing is due any more.
    fn is_tail(&self, now_ns: u64) -> bool {
        let budget = self.shared.budget.as_deref();
        let is_over = now_ns >= self.end_ns || budget.is_some_and(Budget::is_spent);
        self.pace.next_ns().is_none() && is_over
    }

    /// What each round of the loop does beside beginning journeys.
    fn keep_up(&mut self, now_ns: u64) {
        self.shared.thinking.ring(now_ns);
        self.shared.limits.ring(now_ns);
        self.reap();
        if now_ns >= self.next_flush_ns {
            self.flush(now_ns);
        }
    }

    /// Takes the ended tasks out; a panic in one of them goes on in this thread.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            pass_on_panic(ended);
        }
    }

    /// Sends what was recorded if there is room; otherwise it is sent with a later flush.
    fn flush(&mut self, now_ns: u64) {
        let flush = now_ns.saturating_sub(self.assignment.start_ns) / FLUSH_NS;
        self.next_flush_ns = self
            .assignment
            .start_ns
            .saturating_add((flush + 1) * FLUSH_NS);
        let is_full_second = flush.is_multiple_of(FLUSHES_A_SECOND);
        if is_full_second {
            self.shared.client.sweep();
        }
        let mut recorder = self.shared.recorder.borrow_mut();
        let begun_ns = self
            .pace
            .next_ns()
            .map_or(now_ns, |next_ns| next_ns.min(now_ns));
        let begun_ns = self.first_ns().map_or(begun_ns, |ns| ns.min(begun_ns));
        let closed = self
            .shared
            .in_flight
            .borrow()
            .oldest_cell()
            .unwrap_or(u64::MAX)
            .min(recorder.cell_of(begun_ns));
        recorder.collect(closed, is_full_second);
        if let Ok(room) = self.assignment.events.try_reserve() {
            room.send(EngineEvent::Delta(recorder.take()));
        }
        drop(recorder);
        self.tell_of_log();
    }

    /// Says once for all workers that the operation log is not whole; later if there is no room.
    fn tell_of_log(&self) {
        let Some(log) = self
            .shared
            .operations
            .as_deref()
            .filter(|log| log.has_news())
        else {
            return;
        };
        if let Ok(room) = self.assignment.events.try_reserve()
            && let Some(why) = log.take_failure()
        {
            room.send(EngineEvent::OperationLogFailed { why });
        }
    }

    /// Sleeps until something is to be done, until `look_ns` at most; only gives way to the others if
    /// something is due soon, or if runners were called: setting the timer takes a virtual machine
    /// longer than they take to write their requests. While arrivals remain, ended tasks wake no one.
    async fn sleep(&mut self, look_ns: u64) {
        let now_ns = now_ns();
        let first_ns = self.first_ns();
        let due_ns = self.due_ns();
        let has_called = self.shared.line.borrow().called() > 0;
        if has_called || due_ns <= now_ns.saturating_add(SLEEP_NS_MIN) {
            tokio::task::yield_now().await;
            self.assignment.stalls.came_round(now_ns, clock::now_ns());
            return;
        }
        let soonest_ns = [
            look_ns,
            due_ns - AWAKE_NS,
            first_ns.map_or(u64::MAX, |ns| ns.saturating_add(self.shared.patience_ns)),
            self.next_flush_ns,
            self.shared.limits.soonest_ns(),
        ]
        .into_iter()
        .min();
        let wake_ns = Stalls::beat_before(soonest_ns.unwrap_or(u64::MAX), now_ns);
        self.timer.arm(wake_ns);
        let is_tail = self.is_tail(now_ns);
        tokio::select! {
            biased;
            () = self.timer.fired() => {}
            () = self.assignment.halt.ordered() => {}
            () = self.shared.client.has_room(), if first_ns.is_some() => {}
            () = ended_task(&mut self.tasks), if is_tail => {}
        }
        self.assignment.stalls.came_round(wake_ns, clock::now_ns());
    }

    /// Intended instant of the journey that has waited longest to be begun.
    fn first_ns(&self) -> Option<u64> {
        self.shared.line.borrow().first_ns()
    }

    /// When something is due that is late if we are: an arrival, or the end of think time.
    fn due_ns(&self) -> u64 {
        let arrival_ns = self.pace.arrival_ns().unwrap_or(u64::MAX);
        arrival_ns.min(self.shared.thinking.soonest_ns())
    }

    fn alarms_ns(&self) -> u64 {
        self.shared
            .thinking
            .soonest_ns()
            .min(self.shared.limits.soonest_ns())
    }

    /// After a stop: what was due but not begun is cancelled, what is in flight may end for a short while.
    async fn wind_down(&mut self) {
        // An order given before the load began is one at its very beginning.
        let until_ns = self
            .assignment
            .halt
            .until_ns()
            .await
            .max(self.assignment.start_ns);
        let lined_up = self.shared.line.borrow_mut().clear();
        let lined_up = lined_up.into_iter().map(|waiting| waiting.due);
        let due = lined_up.chain(std::iter::from_fn(|| self.pace.due(until_ns)));
        for due in due {
            let mut recorder = self.shared.recorder.borrow_mut();
            recorder.never_begun(due.journey, due.intended_ns, Outcome::Cancelled);
        }
        self.shared.line.borrow_mut().close();
        self.shared.thinking.close();
        let drain_ns = length_ns(self.assignment.plan.load.timeout).min(DRAIN_NS_MAX);
        let cut_off_ns = now_ns().saturating_add(drain_ns);
        while !self.tasks.is_empty() {
            let now_ns = now_ns();
            self.keep_up(now_ns);
            let mut wake_ns = self.next_flush_ns.min(self.alarms_ns());
            if now_ns >= cut_off_ns {
                self.shared.limits.close();
            } else {
                wake_ns = wake_ns.min(cut_off_ns);
            }
            self.timer.arm(wake_ns);
            tokio::select! {
                biased;
                () = ended_task(&mut self.tasks) => {}
                () = self.timer.fired() => {}
            }
        }
    }

    /// Delivers the rest; waits for room, since nobody waits for this worker any more.
    async fn finish(self) {
        let start_ns = self.assignment.start_ns;
        let delta = {
            let mut recorder = self.shared.recorder.borrow_mut();
            let closed = recorder.cells_end().max(recorder.cell_of(now_ns()) + 1);
            recorder.collect(closed, true);
            recorder.take()
        };
        let connections = self.shared.client.connections();
        let report = WorkerReport {
            worker: self.assignment.slice.worker,
            cpu_ns: clock::thread_cpu_ns(),
            wall_ns: now_ns().saturating_sub(start_ns),
            lag_max_ns: self.shared.recorder.borrow().lag_max_ns(),
            connections_opened: connections.opened,
            connections_max: connections.open_max,
            connections_failed: connections.failed.iter().sum(),
            connect_failures: connections.failed,
            journeys: self.shared.journeys.get(),
            turned_away: self.turned_away,
        };
        let log = self.shared.operations.as_deref();
        let log_failed = log
            .and_then(OperationLog::take_failure)
            .map(|why| EngineEvent::OperationLogFailed { why });
        let last = [EngineEvent::Delta(delta), EngineEvent::Worker(report)];
        for event in log_failed.into_iter().chain(last) {
            // An error means that the engine was dropped: nobody is left to tell.
            drop(self.assignment.events.send(event).await);
        }
    }
}

/// Waits until a task has ended; for ever if there is none.
async fn ended_task(tasks: &mut JoinSet<()>) {
    match tasks.join_next().await {
        Some(ended) => pass_on_panic(ended),
        None => pending().await,
    }
}

fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        resume_unwind(panic);
    }
}

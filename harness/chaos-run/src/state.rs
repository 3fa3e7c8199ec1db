//! What to do next, as a pure state machine: no clock, no processes, no I/O.
//!
//! | phase    | leaves when                                   | to       |
//! |----------|-----------------------------------------------|----------|
//! | deploy   | deployed / failed or stopped                  | load / teardown |
//! | load     | the load is over (by itself or stopped)       | settle   |
//! | settle   | no fault is outstanding                       | teardown |
//! | teardown | torn down                                     | over     |
//!
//! A second stop leads from load and settle to teardown at once.
//!
//! Invariant: from every state every path leads to `over` with no fault outstanding: each `Inject`
//! is answered by `Injected` or `NotInjected`, and each injected fault gets one `Undo`.

use chaos_load::clock::length_ns;
use chaos_plan::plan::{Fault, Moment, When};
use chaos_record::event::NotInjected;

/// What the conductor tells the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Deployed,
    DeployFailed,
    /// Time of the load goes on, in nanoseconds.
    Tick {
        load_ns: u64,
    },
    /// Something another fault may wait for happened at this time of the load.
    Reached {
        fault: usize,
        moment: Moment,
        load_ns: u64,
    },
    /// The fault was applied at this time of the load; one-shot faults have nothing to take back.
    Injected {
        fault: usize,
        load_ns: u64,
    },
    NotInjected {
        fault: usize,
    },
    /// The facilitator lets a fault begin that waits for it.
    Go {
        fault: usize,
        load_ns: u64,
    },
    Undone {
        fault: usize,
    },
    /// Stop: the user, a safety limit, or something lost.
    Stop,
    /// All load is accounted for.
    LoadOver,
    TornDown,
}

/// What the conductor shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    StartLoad,
    StopLoad,
    Inject { fault: usize },
    Skip { fault: usize, reason: NotInjected },
    Undo { fault: usize },
    TearDown,
    Finish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Deploy,
    Load,
    Settle,
    Teardown,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Due at this time of the load, if that is known yet.
    Waiting {
        due: Option<u64>,
    },
    Injecting,
    /// To be undone at this time of the load.
    Active {
        until: u64,
    },
    Undoing,
    Done,
}

#[derive(Debug, Clone)]
pub struct State {
    phase: Phase,
    stopping: bool,
    faults: Vec<Planned>,
}

#[derive(Debug, Clone)]
struct Planned {
    name: String,
    when: When,
    /// How long it lasts; zero for one-shot faults, whose undo only closes them.
    lasts: u64,
    life: Life,
}

impl State {
    pub fn new(faults: &[Fault]) -> Self {
        let planned = faults.iter().map(|fault| Planned {
            name: fault.name.clone(),
            lasts: fault.lasts.map_or(0, length_ns),
            life: Life::Waiting {
                due: if let When::At(at) = fault.when {
                    Some(length_ns(at))
                } else {
                    None
                },
            },
            when: fault.when.clone(),
        });
        Self {
            phase: Phase::Deploy,
            stopping: false,
            faults: planned.collect(),
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a fault whose time has come may still begin.
    pub fn may_inject(&self) -> bool {
        self.phase == Phase::Load && !self.stopping
    }

    /// Faults that wait for the facilitator.
    pub fn waiting_for_key(&self) -> Vec<usize> {
        let waits = |(_, fault): &(usize, &Planned)| {
            matches!(fault.when, When::Key { .. })
                && fault.life == Life::Waiting { due: None }
                && self.may_inject()
        };
        let waiting = self.faults.iter().enumerate().filter(waits);
        waiting.map(|(fault, _)| fault).collect()
    }

    /// The next time of the load at which a fault begins or ends, if one is planned.
    pub fn next_due(&self) -> Option<u64> {
        let due = self.faults.iter().filter_map(|fault| match fault.life {
            Life::Waiting { due: Some(due) } => Some(due),
            Life::Waiting { due: None } => Some(length_ns(fault.when.latest())),
            Life::Active { until } => Some(until),
            Life::Injecting | Life::Undoing | Life::Done => None,
        });
        due.min()
    }

    pub fn next(&mut self, input: &Input) -> Vec<Action> {
        let mut actions = match input {
            Input::Deployed if self.phase == Phase::Deploy => self.enter_load(),
            Input::DeployFailed if self.phase == Phase::Deploy => self.enter_teardown(),
            Input::Deployed | Input::DeployFailed => Vec::new(),
            Input::Tick { load_ns } => self.tick(*load_ns),
            Input::Reached {
                fault,
                moment,
                load_ns,
            } => self.reached(*fault, *moment, *load_ns),
            Input::Injected { fault, load_ns } => self.injected(*fault, *load_ns),
            Input::NotInjected { fault } | Input::Undone { fault } => {
                self.faults[*fault].life = Life::Done;
                Vec::new()
            }
            Input::Go { fault, load_ns } => {
                self.go(*fault, *load_ns);
                Vec::new()
            }
            Input::Stop => self.stop(),
            Input::LoadOver => self.settle(),
            Input::TornDown => {
                self.phase = Phase::Over;
                vec![Action::Finish]
            }
        };
        if self.phase == Phase::Settle && self.faults.iter().all(|fault| fault.life == Life::Done) {
            actions.extend(self.enter_teardown());
        }
        actions
    }

    fn enter_load(&mut self) -> Vec<Action> {
        if self.stopping {
            return self.enter_teardown();
        }
        self.phase = Phase::Load;
        vec![Action::StartLoad]
    }

    fn enter_teardown(&mut self) -> Vec<Action> {
        self.phase = Phase::Teardown;
        vec![Action::TearDown]
    }

    fn tick(&mut self, now: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        for (i, fault) in self.faults.iter_mut().enumerate() {
            match fault.life {
                Life::Waiting { due: Some(due) } if due <= now && self.phase == Phase::Load => {
                    fault.life = Life::Injecting;
                    actions.push(Action::Inject { fault: i });
                }
                Life::Waiting { due: None } if length_ns(fault.when.latest()) <= now => {
                    fault.life = Life::Done;
                    actions.push(Action::Skip {
                        fault: i,
                        reason: NotInjected::TooLate,
                    });
                }
                Life::Active { until } if until <= now => {
                    fault.life = Life::Undoing;
                    actions.push(Action::Undo { fault: i });
                }
                Life::Waiting { .. }
                | Life::Active { .. }
                | Life::Injecting
                | Life::Undoing
                | Life::Done => {}
            }
        }
        actions
    }

    /// `or_by` is a limit of the beginning itself, so it counts with the offset.
    fn reached(&mut self, reached: usize, moment: Moment, now: u64) -> Vec<Action> {
        let name = self.faults[reached].name.clone();
        let mut actions = Vec::new();
        for (i, fault) in self.faults.iter_mut().enumerate() {
            if let (
                When::After {
                    fault: other,
                    moment: wanted,
                    offset,
                    or_by,
                },
                Life::Waiting { due: None },
            ) = (&fault.when, fault.life)
                && *other == name
                && *wanted == moment
            {
                let due = now.saturating_add(length_ns(*offset));
                fault.life = if due > length_ns(*or_by) {
                    actions.push(Action::Skip {
                        fault: i,
                        reason: NotInjected::TooLate,
                    });
                    Life::Done
                } else {
                    Life::Waiting { due: Some(due) }
                };
            }
        }
        actions
    }

    fn go(&mut self, fault: usize, now: u64) {
        if self.waiting_for_key().contains(&fault) {
            self.faults[fault].life = Life::Waiting { due: Some(now) };
        }
    }

    fn injected(&mut self, fault: usize, now: u64) -> Vec<Action> {
        if self.stopping || self.phase != Phase::Load {
            self.faults[fault].life = Life::Undoing;
            return vec![Action::Undo { fault }];
        }
        self.faults[fault].life = Life::Active {
            until: now + self.faults[fault].lasts,
        };
        Vec::new()
    }

    fn stop(&mut self) -> Vec<Action> {
        let first = !std::mem::replace(&mut self.stopping, true);
        match self.phase {
            Phase::Load if first => {
                let mut actions = vec![Action::StopLoad];
                actions.extend(self.wind_down());
                actions
            }
            Phase::Load | Phase::Settle if !first => self.enter_teardown(),
            Phase::Deploy => self.enter_teardown(),
            Phase::Load | Phase::Settle | Phase::Teardown | Phase::Over => Vec::new(),
        }
    }

    fn settle(&mut self) -> Vec<Action> {
        if self.phase != Phase::Load {
            return Vec::new();
        }
        self.phase = Phase::Settle;
        self.wind_down()
    }

    /// Nothing new begins, everything active is taken back.
    fn wind_down(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (i, fault) in self.faults.iter_mut().enumerate() {
            match fault.life {
                Life::Waiting { .. } => {
                    fault.life = Life::Done;
                    actions.push(Action::Skip {
                        fault: i,
                        reason: NotInjected::Stopping,
                    });
                }
                Life::Active { .. } => {
                    fault.life = Life::Undoing;
                    actions.push(Action::Undo { fault: i });
                }
                Life::Injecting | Life::Undoing | Life::Done => {}
            }
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_plan::plan::{HowMany, Inject, Targets};
    use proptest::prelude::*;

    use super::*;

    fn pause(name: &str, when: When) -> Fault {
        let targets = Targets {
            service: "api".to_owned(),
            how_many: HowMany::Count(1),
        };
        Fault {
            name: name.to_owned(),
            when,
            lasts: Some(Duration::from_nanos(10)),
            inject: Inject::Pause { targets },
            line: 1,
        }
    }

    fn after(other: &str) -> When {
        When::After {
            fault: other.to_owned(),
            moment: Moment::Undone,
            offset: Duration::from_nanos(5),
            or_by: Duration::from_nanos(100),
        }
    }

    fn state() -> State {
        State::new(&[
            pause("a", When::At(Duration::from_nanos(20))),
            pause("b", after("a")),
        ])
    }

    #[test]
    fn a_run_plays_its_faults_in_order() {
        let mut state = state();
        assert_eq!(state.next(&Input::Deployed), [Action::StartLoad]);
        assert_eq!(state.next(&Input::Tick { load_ns: 19 }), []);
        assert_eq!(
            state.next(&Input::Tick { load_ns: 20 }),
            [Action::Inject { fault: 0 }]
        );
        state.next(&Input::Injected {
            fault: 0,
            load_ns: 21,
        });
        assert_eq!(
            state.next(&Input::Tick { load_ns: 31 }),
            [Action::Undo { fault: 0 }]
        );
        state.next(&Input::Undone { fault: 0 });
        state.next(&Input::Reached {
            fault: 0,
            moment: Moment::Undone,
            load_ns: 32,
        });
        assert_eq!(
            state.next(&Input::Tick { load_ns: 37 }),
            [Action::Inject { fault: 1 }]
        );
        assert_eq!(state.next(&Input::LoadOver), []);
        assert_eq!(
            state.next(&Input::Injected {
                fault: 1,
                load_ns: 38
            }),
            [Action::Undo { fault: 1 }]
        );
        assert_eq!(state.next(&Input::Undone { fault: 1 }), [Action::TearDown]);
        assert_eq!(state.next(&Input::TornDown), [Action::Finish]);
    }

    #[test]
    fn a_fault_that_waits_too_long_is_skipped() {
        let mut state = state();
        state.next(&Input::Deployed);
        let actions = state.next(&Input::Tick { load_ns: 100 });
        assert!(
            actions.contains(&Action::Skip {
                fault: 1,
                reason: NotInjected::TooLate
            }),
            "{actions:?}"
        );
    }

    #[test]
    fn what_it_waits_for_and_the_offset_must_fit_before_the_limit() {
        for (reached_ns, fits) in [(95, true), (96, false)] {
            let mut state = state();
            state.next(&Input::Deployed);
            let actions = state.next(&Input::Reached {
                fault: 0,
                moment: Moment::Undone,
                load_ns: reached_ns,
            });
            let too_late = Action::Skip {
                fault: 1,
                reason: NotInjected::TooLate,
            };
            assert_eq!(!actions.contains(&too_late), fits, "{reached_ns}");
            let later = state.next(&Input::Tick { load_ns: 100 });
            assert_eq!(later.contains(&Action::Inject { fault: 1 }), fits);
        }
    }

    #[test]
    fn a_second_stop_tears_down_at_once() {
        let mut state = state();
        state.next(&Input::Deployed);
        state.next(&Input::Tick { load_ns: 20 });
        state.next(&Input::Injected {
            fault: 0,
            load_ns: 21,
        });
        assert!(state.may_inject());
        let first = state.next(&Input::Stop);
        assert!(first.contains(&Action::StopLoad) && first.contains(&Action::Undo { fault: 0 }));
        assert!(!state.may_inject());
        assert_eq!(state.next(&Input::Stop), [Action::TearDown]);
        assert_eq!(state.next(&Input::Stop), []);
        assert_eq!(state.next(&Input::Undone { fault: 0 }), []);
        assert_eq!(state.next(&Input::LoadOver), []);
        assert_eq!(state.next(&Input::TornDown), [Action::Finish]);
    }

    #[test]
    fn a_fault_with_a_key_begins_when_told_and_not_later_than_its_limit() {
        let or_by = Duration::from_nanos(100);
        let faults = [
            pause("told", When::Key { or_by }),
            pause("never", When::Key { or_by }),
        ];
        let mut state = State::new(&faults);
        assert!(state.waiting_for_key().is_empty());
        state.next(&Input::Deployed);
        assert_eq!(state.next(&Input::Tick { load_ns: 40 }), []);
        assert_eq!(state.waiting_for_key(), [0, 1]);
        let go = Input::Go {
            fault: 0,
            load_ns: 41,
        };
        assert_eq!(state.next(&go), []);
        assert_eq!(state.waiting_for_key(), [1]);
        let tick = Input::Tick { load_ns: 42 };
        assert_eq!(state.next(&tick), [Action::Inject { fault: 0 }]);
        assert_eq!(state.next(&go), [], "once is enough");
        let skip = Action::Skip {
            fault: 1,
            reason: NotInjected::TooLate,
        };
        assert_eq!(state.next(&Input::Tick { load_ns: 100 }), [skip]);
        assert!(state.waiting_for_key().is_empty());
    }

    /// The conductor performs everything else before it tears down.
    fn next_of(pending: &mut Vec<Action>) -> Option<Action> {
        let last = |action: &Action| matches!(action, Action::TearDown);
        let position = pending.iter().rposition(|action| !last(action));
        match position {
            Some(position) => Some(pending.remove(position)),
            None => pending.pop(),
        }
    }

    /// Answers every action as the world would, with stops and ticks thrown in anywhere.
    fn play(script: &[u8]) -> (Phase, usize, usize) {
        let mut state = state();
        let (mut injected, mut undone, mut now) = (0, 0, 0);
        let mut pending: Vec<Action> = Vec::new();
        let mut script = script.iter();
        for _ in 0..400 {
            now += 1;
            let input = match (script.next().copied(), next_of(&mut pending)) {
                (Some(0), action) => {
                    pending.extend(action);
                    Input::Stop
                }
                (Some(1..=3), action) => {
                    pending.extend(action);
                    Input::Tick { load_ns: now * 3 }
                }
                (_, Some(Action::Inject { fault })) if now % 3 == 0 || !state.may_inject() => {
                    Input::NotInjected { fault }
                }
                (_, Some(Action::Inject { fault })) => {
                    injected += 1;
                    Input::Injected {
                        fault,
                        load_ns: now * 3,
                    }
                }
                (_, Some(Action::Undo { fault })) => {
                    undone += 1;
                    Input::Undone { fault }
                }
                (_, Some(Action::StopLoad)) => Input::LoadOver,
                (_, Some(Action::TearDown)) => Input::TornDown,
                (_, Some(Action::Finish)) => return (state.phase(), injected, undone),
                (_, Some(Action::StartLoad | Action::Skip { .. })) => {
                    Input::Tick { load_ns: now * 3 }
                }
                (_, None) if state.phase() == Phase::Deploy => Input::Deployed,
                (_, None) if now > 100 => Input::LoadOver,
                (_, None) => Input::Tick { load_ns: now * 3 },
            };
            let actions = state.next(&input);
            pending.extend(actions);
        }
        (state.phase(), injected, undone)
    }

    proptest! {
        #[test]
        fn every_path_ends_with_no_fault_outstanding(script in prop::collection::vec(0_u8..8, 0..120)) {
            let (phase, injected, undone) = play(&script);
            prop_assert_eq!(phase, Phase::Over);
            prop_assert_eq!(injected, undone);
        }
    }
}

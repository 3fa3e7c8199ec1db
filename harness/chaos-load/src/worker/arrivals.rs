//! How arrivals come to runners: who is due is lined up, and for those who can begin a runner is called.
//!
//! At once if a lane is idle; [`Openings`] tells when one is opened.
//! Invariant: who waits though a slot is free waits for us, and that is lag; who waits because all
//! slots are taken waits for the target.

use std::rc::Rc;

use chaos_plan::plan::Model;
use chaos_record::outcome::Outcome;

use super::openings::Openings;
use super::{Assignment, Worker, shopping, slots, user};
use crate::users;

/// Most journeys lined up before answers are read again.
const LINED_UP_MAX: usize = 256;
/// Runners made before the load begins, if the peak may need so many.
const RUNNERS_READY: usize = 1_024;

impl Worker {
    /// In the closed model without a cycle each user is a task of its own, which begins its journeys
    /// itself; otherwise runners do, and those the peak may need are made before it comes.
    pub(super) fn let_users_in(&mut self) {
        let Assignment { plan, slice, .. } = &self.assignment;
        if plan.load.model == (Model::Closed { cycle: None }) {
            for user in users::users_of(&plan.load, *slice) {
                self.tasks
                    .spawn_local(user::live(Rc::clone(&self.shared), user));
            }
        } else {
            for _ in 0..slots::needed(&plan.load, slice.workers).min(RUNNERS_READY) {
                self.enlist();
            }
        }
    }

    fn enlist(&mut self) {
        let number = self.shared.line.borrow_mut().enlist();
        self.tasks
            .spawn_local(shopping::run(Rc::clone(&self.shared), number));
    }

    /// Lines up the journeys due by `now_ns`, so many at most. True if there may be more.
    pub(super) fn line_up(&mut self, now_ns: u64) -> bool {
        for _ in 0..LINED_UP_MAX {
            let Some(due) = self.pace.due(now_ns) else {
                return false;
            };
            if !self.shared.line.borrow_mut().push(due) {
                // So many wait in front of it that it is given up now and not when its patience is over.
                self.turned_away += 1;
                let mut recorder = self.shared.recorder.borrow_mut();
                recorder.never_begun(due.journey, due.intended_ns, Outcome::Shed);
            }
        }
        true
    }

    /// Calls runners for those who wait and can begin. Gives the instant at which those who wait for a
    /// lane to come back have to be looked at again; `u64::MAX` if nobody does.
    pub(super) fn call_runners(&mut self, now_ns: u64) -> u64 {
        let (called, uncalled, room) = {
            let line = self.shared.line.borrow();
            (line.called(), line.uncalled(), line.room())
        };
        if uncalled == 0 {
            self.openings.nobody_waits();
            return u64::MAX;
        }
        let slots = self.shared.client.free_slots().saturating_sub(called);
        let free = slots.min(room);
        let idle = self.shared.client.idle_lanes().saturating_sub(called);
        let impatient = self.impatient(now_ns).saturating_sub(called);
        let at_once = uncalled.min(idle.min(free).max(impatient));
        self.call(at_once);
        let (uncalled, free) = (uncalled - at_once, free.saturating_sub(at_once));
        if slots <= at_once {
            self.shared.line.borrow_mut().held_up(now_ns);
        }
        let waiting = uncalled.min(free);
        if waiting == 0 {
            self.openings.nobody_waits();
            return u64::MAX;
        }
        let returned_ns = self.shared.client.lane_returned_ns();
        let opened = self.openings.take(waiting, returned_ns, now_ns);
        self.call(opened);
        if opened == uncalled {
            u64::MAX
        } else {
            Openings::look_ns(now_ns)
        }
    }

    /// Whose patience is over needs no lane.
    fn impatient(&self, now_ns: u64) -> usize {
        let intended_ns = now_ns.saturating_sub(self.shared.patience_ns);
        let line = self.shared.line.borrow();
        if line
            .first_ns()
            .is_none_or(|first_ns| first_ns > intended_ns)
        {
            return 0;
        }
        let impatient = line.intended_by(intended_ns);
        impatient.min(LINED_UP_MAX)
    }

    fn call(&mut self, runners: usize) {
        for _ in 0..runners {
            let has_come = self.shared.line.borrow_mut().call();
            if !has_come {
                self.enlist();
            }
        }
    }
}

//! What second terminals ask for: notes on the timeline, a halt, the word for a fault that waits.
//!
//! Invariant: each request is answered, and nothing here does what a signal or the plan could not do.

use chaos_record::event::{Event, NoteKind};

use super::Conductor;
use crate::control::{Asked, Reply, Request};
use crate::state::{Action, Input};

/// Longest note and name in characters; the rest is cut.
const TEXT_MAX: usize = 2_000;
const NAME_MAX: usize = 100;

impl Conductor<'_> {
    /// Tells which faults wait for the facilitator.
    pub(super) fn announce_keys(&mut self) {
        for fault in self.state.waiting_for_key() {
            let fault = self.plan.faults[fault].name.clone();
            self.event_now(Event::KeyAwaited { fault });
        }
    }

    pub(super) fn asked(&mut self, asked: Asked) -> Vec<Action> {
        let (reply, actions) = match asked.request.clone() {
            Request::Note { kind, text, by } => (self.note(kind, &text, &by), Vec::new()),
            Request::Halt { by } => self.halt(&by),
            Request::Go { fault, .. } => self.go(fault.as_deref()),
            Request::About => (done(self.address.clone()), Vec::new()),
        };
        asked.answer(reply);
        actions
    }

    fn note(&mut self, kind: NoteKind, text: &str, by: &str) -> Reply {
        self.event_now(Event::Note {
            kind,
            text: cut(text, TEXT_MAX),
            by: cut(by, NAME_MAX),
        });
        done("noted".to_owned())
    }

    fn halt(&mut self, by: &str) -> (Reply, Vec<Action>) {
        self.interrupts += 1;
        self.event_now(Event::Halted {
            by: cut(by, NAME_MAX),
        });
        let reply = done("stopping the load, undoing every fault, then the verdict".to_owned());
        (reply, self.stop())
    }

    fn go(&mut self, name: Option<&str>) -> (Reply, Vec<Action>) {
        let waiting = self.state.waiting_for_key();
        let name_of = |fault: &usize| self.plan.faults[*fault].name.clone();
        let names: Vec<String> = waiting.iter().map(name_of).collect();
        let position = match name {
            Some(name) => names.iter().position(|other| other == name),
            None if names.len() == 1 => Some(0),
            None => None,
        };
        let (Some(position), Some(load_ns)) = (position, self.load_ns()) else {
            return (refused(name, &names), Vec::new());
        };
        let fault = names[position].clone();
        let said = format!("{fault} begins");
        self.event_now(Event::KeyPressed { fault });
        let input = Input::Go {
            fault: waiting[position],
            load_ns,
        };
        (done(said), self.state.next(&input))
    }
}

fn done(said: String) -> Reply {
    Reply::Done { said }
}

fn refused(name: Option<&str>, waiting: &[String]) -> Reply {
    let why = match (name, waiting) {
        (_, []) => "no fault waits for a key now".to_owned(),
        (Some(name), _) => format!("`{name}` does not wait; {} does", waiting.join(", ")),
        (None, _) => format!("which one? waiting are {}", waiting.join(", ")),
    };
    Reply::Refused { why }
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

//! What is seen of a load while it goes on: a redrawn block on a terminal, a line every 10 s elsewhere.
//!
//! Invariant: only watches. A slow or closed terminal changes nothing in the load.

use chaos_plan::Plan;
use chaos_record::event::{Event, Stamped};
use chaos_record::live;
use chaos_record::record::Record;
use chaos_report::text::{LoadLive, event_text, load_status_line};
use chaos_run::conductor::Audience;

use crate::output::Output;
use crate::progress::{Block, LOOKS_A_BLOCK, LOOKS_A_LINE};

/// The terminal's view of a load.
pub(super) struct Watch {
    output: Output,
    plan: Plan,
    live: LoadLive,
    looks: u64,
    block: Block,
}

impl Watch {
    pub(super) fn new(output: Output, plan: &Plan) -> Self {
        Self {
            block: Block::new(output.clone()),
            output,
            plan: plan.clone(),
            live: LoadLive::default(),
            looks: 0,
        }
    }

    /// Takes the block away before the closing lines.
    pub(super) fn close(&mut self) {
        self.block.take_away();
    }
}

impl Audience for Watch {
    /// Only a wish to stop is told at once: everything else stands in the closing lines.
    fn event(&mut self, stamped: &Stamped, _: &Record) {
        let is_news = matches!(stamped.what, Event::Interrupted { .. });
        let text = event_text(&stamped.what, &self.plan);
        if let Some(text) = text.filter(|_| is_news && !self.output.quiet) {
            self.block.say(&format!(
                "{text}: what is in flight may end; once more ends at once"
            ));
        }
    }

    fn look(&mut self, record: &Record, load_ns: Option<u64>) {
        let look = self.looks;
        self.looks += 1;
        let redraw = self.output.redraw && look.is_multiple_of(LOOKS_A_BLOCK);
        // Nothing is known yet at the first look.
        let line = !self.output.redraw && look > 0 && look.is_multiple_of(LOOKS_A_LINE);
        let Some(load_ns) = load_ns.filter(|_| !self.output.quiet && (redraw || line)) else {
            return;
        };
        let pulse = live::pulse(record, load_ns);
        if redraw {
            let width = self.output.width();
            let lines = self
                .live
                .block(&self.plan, &pulse, self.output.color, width);
            self.block.draw(&lines);
        } else {
            self.output.say(&load_status_line(&self.plan, &pulse));
        }
    }
}

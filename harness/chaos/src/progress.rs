//! What is seen of a run while it goes on: a redrawn block on a terminal, lines elsewhere, JSON if asked.
//!
//! Invariant: only watches. A slow or closed terminal changes nothing in the run.

use std::sync::Arc;

use chaos_plan::Plan;
use chaos_record::event::Stamped;
use chaos_record::live;
use chaos_record::record::Record;
use chaos_report::text::{self, EventLines, Glance, Live};
use chaos_run::conductor::Audience;

use crate::output::Output;

/// Looks come ten times a second; the block is redrawn on every fifth, a line is printed on every hundredth.
pub(crate) const LOOKS_A_BLOCK: u64 = 5;
pub(crate) const LOOKS_A_LINE: u64 = 100;

/// The terminal's view of a run.
pub(crate) struct Progress {
    output: Output,
    plan: Arc<Plan>,
    json: bool,
    lines: EventLines,
    live: Live,
    looks: u64,
    block: Block,
}

impl Progress {
    pub(crate) fn new(output: Output, plan: Arc<Plan>, json: bool) -> Self {
        let lines = EventLines::new(output.verbose > 0);
        Self {
            block: Block::new(output.clone()),
            output,
            plan,
            json,
            lines,
            live: Live::default(),
            looks: 0,
        }
    }

    /// The first line: what begins.
    pub(crate) fn opening(&self, run: &str) {
        self.output.tell(&format!(
            "{}\nrun {run}, seed {}",
            self.plan.question, self.plan.seed
        ));
    }

    /// Takes the block away before the closing lines.
    pub(crate) fn close(&mut self) {
        self.block.take_away();
    }

    fn draw(&mut self, glance: &Glance) {
        let block = self
            .live
            .block(glance, self.output.color, self.output.width());
        self.block.draw(&block);
    }
}

/// Lines at the end of the terminal that are drawn over again and again.
pub(crate) struct Block {
    output: Output,
    /// Lines of the block that stand on the terminal now.
    drawn: usize,
}

impl Block {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, drawn: 0 }
    }

    pub(crate) fn draw(&mut self, lines: &[String]) {
        self.replace(&format!("{}\n", lines.join("\n")), lines.len());
    }

    pub(crate) fn take_away(&mut self) {
        self.replace("", 0);
    }

    /// A line that stays, where the block stood; the next drawing puts the block below it.
    pub(crate) fn say(&mut self, line: &str) {
        if self.drawn > 0 {
            self.replace(&format!("{line}\n"), 0);
        } else {
            self.output.say(line);
        }
    }

    /// Puts `text`, which ends with `drawn` lines to be replaced later, where the block stands. One
    /// piece, so that a terminal that has no room for it keeps what it shows.
    fn replace(&mut self, text: &str, drawn: usize) {
        let erase = if self.drawn > 0 {
            // Cursor up, then clear to the end of the screen (ECMA-48 CPL and ED).
            format!("\x1b[{}F\x1b[J", self.drawn)
        } else {
            String::new()
        };
        if self.output.draw(&(erase + text)) {
            self.drawn = drawn;
        }
    }
}

impl Audience for Progress {
    fn event(&mut self, stamped: &Stamped, _record: &Record) {
        if self.json {
            self.output
                .give(&serde_json::to_string(stamped).expect("an event is plain data"));
        }
        if let Some(line) = self
            .lines
            .line(stamped, &self.plan)
            .filter(|_| !self.output.quiet)
        {
            self.block.say(&line);
        }
    }

    fn look(&mut self, record: &Record, load_ns: Option<u64>) {
        let look = self.looks;
        self.looks += 1;
        let redraw = self.output.redraw && look.is_multiple_of(LOOKS_A_BLOCK);
        let line = !self.output.redraw && look.is_multiple_of(LOOKS_A_LINE);
        let Some(load_ns) = load_ns.filter(|_| !self.output.quiet && (redraw || line)) else {
            return;
        };
        let seen = live::glance(record, load_ns);
        if seen.is_over {
            self.block.take_away();
            return;
        }
        let glance = glance(&self.plan, &seen);
        if redraw {
            self.draw(&glance);
        } else {
            self.output.say(&text::status_line(&glance));
        }
    }
}

/// What the record knows, in the shape the terminal draws.
fn glance(plan: &Plan, seen: &live::Glance) -> Glance {
    // A search counts as one stage, whatever it decides on.
    let stages = plan.load.stages.len() + usize::from(plan.load.search.is_some());
    Glance {
        scenario: plan.name.clone(),
        stage: seen.stage_name.clone(),
        stage_index: seen.stage.min(stages.saturating_sub(1)),
        stages,
        elapsed: seen.now,
        total: seen.length,
        offered: seen.offered,
        achieved: seen.achieved,
        p95_ns: seen.p95,
        limit_ns: seen.limit,
        bad_share: seen.bad_share.unwrap_or(0.0),
        active_faults: seen
            .active
            .iter()
            .map(|fault| (fault.name.clone(), fault.remaining))
            .collect(),
    }
}

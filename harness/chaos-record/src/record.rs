//! The record: its lines added up, while the run goes on or read back from a file.
//!
//! Invariant: reading what was written gives the same record as having applied each line live. A
//! record that was cut or damaged anywhere is still read, and says so; it never looks whole.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::Segment;
use serde::Deserialize;
use thiserror::Error;

use crate::audit::Audited;
use crate::event::{Event, Stamped};
use crate::forget::Forgotten;
use crate::health::Health;
use crate::line::{End, Header, Line, VERSION};
use crate::operation::Operation;
use crate::planned::Planned;
use crate::series::SeriesTable;
use crate::sums::Sums;
use crate::usage::Usage;
use crate::window::Windows;

/// Longest line that is read; a longer one is damage.
const LINE_MAX: u64 = 64 * 1024 * 1024;

/// Everything known about a run.
#[derive(Debug, Clone)]
pub struct Record {
    /// As written at the begin; of a search, what was decided since is added to the plan's stages.
    pub header: Header,
    /// What a search decided on, each with the number of its stage.
    pub segments: Vec<(usize, Segment)>,
    /// In the order they were written.
    pub events: Vec<Stamped>,
    pub windows: Windows,
    /// From the operation log, in the order of its lines.
    pub operations: Vec<Operation>,
    /// What the target told it holds, in the order it was told.
    pub audits: Vec<Audited>,
    /// What instances used, in order of time.
    pub usage: Vec<Usage>,
    /// How the generator was, in order of time.
    pub health: Vec<Health>,
    /// Present if the run closed its record.
    pub end: Option<End>,
    /// Lines taken in, the header included.
    pub lines: u64,
    /// First line, from 1, that could not be read or does not belong there, or the end line if lines
    /// before it are missing. Of what follows only the clean-up counts. A line that was cut off, with
    /// nothing but the clean-up behind it, is where a killed run stopped writing and no damage.
    pub damaged_at_line: Option<u64>,
    /// A line that was cut off: damage, should anything but the clean-up follow.
    cut_at_line: Option<u64>,
    /// The plan's series.
    pub series: SeriesTable,
    /// The whole schedule by cell; in a closed model without a cycle, what was begun.
    pub planned: Planned,
    /// What of it was due, if the load was cut short.
    pub(crate) due: Option<Planned>,
    pub(crate) sums: Sums,
    /// What a long run no longer holds in memory.
    pub(crate) forgotten: Forgotten,
    /// Faults that were over before the cells that show it were forgotten: name and time of the load.
    pub(crate) back_in_band: BTreeMap<String, u64>,
}

/// Why a text is no record. The text completes "failed to ...".
#[derive(Debug, Error)]
pub enum RecordError {
    #[error("read the record's bytes")]
    Read { source: io::Error },
    #[error("find a header in the record: it is empty, the run ended before it wrote anything")]
    Empty,
    #[error("read line 1 of the record as its header: is this a `record.jsonl` of chaos?")]
    NotAHeader { source: serde_json::Error },
    #[error(
        "read a record of version `{found}`: this program reads version `{VERSION}`, use the program that wrote it"
    )]
    Version { found: u32 },
}

/// The part of a header that every version has.
#[derive(Deserialize)]
struct AnyHeader {
    header: AnyVersion,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl Record {
    /// A record of which only the header is written.
    pub fn new(header: Header) -> Self {
        let series = SeriesTable::new(&header.plan);
        let planned = Planned::new(&header.plan, u64::MAX);
        Self {
            header,
            segments: Vec::new(),
            events: Vec::new(),
            windows: Windows::default(),
            operations: Vec::new(),
            audits: Vec::new(),
            usage: Vec::new(),
            health: Vec::new(),
            end: None,
            lines: 1,
            damaged_at_line: None,
            cut_at_line: None,
            series,
            planned,
            due: None,
            sums: Sums::default(),
            forgotten: Forgotten::default(),
            back_in_band: BTreeMap::new(),
        }
    }

    /// Adds one line that follows the header.
    pub fn apply(&mut self, line: &Line) {
        let number = self.lines + 1;
        self.take(line, number);
    }

    /// The plan as it was given: without the stages that a search added.
    pub fn plan_as_given(&self) -> Plan {
        let plan = &self.header.plan;
        let first = self.segments.first();
        plan.rolled_up(first.map_or(plan.load.stages.len(), |(stage, _)| *stage))
    }

    /// A load that ends with a number of journeys was over at this time of the load.
    pub fn ended(&mut self, at: Duration) {
        self.header.plan.ended(at);
    }

    /// The line that closes this record at `at` nanoseconds since the start of the run.
    pub fn end_line(&self, at: u64) -> Line {
        Line::End(End {
            at,
            lines: self.lines,
        })
    }

    /// Reads a record; a last line that was cut off is left out, and the record has no end then.
    pub fn read(mut text: impl BufRead) -> Result<Self, RecordError> {
        let mut buffer = Vec::new();
        let mut number = 0;
        let mut record: Option<Self> = None;
        loop {
            buffer.clear();
            let taken = text.by_ref().take(LINE_MAX).read_until(b'\n', &mut buffer);
            if taken.map_err(|source| RecordError::Read { source })? == 0 {
                return record.ok_or(RecordError::Empty);
            }
            number += 1;
            if buffer.trim_ascii().is_empty() {
                continue;
            }
            match &mut record {
                None => record = Some(Self::new(read_header(&buffer)?)),
                Some(record) => {
                    record.take_text(&buffer, number);
                    record.fold();
                }
            }
        }
    }

    fn take_text(&mut self, text: &[u8], number: u64) {
        match Line::parse(text) {
            Ok(line) => self.take(&line, number),
            // The end of a file that was cut: nothing is wrong with what stands before it.
            Err(_) if !text.ends_with(b"\n") => {}
            Err(_) if self.is_whole_so_far() && is_cut(text) => self.cut_at_line = Some(number),
            Err(_) => self.damaged(self.cut_at_line.unwrap_or(number)),
        }
    }

    fn is_whole_so_far(&self) -> bool {
        self.end.is_none() && self.damaged_at_line.is_none() && self.cut_at_line.is_none()
    }

    fn take(&mut self, line: &Line, number: u64) {
        if let Some(cut) = self.cut_at_line
            && !is_clean_up(line)
        {
            self.damaged(cut);
        }
        if self.damaged_at_line.is_some() {
            self.take_after_damage(line);
            return;
        }
        match line {
            Line::Event(event) if self.end.is_none() => self.happened(event),
            Line::Delta(delta) if self.end.is_none() => {
                self.windows.add(delta);
                self.sums.add(delta, &self.series);
                if !self.is_paced() {
                    self.planned.begun(delta, &self.series);
                }
            }
            Line::Operation(operation) if self.end.is_none() => {
                self.operations.push(operation.clone());
            }
            Line::Audited(audited) if self.end.is_none() => self.audits.push(audited.clone()),
            Line::Usage(usage) if self.end.is_none() => self.usage.push(usage.clone()),
            Line::Health(health) if self.end.is_none() => self.health.push(health.clone()),
            Line::End(end) if self.end.is_none() && end.lines == self.lines => {
                self.end = Some(end.clone());
            }
            _ => self.damaged(number),
        }
        self.lines += 1;
    }

    fn is_paced(&self) -> bool {
        self.header.plan.load.model.is_paced()
    }

    fn happened(&mut self, event: &Stamped) {
        if let Event::Searching(segment) = &event.what {
            self.searched(segment);
        }
        if let Event::LoadStopped {
            until,
            cut_short: true,
        } = event.what
            && self.is_paced()
        {
            let forgotten = &self.forgotten;
            self.due.get_or_insert_with(|| {
                let mut due = Planned::new(&self.header.plan, until);
                due.keep(forgotten);
                due
            });
        }
        self.events.push(event.clone());
    }

    /// One that cannot be the search's is left out; then what was counted does not agree with the plan.
    fn searched(&mut self, segment: &Segment) {
        let stage = self.header.plan.load.stages.len();
        if self.header.plan.unroll(segment).is_ok() {
            self.planned.follow(segment);
            self.segments.push((stage, *segment));
        }
    }

    /// Whether a later clean-up succeeded can still be said, and is said after every damage.
    fn take_after_damage(&mut self, line: &Line) {
        if let Line::Event(event) = line
            && is_clean_up(line)
        {
            self.events.push(event.clone());
        }
    }

    fn damaged(&mut self, number: u64) {
        self.damaged_at_line.get_or_insert(number);
    }
}

fn is_clean_up(line: &Line) -> bool {
    let what = match line {
        Line::Event(event) => Some(&event.what),
        _ => None,
    };
    matches!(what, Some(Event::CleanedUp { .. }))
}

/// Whether a line that cannot be read is the beginning of one that could.
fn is_cut(text: &[u8]) -> bool {
    Line::parse(text.trim_ascii_end()).is_err_and(|error| error.is_eof())
}

fn read_header(text: &[u8]) -> Result<Header, RecordError> {
    let not_a_header = |source| RecordError::NotAHeader { source };
    let any: AnyHeader = serde_json::from_slice(text).map_err(not_a_header)?;
    if any.header.version != VERSION {
        return Err(RecordError::Version {
            found: any.header.version,
        });
    }
    match Line::parse(text).map_err(not_a_header)? {
        Line::Header(header) => Ok(*header),
        // Cannot happen after `AnyHeader` was read; said rather than assumed.
        _ => Err(RecordError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Run;
    use crate::search::SearchEnd;

    fn text_of(lines: &[Line]) -> String {
        lines.iter().map(|line| line.to_json() + "\n").collect()
    }

    #[test]
    fn reading_gives_what_was_applied() {
        let lines = Run::calm().lines();
        let live = Run::calm().record();
        let read = Record::read(text_of(&lines).as_bytes()).expect("a whole record");
        assert_eq!(
            (read.end.clone(), read.lines, read.damaged_at_line),
            (live.end.clone(), live.lines, None)
        );
        assert_eq!(read.events, live.events);
        assert_eq!(crate::judge::judge(&read), crate::judge::judge(&live));
    }

    #[test]
    fn a_record_cut_at_any_byte_is_read_and_has_no_end() {
        let text = text_of(&Run::calm().lines());
        let header = text.find('\n').expect("several lines");
        for cut in (header + 1..text.len() - 1)
            .step_by(997)
            .chain(text.len() - 40..text.len() - 1)
        {
            let record = Record::read(&text.as_bytes()[..cut]).expect("the header is whole");
            assert_eq!(
                (record.end, record.damaged_at_line),
                (None, None),
                "cut at {cut}"
            );
        }
        assert!(matches!(
            Record::read(&text.as_bytes()[..header / 2]),
            Err(RecordError::NotAHeader { .. })
        ));
        assert!(matches!(Record::read(&b""[..]), Err(RecordError::Empty)));
    }

    #[test]
    fn operations_audits_and_usage_come_back_as_written() {
        let operation = r#"{"operation":{"key":"k","journey":1,"step":0,"at":5,"ended":9,"outcome":"ok","order":"o-1","amount":1999}}"#;
        let audited =
            r#"{"audited":{"reading":"before","service":"bank","line":{"end":{"lines":1}}}}"#;
        let usage = r#"{"usage":{"at":7,"instances":[{"service":"api","instance":"api-1","incarnation":1,"cpu_ns":4,"memory":5,"descriptors":6,"connections":3}]}}"#;
        let health = r#"{"health":{"from":0,"until":9,"workers":[{"worker":0,"cpu_ns":3,"stall_max_ns":2,"stalls":[0,0],"stalled_ns":0}],"hiccups":[[60,5]],"meter_cpu_ns":1,"throttled":{"periods":1,"ns":2}}}"#;
        let note =
            r#"{"event":{"at":8,"what":{"note":{"kind":"surprise","text":"oh","by":"anna"}}}}"#;
        let mut record = Run::calm().header_only();
        for text in [operation, audited, usage, health, note] {
            let line = Line::parse(text.as_bytes()).expect(text);
            assert_eq!(line.to_json(), text);
            record.apply(&line);
        }
        let counts = (
            record.operations.len(),
            record.audits.len(),
            record.usage.len(),
        );
        assert_eq!(
            (counts, record.events.len(), record.lines),
            ((1, 1, 1), 1, 6)
        );
        let end = record.end_line(9);
        record.apply(&end);
        record.apply(&Line::parse(operation.as_bytes()).expect("a line"));
        assert_eq!(
            (record.operations.len(), record.damaged_at_line),
            (1, Some(8))
        );
    }

    #[test]
    fn the_plan_as_given_is_without_what_a_search_added() {
        let run = Run::calm().search(&[(100, 4), (200, 4)], Some(SearchEnd::Bottom));
        let (given, record) = (run.header_only().header.plan, run.record());
        assert!(record.header.plan.load.stages.len() > given.load.stages.len());
        assert_eq!(record.plan_as_given(), given);
        assert_eq!(
            Run::calm().record().plan_as_given(),
            Run::calm().header_only().header.plan
        );
    }

    #[test]
    fn another_version_is_refused() {
        let text = text_of(&Run::calm().lines()).replacen(r#""version":1"#, r#""version":2"#, 1);
        assert!(matches!(
            Record::read(text.as_bytes()),
            Err(RecordError::Version { found: 2 })
        ));
    }

    #[test]
    fn a_bad_line_in_the_middle_loses_what_follows_but_the_clean_up() {
        let mut lines: Vec<String> = Run::calm().lines().iter().map(Line::to_json).collect();
        lines[3].truncate(10);
        let record = Record::read(lines.join("\n").as_bytes()).expect("the header is whole");
        assert_eq!(
            (record.damaged_at_line, record.lines, record.end),
            (Some(4), 3, None)
        );
        assert!(matches!(
            record.events.last(),
            Some(Stamped {
                what: Event::CleanedUp { .. },
                ..
            })
        ));
    }

    /// As the guardian leaves a record: the cut line ended, the clean-up behind it.
    #[test]
    fn a_line_cut_by_a_kill_is_the_end_of_the_record_and_no_damage() {
        let lines: Vec<String> = Run::calm().lines().iter().map(Line::to_json).collect();
        let clean_up =
            r#"{"event":{"at":9000000000,"what":{"cleaned_up":{"verified":true,"left":[]}}}}"#;
        let read = |parts: &[&str]| {
            let text = parts.join("\n") + "\n";
            Record::read(text.as_bytes()).expect("the header is whole")
        };
        let last = lines[6].as_str();
        for cut in 1..last.len() {
            let mut parts: Vec<&str> = lines[..6].iter().map(String::as_str).collect();
            parts.extend([&last[..cut], clean_up]);
            let record = read(&parts);
            assert_eq!(
                (record.damaged_at_line, &record.end),
                (None, &None),
                "cut at {cut}"
            );
            let last_event = record.events.last().map(|event| &event.what);
            assert!(
                matches!(last_event, Some(Event::CleanedUp { .. })),
                "cut at {cut}"
            );
            // Anything else behind it was written by a run that went on.
            parts.push(&lines[7]);
            assert_eq!(read(&parts).damaged_at_line, Some(7), "cut at {cut}");
        }
        // Not cut but spoilt.
        let spoilt = last.replacen(':', "#", 1);
        let mut parts: Vec<&str> = lines[..6].iter().map(String::as_str).collect();
        parts.extend([spoilt.as_str(), clean_up]);
        assert_eq!(read(&parts).damaged_at_line, Some(7));
    }

    #[test]
    fn a_missing_or_doubled_line_is_noticed_at_the_end() {
        let lines = Run::calm().lines();
        for at in 1..lines.len() - 1 {
            let (mut without, mut doubled) = (lines.clone(), lines.clone());
            without.remove(at);
            doubled.insert(at, lines[at].clone());
            for lines in [without, doubled] {
                let record = Record::read(text_of(&lines).as_bytes()).expect("the header is whole");
                assert_eq!(
                    (record.end, record.damaged_at_line),
                    (None, Some(lines.len() as u64)),
                    "line {at}"
                );
            }
        }
    }
}

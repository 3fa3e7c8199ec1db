//! The timeline strip: load, faults, what the system reported, notes and guards on one clock.
//!
//! Invariant: what lies in time with the load is drawn at its instant; notes and guards outside it
//! stand at the edge, and everything else outside it stands in the table alone.

use chaos_record::event::{Event, FaultChange, InstanceChange, PlatformChange};

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, Shape, WIDE, draw, seconds, short};
use super::ink::Ink;
use super::{ChartError, Figure, Key, Panel, Sign, Table, key};
use crate::clean::clean;
use crate::text::event_text;
use crate::timeline::Timeline;
use crate::view::{EventRow, FaultLane, Story, event_rows, fault_lanes};
use crate::words;

const CHART: &str = "timeline";
const TITLE: &str = "Timeline";
/// Height of a lane, units.
const LANE: i32 = 23;
/// Most faults with a lane of their own, and most signs in a lane.
const FAULTS_MAX: usize = 10;
const SIGNS_MAX: usize = 150;

pub(super) fn figure(story: &Story<'_>, timeline: &Timeline) -> Result<Figure, ChartError> {
    let strip = Strip::of(story, timeline);
    let (rows, _) = event_rows(story);
    let row = |row: EventRow| vec![row.at, row.clock, row.what];
    Ok(Figure {
        id: CHART.to_owned(),
        title: TITLE,
        caption: "Minutes and seconds since the load began. A fault's bar begins when its effect was proven and ends when it was undone.".to_owned(),
        legend: strip.legend(),
        panels: vec![Panel {
            title: String::new(),
            note: String::new(),
            wide: strip.draw(WIDE)?,
            narrow: strip.draw(NARROW)?,
        }],
        table: Table::new(["at", "wall clock", "what"], rows.into_iter().map(row).collect()),
        finding: strip.finding,
    })
}

/// Something that happened at one instant of the load, in seconds.
struct Moment {
    at: f64,
    shape: Shape,
    ink: Ink,
    what: String,
}

struct Strip<'a> {
    timeline: &'a Timeline,
    scene: Scene,
    finding: String,
    faults: Vec<FaultLane>,
    system: Vec<Moment>,
    guards: Vec<Moment>,
    notes: Vec<Moment>,
}

impl<'a> Strip<'a> {
    fn of(story: &Story<'_>, timeline: &'a Timeline) -> Self {
        let zero = story.verdict.load_started.unwrap_or(0);
        let length = story.verdict.load_length;
        let inside = |at: &u64| *at >= zero && at - zero <= length;
        let moments = |pick: fn(&Event) -> Option<(Shape, Ink)>, all: bool| -> Vec<Moment> {
            let events = story.events.iter().filter(|event| all || inside(&event.at));
            let picked = events.filter_map(|event| {
                let (shape, ink) = pick(&event.what)?;
                Some(Moment {
                    at: seconds(event.at.saturating_sub(zero)),
                    shape,
                    ink,
                    what: event_text(&event.what, story.plan())?,
                })
            });
            picked.take(SIGNS_MAX).collect()
        };
        let mut strip = Self {
            timeline,
            scene: Scene::of(story),
            finding: String::new(),
            faults: fault_lanes(story),
            system: moments(system, false),
            guards: moments(guard, true),
            notes: notes(story, zero),
        };
        strip.finding = strip.finding();
        strip
    }

    fn finding(&self) -> String {
        let effective = self.faults.iter().filter(|fault| fault.effective.is_some());
        let effective = effective.count() as u64;
        let planned = self.faults.len() as u64;
        let faults = match planned {
            0 => "No fault was planned".to_owned(),
            _ if effective == planned => {
                format!("{} took effect", words::counted(effective, "fault"))
            }
            _ => format!(
                "{} of {} took effect",
                words::count(effective),
                words::counted(planned, "planned fault")
            ),
        };
        let system = match self.system.len() {
            0 => "no instance changed while the load ran".to_owned(),
            n => format!(
                "instances changed {} while the load ran",
                words::counted(n as u64, "time")
            ),
        };
        let guards = match self.guards.as_slice() {
            [] => String::new(),
            [.., last] => format!("; {}", last.what),
        };
        format!("{faults}; {system}{guards}.")
    }

    fn has(&self, shape: Shape) -> bool {
        self.system.iter().any(|moment| moment.shape == shape)
    }

    fn legend(&self) -> Vec<Key> {
        let felt = self.faults.iter().any(|fault| fault.until > fault.undone);
        let on = self.faults.iter().any(|fault| fault.effective.is_some());
        let keys = [
            (true, key(Ink::Load, Sign::Bar, "journeys offered")),
            (on, key(Ink::Flag, Sign::Bar, "fault on")),
            (
                felt,
                key(Ink::FaultTail, Sign::Hatch, "until back to normal"),
            ),
            (
                self.has(Shape::Down),
                key(Ink::Down, Sign::Down, "instance ended or not ready"),
            ),
            (self.has(Shape::Up), key(Ink::Up, Sign::Up, "started again")),
            (self.has(Shape::Dot), key(Ink::Ready, Sign::Dot, "ready")),
            (
                !self.notes.is_empty(),
                key(Ink::Note, Sign::Dot, "note, numbered as in the debrief"),
            ),
            (
                !self.guards.is_empty(),
                key(Ink::Stop, Sign::Square, "guard or stop"),
            ),
        ];
        keys.into_iter()
            .filter_map(|(shown, key)| shown.then_some(key))
            .collect()
    }

    fn lanes(&self) -> i32 {
        let faults = self.faults.len().min(FAULTS_MAX);
        let others = [&self.system, &self.notes, &self.guards];
        let others = others.iter().filter(|moments| !moments.is_empty()).count();
        i32::try_from(1 + faults + others).unwrap_or(1)
    }

    fn draw(&self, paper: Paper) -> Result<String, ChartError> {
        let axes = Axes {
            chart: CHART,
            kind: CHART,
            height: self.lanes() * LANE + 4,
            values: (0.0, 1.0),
            marks: Vec::new(),
            label: &|_: &f64| String::new(),
            cap_row: false,
            windows: false,
        };
        draw(&self.scene, paper, &axes, (TITLE, &self.finding), |frame| {
            self.content(frame)
        })
    }

    fn content(&self, frame: &Frame) -> Drawn {
        self.load(frame)?;
        let mut top = LANE;
        for fault in self.faults.iter().take(FAULTS_MAX) {
            fault_lane(frame, fault, top)?;
            top += LANE;
        }
        for (name, moments) in [
            ("system", &self.system),
            ("notes", &self.notes),
            ("guards", &self.guards),
        ] {
            if !moments.is_empty() {
                lane(frame, name, moments, top)?;
                top += LANE;
            }
        }
        Ok(())
    }

    fn load(&self, frame: &Frame) -> Drawn {
        let rate = |b: &crate::timeline::Bucket| b.offered as f64 / b.seconds().max(1e-9);
        let most = self.timeline.buckets.iter().map(rate).fold(1e-9, f64::max);
        frame.lane_name(LANE / 2, "load")?;
        frame.begin_group("load", "journeys offered a second");
        for bucket in &self.timeline.buckets {
            let span = (seconds(bucket.start), seconds(bucket.end));
            let height = tenths(rate(bucket) / most * f64::from((LANE - 4) * 10));
            if height > 0 {
                frame.column(span, LANE - 1, height, Ink::Load)?;
            }
        }
        frame.end_group();
        frame.rule(LANE - 1, Ink::Lane)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "at most the height of a lane"
)]
fn tenths(height: f64) -> i32 {
    height.round() as i32
}

fn fault_lane(frame: &Frame, fault: &FaultLane, top: i32) -> Drawn {
    let middle = top + LANE / 2;
    frame.rule(top + LANE - 1, Ink::Lane)?;
    frame.lane_name(middle, &format!("fault {}", fault.letter))?;
    frame.begin_group("fault", &fault.title);
    if let Some(effective) = fault.effective {
        let span = (top + 6, top + LANE - 7);
        let from = seconds(effective);
        if let Some(requested) = fault.requested {
            frame.bar((seconds(requested), from), (middle - 1, middle), Ink::Flag)?;
        }
        let [undone, until] = [fault.undone, fault.until].map(seconds);
        if until > undone {
            frame.bar((undone, until), span, Ink::FaultTail)?;
            frame.tick(until, span, Ink::Flag)?;
        }
        if undone > from {
            frame.bar((from, undone), span, Ink::Flag)?;
        } else {
            frame.sign(from, middle, Shape::Square, Ink::Flag)?;
        }
        frame.words_at(until.max(undone), middle, &short(&fault.name), Ink::Title)?;
    } else if let Some(requested) = fault.requested {
        let text = format!("{}: no effect", short(&fault.name));
        frame.sign(seconds(requested), middle, Shape::Square, Ink::Stop)?;
        frame.words_at(seconds(requested), middle, &text, Ink::Title)?;
    } else {
        frame.words_left(
            middle,
            &format!("{}: not injected", short(&fault.name)),
            Ink::Label,
        )?;
    }
    frame.end_group();
    Ok(())
}

fn lane(frame: &Frame, name: &str, moments: &[Moment], top: i32) -> Drawn {
    let middle = top + LANE / 2;
    frame.rule(top + LANE - 1, Ink::Lane)?;
    frame.lane_name(middle, name)?;
    for (number, moment) in moments.iter().enumerate() {
        frame.begin_group("event", &moment.what);
        if moment.ink == Ink::Note {
            frame.disc(moment.at, middle, &(number + 1).to_string(), Ink::Note)?;
        } else {
            // An end and a start may lie close together.
            let drop = match moment.shape {
                Shape::Down => -4,
                Shape::Up => 4,
                Shape::Dot | Shape::Square => 0,
            };
            frame.sign(moment.at, middle + drop, moment.shape, moment.ink)?;
        }
        frame.end_group();
    }
    Ok(())
}

fn system(event: &Event) -> Option<(Shape, Ink)> {
    let change = match event {
        Event::Instance { change, .. } => change,
        Event::Platform {
            change: PlatformChange::Node { ready: false, .. },
            ..
        } => return Some((Shape::Down, Ink::Down)),
        _ => return None,
    };
    match change {
        InstanceChange::Started { incarnation, .. } if *incarnation > 1 => {
            Some((Shape::Up, Ink::Up))
        }
        InstanceChange::Ready => Some((Shape::Dot, Ink::Ready)),
        InstanceChange::Unready { .. }
        | InstanceChange::Down
        | InstanceChange::Stuck { .. }
        | InstanceChange::Exited { asked: false, .. } => Some((Shape::Down, Ink::Down)),
        InstanceChange::Started { .. }
        | InstanceChange::Exited { .. }
        | InstanceChange::Withdrawn { .. }
        | InstanceChange::Restarting { .. } => None,
    }
}

fn guard(event: &Event) -> Option<(Shape, Ink)> {
    let is_guard = match event {
        Event::Aborted { .. }
        | Event::Interrupted { .. }
        | Event::Halted { .. }
        | Event::EnvironmentFailed { .. }
        | Event::GuardianLost
        | Event::Panicked { .. } => true,
        Event::Fault { change, .. } => matches!(
            change,
            FaultChange::NotInjected { .. }
                | FaultChange::Unproven { .. }
                | FaultChange::UndoFailed { .. }
        ),
        _ => false,
    };
    is_guard.then_some((Shape::Square, Ink::Stop))
}

/// In the order of the debrief, so that the numbers are the same.
fn notes(story: &Story<'_>, zero: u64) -> Vec<Moment> {
    let notes = story.verdict.notes.iter().take(SIGNS_MAX);
    notes
        .map(|note| Moment {
            at: seconds(note.at.saturating_sub(zero)),
            shape: Shape::Dot,
            ink: Ink::Note,
            what: format!("{}: {}", note.kind.name(), clean(&note.text)),
        })
        .collect()
}

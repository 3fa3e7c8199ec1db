//! Errors by kind: stacked bars of four groups over time, and one small row for each kind.
//!
//! Invariant: every bad request stands in exactly one group and one row; all rows have one scale.

use chaos_record::outcome::{Counts, FailKind};

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, WIDE, draw, seconds};
use super::ink::Ink;
use super::load::a_second;
use super::{ChartError, Figure, Panel, Sign, Table, key, scale};
use crate::timeline::{Bucket, Timeline};
use crate::view::Story;
use crate::words;

const CHART: &str = "errors";
const TITLE: &str = "Errors by kind";
/// Height of the row of one kind: its name, then its bars.
const NAME: i32 = 16;
const BARS: i32 = 20;
const ROW: i32 = NAME + BARS + 5;

/// One way in which a request can be bad.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    group: Ink,
    of: fn(&Counts) -> u64,
}

macro_rules! failed {
    ($kind:ident, $group:ident) => {
        Kind {
            name: "",
            group: Ink::$group,
            of: |counts| counts.failed[FailKind::$kind as usize],
        }
    };
}

/// In the order of [`FailKind::ALL`], then what was never answered or sent.
const KINDS: [Kind; FailKind::ALL.len() + 2] = [
    failed!(ConnectRefused, KindConnect),
    failed!(ConnectTimeout, KindConnect),
    failed!(ConnectOther, KindConnect),
    failed!(Tls, KindConnect),
    failed!(Refused, KindConnect),
    failed!(Reset, KindConnect),
    failed!(Timeout, KindTime),
    failed!(Protocol, KindAnswer),
    failed!(TooLarge, KindAnswer),
    failed!(Status, KindAnswer),
    failed!(Check, KindAnswer),
    failed!(Extract, KindAnswer),
    failed!(Exhausted, KindUnsent),
    Kind {
        name: "given up: patience was over",
        group: Ink::KindTime,
        of: |counts| counts.shed,
    },
    Kind {
        name: "never sent: an earlier step failed",
        group: Ink::KindUnsent,
        of: |counts| counts.not_reached,
    },
];

/// From the foot of a bar to its top.
const GROUPS: [(Ink, &str); 4] = [
    (Ink::KindConnect, "connection refused or broken"),
    (Ink::KindTime, "no answer in time, or given up"),
    (Ink::KindAnswer, "answered wrongly"),
    (Ink::KindUnsent, "never sent"),
];

fn name(number: usize) -> &'static str {
    FailKind::ALL
        .get(number)
        .map_or(KINDS[number].name, |kind| kind.words())
}

pub(super) fn figure(story: &Story<'_>, timeline: &Timeline) -> Result<Figure, ChartError> {
    let present: Vec<(usize, u64)> = present(timeline);
    let chart = Errors {
        timeline,
        scene: Scene::of(story),
        finding: finding(timeline, &present),
        present,
    };
    let rows = timeline.buckets.iter().filter(|bucket| bucket.bad > 0);
    let head = ["from", "requests", "bad"].map(str::to_owned);
    let kinds = chart.present.iter().map(|(kind, _)| name(*kind).to_owned());
    let table = Table {
        head: head.into_iter().chain(kinds).collect(),
        rows: rows.map(|bucket| chart.row(bucket)).collect(),
    };
    Ok(Figure {
        id: CHART.to_owned(),
        title: TITLE,
        caption: "Bad requests, by the instant at which they were due. The rows have one scale."
            .to_owned(),
        legend: chart.legend(),
        panels: chart.panels()?,
        table,
        finding: chart.finding,
    })
}

/// Kinds that occurred, most frequent first, with how often.
fn present(timeline: &Timeline) -> Vec<(usize, u64)> {
    let total = |kind: &Kind| -> u64 {
        timeline
            .buckets
            .iter()
            .map(|bucket| (kind.of)(&bucket.counts))
            .sum()
    };
    let mut kinds: Vec<(usize, u64)> = KINDS.iter().map(total).enumerate().collect();
    kinds.retain(|(_, n)| *n > 0);
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    kinds
}

struct Errors<'a> {
    timeline: &'a Timeline,
    scene: Scene,
    finding: String,
    present: Vec<(usize, u64)>,
}

impl Errors<'_> {
    fn groups(&self) -> impl Iterator<Item = (Ink, &'static str)> {
        GROUPS.into_iter().filter(|(group, _)| {
            self.present
                .iter()
                .any(|(kind, _)| KINDS[*kind].group == *group)
        })
    }

    fn legend(&self) -> Vec<super::Key> {
        self.groups()
            .map(|(ink, label)| key(ink, Sign::Bar, label))
            .collect()
    }

    fn row(&self, bucket: &Bucket) -> Vec<String> {
        let start = [
            words::clock_seconds(bucket.start),
            words::count(bucket.requests),
            words::count(bucket.bad),
        ];
        let kinds = self
            .present
            .iter()
            .map(|(kind, _)| words::count((KINDS[*kind].of)(&bucket.counts)));
        start.into_iter().chain(kinds).collect()
    }

    fn panels(&self) -> Result<Vec<Panel>, ChartError> {
        let stacked = Panel {
            title: String::new(),
            note: String::new(),
            wide: self.stacked(WIDE, 110)?,
            narrow: self.stacked(NARROW, 100)?,
        };
        if self.present.len() < 2 {
            return Ok(vec![stacked]);
        }
        let rows = Panel {
            title: "Each kind by itself".to_owned(),
            note: String::new(),
            wide: self.rows(WIDE)?,
            narrow: self.rows(NARROW)?,
        };
        Ok(vec![stacked, rows])
    }

    fn stacked(&self, paper: Paper, height: i32) -> Result<String, ChartError> {
        let rates = self.timeline.buckets.iter().map(|b| a_second(b.bad, b));
        let marks = scale::marks(rates.fold(1.0, f64::max), paper.value_marks);
        let label = |value: &f64| words::rate(*value);
        let axes = Axes {
            chart: CHART,
            kind: CHART,
            height,
            values: (0.0, marks.last().copied().unwrap_or(1.0)),
            marks,
            label: &label,
            cap_row: false,
            windows: true,
        };
        draw(&self.scene, paper, &axes, (TITLE, &self.finding), |frame| {
            for (group, label) in self.groups() {
                frame.begin_group("series", label);
                self.stack(frame, group)?;
                frame.end_group();
            }
            Ok(())
        })
    }

    /// The part of each bar that is one group's.
    fn stack(&self, frame: &mut Frame, group: Ink) -> Drawn {
        let below = GROUPS.iter().take_while(|(other, _)| *other != group);
        let below: Vec<Ink> = below.map(|(ink, _)| *ink).collect();
        for bucket in self.timeline.buckets.iter().filter(|bucket| bucket.bad > 0) {
            let foot: u64 = below.iter().map(|ink| in_group(*ink, &bucket.counts)).sum();
            let own = in_group(group, &bucket.counts);
            if own > 0 {
                let margin = bucket.seconds() * 0.1;
                let (from, until) = (seconds(bucket.start), seconds(bucket.end));
                let (low, high) = (a_second(foot, bucket), a_second(foot + own, bucket));
                frame.area([(from + margin, high), (until - margin, low)], group)?;
            }
        }
        Ok(())
    }

    fn rows(&self, paper: Paper) -> Result<String, ChartError> {
        let count = i32::try_from(self.present.len()).unwrap_or(1);
        let axes = Axes {
            chart: "error-kinds",
            kind: CHART,
            height: count * ROW,
            values: (0.0, 1.0),
            marks: Vec::new(),
            label: &|_: &f64| String::new(),
            cap_row: false,
            windows: true,
        };
        let most = self.present.iter().flat_map(|(kind, _)| {
            let of = KINDS[*kind].of;
            self.timeline.buckets.iter().map(move |b| of(&b.counts))
        });
        let most = most.max().unwrap_or(1).max(1);
        let title = "Errors over time, each kind by itself";
        draw(&self.scene, paper, &axes, (title, &self.finding), |frame| {
            for (lane, (kind, n)) in (0..).zip(&self.present) {
                self.kind(frame, lane * ROW, (*kind, *n), most)?;
            }
            Ok(())
        })
    }

    fn kind(&self, frame: &Frame, top: i32, (kind, n): (usize, u64), most: u64) -> Drawn {
        let (group, of) = (KINDS[kind].group, KINDS[kind].of);
        let floor = top + NAME + BARS;
        let text = format!("{}: {}", name(kind), words::count(n));
        frame.begin_group("series", &text);
        frame.rule(floor, Ink::Lane)?;
        for bucket in &self.timeline.buckets {
            let n = of(&bucket.counts);
            if n > 0 {
                let share = u128::from(n) * 10 * u128::from(BARS.unsigned_abs()) / u128::from(most);
                let tenths = i32::try_from(share).unwrap_or(BARS * 10).max(12);
                let span = (seconds(bucket.start), seconds(bucket.end));
                frame.column(span, floor, tenths, group)?;
            }
        }
        frame.words_left(top + NAME / 2 + 2, &text, Ink::Title)?;
        frame.end_group();
        Ok(())
    }
}

fn in_group(group: Ink, counts: &Counts) -> u64 {
    KINDS
        .iter()
        .filter(|kind| kind.group == group)
        .map(|kind| (kind.of)(counts))
        .sum()
}

fn finding(timeline: &Timeline, present: &[(usize, u64)]) -> String {
    let bad: u64 = timeline.buckets.iter().map(|bucket| bucket.bad).sum();
    let requests: u64 = timeline.buckets.iter().map(|bucket| bucket.requests).sum();
    let mut worst: Option<&Bucket> = None;
    for bucket in &timeline.buckets {
        if worst.is_none_or(|other| bucket.bad > other.bad) {
            worst = Some(bucket);
        }
    }
    let (Some(worst), [(kind, n), ..]) = (worst, present) else {
        return format!("None of {} requests was bad.", words::count(requests));
    };
    format!(
        "{} of {} requests were bad ({}), most of them at {}; the most frequent kind is \"{}\" ({}).",
        words::count(bad),
        words::count(requests),
        words::percent_of(bad, requests),
        words::clock_seconds(worst.start),
        name(*kind),
        words::count(*n)
    )
}

#[cfg(test)]
mod tests {
    use chaos_record::outcome::Outcome;

    use super::*;

    #[test]
    fn every_bad_outcome_stands_in_one_kind_and_one_group() {
        let failed = FailKind::ALL.into_iter().map(Outcome::Failed);
        for outcome in failed.chain([Outcome::NotReached, Outcome::Shed]) {
            let mut counts = Counts::default();
            counts.add(outcome);
            let kinds: Vec<u64> = KINDS.iter().map(|kind| (kind.of)(&counts)).collect();
            assert_eq!(kinds.iter().sum::<u64>(), counts.bad(), "{outcome:?}");
            let groups: u64 = GROUPS.iter().map(|(ink, _)| in_group(*ink, &counts)).sum();
            assert_eq!(groups, counts.bad(), "{outcome:?}");
        }
        assert!((0..KINDS.len()).all(|kind| !name(kind).is_empty()));
    }
}

//! Stages and series in figures.
//!
//! Invariant: nothing is judged here; counts and quantiles cover the same seconds.

use std::ops::Range;

use super::generator::{achieved, judged_stages};
use crate::consumption::{self, Room, Track};
use crate::event::{Event, Stamped};
use crate::facts::{Facts, cells_of_seconds, ns};
use crate::outcome::Counts;
use crate::quantile;
use crate::verdict::{NoteLine, SeriesSummary, StageSummary, UsageSummary};

/// Every stage, all requests together; a search is one stage, whatever it decided on.
pub(super) fn stages(facts: &Facts<'_>) -> Vec<StageSummary> {
    let all = &facts.plan.load.stages;
    let searched = facts.record.segments.first().map(|(stage, _)| *stage);
    let planned = searched.unwrap_or(all.len()).min(all.len());
    let mut summaries: Vec<StageSummary> = (0..planned)
        .map(|number| summary(facts, &all[number].name, number..number + 1))
        .collect();
    if let Some(search) = &facts.plan.load.search
        && planned < all.len()
    {
        summaries.push(summary(facts, &search.name, planned..all.len()));
    }
    summaries
}

/// These stages as one; each but the last ends where the next begins.
fn summary(facts: &Facts<'_>, name: &str, stages: Range<usize>) -> StageSummary {
    let all = &facts.plan.load.stages[stages.clone()];
    let last = stages.end - 1;
    let merged = |first: Range<u64>, last: Range<u64>| first.start..last.end;
    let cells = merged(facts.stage_cells(stages.start), facts.stage_cells(last));
    let seconds = merged(facts.stage_seconds(stages.start), facts.stage_seconds(last));
    let counts = facts.requests(&cells).counts;
    let answers = facts.responses(None, &seconds);
    let bad = facts.requests(&cells_of_seconds(&seconds)).counts.bad();
    let sent = counts.ok + counts.failed_total() + counts.shed;
    let (offered, achieved) = stages
        .map(|stage| achieved(facts, stage))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    StageSummary {
        name: name.to_owned(),
        start: all.first().map_or(0, |stage| ns(stage.start)),
        end: all.last().map_or(0, |stage| ns(stage.end())),
        offered,
        achieved,
        p50: quantile::response(&answers, bad, 500),
        p95: quantile::response(&answers, bad, 50),
        p99: quantile::response(&answers, bad, 10),
        late: if sent == 0 {
            0.0
        } else {
            counts.late as f64 / sent as f64
        },
        counts,
    }
}

/// Every journey and its steps, over the judged stages.
pub(super) fn series(facts: &Facts<'_>) -> Vec<SeriesSummary> {
    let stages: Vec<usize> = judged_stages(facts).into_iter().collect();
    let cells: Vec<Range<u64>> = stages
        .iter()
        .map(|stage| facts.stage_cells(*stage))
        .collect();
    let seconds: Vec<Range<u64>> = stages
        .iter()
        .map(|stage| facts.stage_seconds(*stage))
        .collect();
    facts
        .record
        .series
        .iter()
        .map(|(number, series)| {
            let journey = &facts.plan.load.journeys[series.journey];
            let mut counts = Counts::default();
            for cells in &cells {
                counts.merge(&facts.series(number, cells).counts);
            }
            let mut answers = crate::histogram::new_histogram();
            let mut bad = 0;
            for seconds in &seconds {
                answers
                    .add(facts.responses(Some(number), seconds))
                    .expect("all histograms share one layout");
                bad += facts
                    .series(number, &cells_of_seconds(seconds))
                    .counts
                    .bad();
            }
            SeriesSummary {
                journey: journey.name.clone(),
                step: series.step.map(|step| journey.steps[step].name.clone()),
                counts,
                p50: quantile::response(&answers, bad, 500),
                p95: quantile::response(&answers, bad, 50),
                p99: quantile::response(&answers, bad, 10),
                max: (!answers.is_empty()).then(|| answers.max() * 1_000),
            }
        })
        .collect()
}

/// Every instance over the judged stages; over the whole load if no claim names a stage.
pub(super) fn usage(facts: &Facts<'_>) -> Vec<UsageSummary> {
    let mut stages: Vec<usize> = judged_stages(facts).into_iter().collect();
    if stages.is_empty() {
        stages = (0..facts.plan.load.stages.len()).collect();
    }
    let stretches = consumption::stretches(facts, &stages);
    let tracks = consumption::tracks(facts, &stretches);
    let of = |track: &Track<'_>| {
        let room = Room::of(facts, track.service);
        let cores = track.cores(&stretches).zip(room.cores);
        let memory_max = track.memory_max();
        UsageSummary {
            service: track.service.to_owned(),
            instance: track.instance.to_owned(),
            cpu_share: cores.map(|((mean, _), room)| mean / room),
            cpu_peak: cores.map(|((_, peak), room)| peak / room),
            memory_max,
            memory_share: room.memory.map(|room| memory_max as f64 / room as f64),
            descriptors_max: track.seen().map(|seen| seen.descriptors).max().unwrap_or(0),
            connections_max: track.seen().map(|seen| seen.connections).max().unwrap_or(0),
        }
    };
    tracks.iter().map(of).collect()
}

/// What people noted, in order of time.
pub(super) fn notes(facts: &Facts<'_>) -> Vec<NoteLine> {
    let noted = |event: &Stamped| match &event.what {
        Event::Note { kind, text, by } => Some(NoteLine {
            at: event.at,
            kind: *kind,
            text: text.clone(),
            by: by.clone(),
        }),
        _ => None,
    };
    let mut notes: Vec<NoteLine> = facts.record.events.iter().filter_map(noted).collect();
    notes.sort_by_key(|note| note.at);
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run};

    #[test]
    fn stages_hold_all_requests_and_their_quantiles() {
        let record = Run::kill()
            .answer(|request| {
                Answer::Ok(if request.number % 10 == 0 {
                    90 * MS
                } else {
                    10 * MS
                })
            })
            .record();
        let facts = Facts::of(&record);
        let stages = stages(&facts);
        let total: u64 = stages.iter().map(|stage| stage.counts.total()).sum();
        assert_eq!(total, facts.planned.requests(0, u64::MAX));
        assert!(
            stages
                .iter()
                .all(|stage| stage.offered == stage.achieved && stage.offered > 0)
        );
        let near = |value: Option<u64>, ms: u64| {
            value.is_some_and(|value| value.abs_diff(ms * MS) < ms * MS / 500)
        };
        assert!(
            near(stages[1].p50, 10) && near(stages[1].p95, 90),
            "{:?}",
            stages[1]
        );
    }

    #[test]
    fn series_stand_in_the_order_of_the_table() {
        let record = Run::kill().record();
        let names: Vec<_> = series(&Facts::of(&record))
            .into_iter()
            .map(|row| (row.journey, row.step))
            .collect();
        let expected = [
            ("browse", None),
            ("browse", Some("list")),
            ("browse", Some("look")),
            ("buy", None),
            ("buy", Some("pay")),
        ];
        assert_eq!(
            names,
            expected.map(|(journey, step)| (journey.to_owned(), step.map(str::to_owned)))
        );
    }

    #[test]
    fn notes_and_usage_are_passed_on() {
        let note = |at, text: &str| {
            let note = Event::Note {
                kind: crate::event::NoteKind::Surprise,
                text: text.to_owned(),
                by: "anna".to_owned(),
            };
            (at, note)
        };
        let seen = |cpu_ns, memory| crate::usage::InstanceUsage {
            service: "api".to_owned(),
            instance: "api-1".to_owned(),
            incarnation: 1,
            cpu_ns,
            memory,
            descriptors: 12,
            connections: 4,
        };
        let look = |at, seen| {
            let usage = crate::usage::Usage {
                at,
                instances: vec![seen],
            };
            crate::line::Line::Usage(usage)
        };
        let [late, early] = [note(20_000 * MS, "late"), note(9_000 * MS, "early")];
        let run = Run::kill()
            .event(late.0, late.1)
            .event(early.0, early.1)
            .line(look(10_000 * MS, seen(0, 64 << 20)))
            .line(look(12_000 * MS, seen(500 * MS, 32 << 20)))
            .limits(chaos_plan::plan::Limits {
                cpu: Some(0.5),
                memory: None,
            });
        let verdict = crate::judge::judge(&run.record());
        let texts: Vec<&str> = verdict
            .notes
            .iter()
            .map(|note| note.text.as_str())
            .collect();
        assert_eq!(texts, ["early", "late"]);
        let expected = UsageSummary {
            service: "api".to_owned(),
            instance: "api-1".to_owned(),
            cpu_share: Some(0.5),
            cpu_peak: Some(0.5),
            memory_max: 64 << 20,
            memory_share: None,
            descriptors_max: 12,
            connections_max: 4,
        };
        assert_eq!(verdict.usage, [expected]);
    }
}

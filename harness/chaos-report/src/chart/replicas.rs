//! How many instances an autoscaler wanted and how many were ready, over time.
//!
//! Invariant: a number holds until the next one is told, and nothing is drawn before the first. The clock
//! is that of every other chart, so the p95 above lies at the same place.

use chaos_record::scaling::{Replicas, replicas};
use chaos_record::verdict::{Raise, Scaling};

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, WIDE, draw, seconds};
use super::ink::Ink;
use super::{ChartError, Figure, Panel, Sign, Table, key, scale};
use crate::clean::{clean, clean_composed};
use crate::view::{Story, scaled};
use crate::words;

const CHART: &str = "replicas";
const TITLE: &str = "Instances wanted and ready";
/// Most services with a panel of their own.
const PANELS_MAX: usize = 4;

/// The figure, if an autoscaler changed what it wanted, or was claimed to.
pub(super) fn figure(story: &Story<'_>) -> Result<Option<Figure>, ChartError> {
    let shown = scaled(story);
    if shown.is_empty() {
        return Ok(None);
    }
    let all = replicas(story.events);
    let scene = Scene::of(story);
    let of = |one: &Scaling| all.iter().find(|other| other.service == one.service);
    let panels = shown.iter().take(PANELS_MAX).zip(1..);
    let panels = panels
        .filter_map(|(one, number)| Some(panel((&scene, story), of(one)?, one, number)))
        .collect::<Result<Vec<_>, _>>()?;
    if panels.is_empty() {
        return Ok(None);
    }
    let rows = shown
        .iter()
        .flat_map(|one| one.raises.iter().map(|raise| row(one, raise)));
    let finding: Vec<String> = shown
        .iter()
        .map(|one| clean_composed(&one.sentence))
        .collect();
    Ok(Some(Figure {
        id: CHART.to_owned(),
        title: TITLE,
        finding: format!("{}.", finding.join(". ")),
        caption: "Wanted by the autoscaler, and ready by the readiness probe. Times count from the start of the load.".to_owned(),
        legend: vec![
            key(Ink::Offered, Sign::Dashed, "wanted"),
            key(Ink::Achieved, Sign::Solid, "ready"),
        ],
        panels,
        table: Table::new(
            ["service", "asked at", "from", "to", "because", "ready at", "took"],
            rows.collect(),
        ),
    }))
}

fn row(one: &Scaling, raise: &Raise) -> Vec<String> {
    let took = raise.ready.map(|ready| ready.saturating_sub(raise.at));
    vec![
        clean(&one.service),
        words::clock(raise.at),
        raise.was.to_string(),
        raise.wanted.to_string(),
        raise
            .metric
            .as_deref()
            .map_or_else(|| "not known".to_owned(), clean),
        raise
            .ready
            .map_or_else(|| "not seen".to_owned(), words::clock),
        words::duration_or(took, "not seen"),
    ]
}

fn panel(
    (scene, story): (&Scene, &Story<'_>),
    replicas: &Replicas,
    one: &Scaling,
    number: usize,
) -> Result<Panel, ChartError> {
    let note = clean_composed(&one.sentence);
    let end = story.verdict.load_length;
    let chart = format!("{CHART}-{number}");
    let drawn = |paper, height| drawing(scene, (replicas, end), (&chart, &note), (paper, height));
    Ok(Panel {
        title: clean(&one.service),
        wide: drawn(WIDE, 110)?,
        narrow: drawn(NARROW, 100)?,
        note: String::new(),
    })
}

fn drawing(
    scene: &Scene,
    (replicas, end): (&Replicas, u64),
    (chart, note): (&str, &str),
    (paper, height): (Paper, i32),
) -> Result<String, ChartError> {
    let numbers = replicas.wanted.iter().chain(&replicas.ready);
    let most = numbers.map(|(_, number)| *number).max().unwrap_or(1);
    let mut marks = scale::marks(f64::from(most.max(1)), paper.value_marks);
    marks.retain(|mark| mark.fract() == 0.0);
    let label = |value: &f64| format!("{value:.0}");
    let axes = Axes {
        chart,
        kind: CHART,
        height,
        values: (
            0.0,
            marks.last().copied().unwrap_or(1.0).max(f64::from(most)) * 1.08,
        ),
        marks,
        label: &label,
        cap_row: false,
        windows: true,
    };
    draw(scene, paper, &axes, (TITLE, note), |frame| {
        content(replicas, end, frame)
    })
}

fn content(replicas: &Replicas, end: u64, frame: &mut Frame) -> Drawn {
    // The dashed one last, so that both are seen where they are equal.
    let lines = [
        ("ready", &replicas.ready, Ink::Achieved),
        ("wanted", &replicas.wanted, Ink::Offered),
    ];
    for (name, steps, ink) in lines {
        frame.begin_group("series", name);
        frame.line(points(steps, end), ink)?;
        frame.end_group();
    }
    Ok(())
}

/// Corners of the line: each number from its instant to the next one, up to the end of the load.
fn points(steps: &[(u64, u32)], end: u64) -> Vec<(f64, f64)> {
    let inside: Vec<&(u64, u32)> = steps.iter().filter(|(at, _)| *at <= end).collect();
    let ends = inside.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let corners = inside.iter().zip(ends).flat_map(|((from, number), until)| {
        [*from, until].map(|at| (seconds(at), f64::from(*number)))
    });
    corners.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_holds_until_the_next_and_the_last_to_the_end_of_the_load() {
        let second = 1_000_000_000;
        let steps = vec![(0, 2), (3 * second, 5), (30 * second, 3)];
        assert_eq!(
            points(&steps, 10 * second),
            [(0.0, 2.0), (3.0, 2.0), (3.0, 5.0), (10.0, 5.0)]
        );
        assert!(points(&[], 10).is_empty());
    }
}

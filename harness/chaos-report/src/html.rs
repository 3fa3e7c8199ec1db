//! `report.html`: one file that needs no network and no script.
//!
//! Templates lie in `reports/templates/` and are compiled in. Invariant: templates escape every value;
//! the only values that pass unescaped are the style sheet and the drawings of [`crate::chart`],
//! which escape for themselves. The content security policy allows this style sheet and nothing else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::chart::{ChartError, Figure, Panel, figures, minis, searched};
use crate::timeline::Timeline;
use crate::view::{Story, View};

/// Largest page, bytes.
const SIZE_MAX: usize = 500_000;
const STYLE: &str = include_str!("../../../reports/templates/report.css");
macro_rules! template {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../reports/templates/", $name)),
        )
    };
}

/// Name and text of each template; `report.html` is the page.
const TEMPLATES: [(&str, &str); 13] = [
    template!("report.html"),
    template!("parts.html"),
    template!("verdict.html"),
    template!("claims.html"),
    template!("capacity.html"),
    template!("charts.html"),
    template!("faults.html"),
    template!("details.html"),
    template!("integrity.html"),
    template!("evidence.html"),
    template!("debrief.html"),
    template!("reproduce.html"),
    template!("definitions.html"),
];

/// Why a report could not be rendered. The text completes "failed to ...".
#[derive(Debug, Error)]
pub enum HtmlError {
    #[error("draw the charts of the report")]
    Chart(#[from] ChartError),
    #[error("fill in the template of the report")]
    Template(#[from] minijinja::Error),
}

/// A figure for the templates: its drawings may stand in a page as they are, its words may not.
fn figure_value(figure: &Figure) -> Value {
    let safe = |drawing: &str| Value::from_safe_string(drawing.to_owned());
    let panel = |panel: &Panel| {
        context! { title => panel.title.clone(), note => panel.note.clone(), wide => safe(&panel.wide), narrow => safe(&panel.narrow) }
    };
    let panels: Vec<Value> = figure.panels.iter().map(panel).collect();
    context! { panels, ..Value::from(Serde(figure)) }
}

/// The whole report. One that would be too large leaves out the numbers behind the charts, and says so.
pub fn report_html(story: &Story<'_>) -> Result<String, HtmlError> {
    let timeline = Timeline::new(story);
    let mut view = View::new(story, &timeline);
    let mut figures = figures(story, &timeline)?;
    let mut minis = minis(story)?;
    let searched = searched(story)?;
    let page = render(&view, &figures, &minis, searched.as_ref())?;
    if page.len() <= SIZE_MAX {
        return Ok(page);
    }
    view.notices.push("Left out so that this file stays small: the numbers behind the charts and the resolved plan. They are in the run's folder.".to_owned());
    view.reproduce.plan.clear();
    for figure in figures
        .iter_mut()
        .chain(minis.iter_mut().map(|(_, mini)| mini))
    {
        figure.table.rows.clear();
    }
    render(&view, &figures, &minis, searched.as_ref())
}

fn render(
    view: &View,
    figures: &[Figure],
    minis: &[(String, Figure)],
    searched: Option<&Figure>,
) -> Result<String, HtmlError> {
    let page = context! {
        anchors => anchors(view, figures),
        figures => figures.iter().map(figure_value).collect::<Vec<_>>(),
        minis => minis.iter().map(|(letter, figure)| (letter.clone(), figure_value(figure))).collect::<BTreeMap<_, _>>(),
        searched => searched.map(figure_value),
        style => Value::from_safe_string(STYLE.to_owned()),
        style_hash => style_hash(),
        ..Value::from(Serde(view)),
    };
    Ok(environment()?.get_template("report.html")?.render(page)?)
}

/// What a claim can point to.
fn anchors(view: &View, figures: &[Figure]) -> Vec<String> {
    let sections = [
        ("faults", !view.faults.is_empty()),
        ("integrity", view.integrity.is_some()),
        ("capacity", view.capacity.is_some()),
        ("usage", !view.usage.is_empty()),
    ];
    let there = sections.into_iter().filter(|(_, there)| *there);
    there
        .map(|(id, _)| id.to_owned())
        .chain(figures.iter().map(|figure| figure.id.clone()))
        .collect()
}

fn environment() -> Result<Environment<'static>, HtmlError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_filter("keep_units", |text: &str| keep_units(text));
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// The hash by which the policy knows the style sheet (CSP level 2, section 4.2.5).
fn style_hash() -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(Sha256::digest(STYLE.as_bytes()))
    )
}

/// Units that stay on the line of their number.
const UNITS: [&str; 7] = ["us", "ms", "s", "min", "h", "%", "MiB"];

/// Joins each number to the unit after it with a space at which no line breaks.
fn keep_units(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut kept = String::with_capacity(text.len());
    for (i, word) in words.iter().enumerate() {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '%');
        let after_number = i > 0 && words[i - 1].ends_with(|c: char| c.is_ascii_digit());
        if i > 0 {
            kept.push(if after_number && UNITS.contains(&bare) {
                '\u{a0}'
            } else {
                ' '
            });
        }
        kept.push_str(word);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_unit() {
        let check = |text: &str, expected: &str| assert_eq!(keep_units(text), expected);
        check(
            "slow for 9.18 s; p95 within 200 ms",
            "slow for 9.18\u{a0}s; p95 within 200\u{a0}ms",
        );
        check("0.1 % (2 seconds)", "0.1\u{a0}% (2 seconds)");
        check(" a  s ", " a  s ");
        check("", "");
    }
}

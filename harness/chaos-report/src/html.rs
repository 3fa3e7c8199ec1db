//! `report.html`: one file that needs no network and no script.
//!
//! Templates lie in `reports/templates/` and are compiled in. Invariant: templates escape every value;
//! the only values that pass unescaped are the style sheet and the drawings of [`crate::chart`],
//! which escape for themselves. The content security policy allows this style sheet and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::chart::{ChartError, Figure, figures};
use crate::timeline::Timeline;
use crate::view::{Story, View};

const STYLE: &str = include_str!("../../../reports/templates/report.css");
/// Name and text of each template; `report.html` is the page.
const TEMPLATES: [(&str, &str); 6] = [
    (
        "report.html",
        include_str!("../../../reports/templates/report.html"),
    ),
    (
        "parts.html",
        include_str!("../../../reports/templates/parts.html"),
    ),
    (
        "verdict.html",
        include_str!("../../../reports/templates/verdict.html"),
    ),
    (
        "claims.html",
        include_str!("../../../reports/templates/claims.html"),
    ),
    (
        "faults.html",
        include_str!("../../../reports/templates/faults.html"),
    ),
    (
        "details.html",
        include_str!("../../../reports/templates/details.html"),
    ),
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
    context! { wide => safe(&figure.wide), narrow => safe(&figure.narrow), ..Value::from(Serde(figure)) }
}

/// The whole report.
pub fn report_html(story: &Story<'_>) -> Result<String, HtmlError> {
    let timeline = Timeline::new(story);
    let view = View::new(story, &timeline);
    let figures: Vec<Value> = figures(story, &timeline)?
        .iter()
        .map(figure_value)
        .collect();
    let page = context! {
        figures,
        style => Value::from_safe_string(STYLE.to_owned()),
        style_hash => style_hash(),
        ..Value::from(Serde(&view)),
    };
    Ok(environment()?.get_template("report.html")?.render(page)?)
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

//! One request of a journey.
//!
//! Invariant: a body given as JSON becomes a template whose text, slots filled in, is that JSON
//! again, because its slots stand inside JSON strings only and the engine escapes the values of a
//! body whose `content-type` is JSON.

mod operation;

use std::collections::{BTreeMap, BTreeSet};

use super::names::{self, Unknown};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, closest, codes, list, quote};
use crate::file::format::Text;
use crate::file::journey as form;
use crate::file::located::{Located, Map, Optional};
use crate::plan::{Check, Extract, Method, Must, StatusRange, Step};
use crate::template::{Template, TemplateError};

/// Always there: a new one for each use; `uuid.NAME` is one all through a journey.
pub(super) const UUID: &str = "uuid";

/// Names that may stand in templates.
#[derive(Debug)]
pub(super) struct Slots {
    /// Data lists with the fields of their rows; none for plain rows; `None` if they are unknown.
    pub(super) lists: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Taken from the answers to the steps so far.
    pub(super) extracted: BTreeSet<String>,
}

/// Checks a step; what it extracts is known afterwards.
pub(super) fn resolve(
    step: &form::Step,
    slots: &mut Slots,
    problems: &mut Diagnostics,
) -> Option<Step> {
    let name = names::name(&step.name, "a step", problems);
    let request = request(step, slots, problems);
    let mut headers = headers(&step.headers, slots, problems);
    let body = body(step, slots, problems);
    if step.json.given().is_some()
        && let Some(headers) = &mut headers
        && headers.iter().all(|(name, _)| name != "content-type")
    {
        headers.push((
            "content-type".to_owned(),
            Template::parse("application/json").ok()?,
        ));
    }
    // Before `extract`: what this step extracts is not there yet when its own request is sent.
    let acknowledges = operation::resolve(step, slots, problems);
    let (statuses, checks) = expected(&step.expect, problems);
    let extract = extract(&step.extract, slots, problems);
    let think = step.think.or_text("0s");
    let (method, path) = request?;
    Some(Step {
        name: name?.to_owned(),
        method,
        path,
        headers: headers?,
        body: body.ok()?,
        statuses: statuses?,
        checks: checks?,
        extract: extract?,
        think: think?,
        acknowledges: acknowledges?,
    })
}

fn request(
    step: &form::Step,
    slots: &Slots,
    problems: &mut Diagnostics,
) -> Option<(Method, Template)> {
    let methods = [
        (Method::Get, &step.get),
        (Method::Post, &step.post),
        (Method::Put, &step.put),
        (Method::Patch, &step.patch),
        (Method::Delete, &step.delete),
        (Method::Head, &step.head),
    ];
    let (method, path) = methods
        .into_iter()
        .find_map(|(method, path)| Some((method, path.given()?)))?;
    let template = &path.get()?.0.0;
    check_slots(template, path.span, slots, problems);
    Some((method, template.clone()))
}

fn headers(
    headers: &Optional<Map<Text<Template>>>,
    slots: &Slots,
    problems: &mut Diagnostics,
) -> Option<Vec<(String, Template)>> {
    let Some(headers) = headers.given() else {
        return Some(Vec::new());
    };
    let all: Vec<Option<(String, Template)>> = headers
        .get()?
        .iter()
        .map(|(name, value)| {
            let name_text = name.get()?.to_ascii_lowercase();
            let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name_text.is_empty() || !name_text.chars().all(fits) {
                problems.add(
                    codes::BAD_FORMAT
                        .at(
                            name.span,
                            format!("{} is not a header's name", quote(&name_text)),
                        )
                        .help("use letters, digits and `-`"),
                );
            }
            let template = &value.get()?.0;
            if template.to_string().chars().any(char::is_control) {
                let problem = codes::BAD_FORMAT.at(
                    value.span,
                    "a header's value must not hold control characters",
                );
                problems.add(problem.help("leave line ends and other control characters out"));
            }
            check_slots(template, value.span, slots, problems);
            Some((name_text, template.clone()))
        })
        .collect();
    all.into_iter().collect()
}

fn body(
    step: &form::Step,
    slots: &Slots,
    problems: &mut Diagnostics,
) -> Result<Option<Template>, Unknown> {
    let (template, span) = match (step.body.given(), step.json.given()) {
        (None, None) => return Ok(None),
        (Some(first), Some(second)) => {
            let problem = codes::ONE_OF.at(
                second.span,
                "a request has at most one of `body` and `json`",
            );
            problems.add(
                problem
                    .label("one too many")
                    .related(first.span, "`body` is here")
                    .help("leave `body` or `json` out"),
            );
            return Err(Unknown);
        }
        (Some(body), None) => (body.get().ok_or(Unknown)?.0.clone(), body.span),
        (None, Some(json)) => {
            let mut text = String::new();
            let value = &json.get().ok_or(Unknown)?.0;
            let template = write_json(value, &mut text).and_then(|()| Template::parse(&text));
            if let Err(error) = &template {
                let problem = codes::BAD_FORMAT.at(json.span, error.to_string());
                let help = "write `{name}` for a slot and `{{` or `}}` for a brace";
                problems.add(problem.label("in a text of this JSON").help(help));
            }
            (template.map_err(|_| Unknown)?, json.span)
        }
    };
    check_slots(&template, span, slots, problems);
    Ok(Some(template))
}

/// JSON as template text: its own braces are doubled, those in texts are the user's slots.
fn write_json(value: &serde_json::Value, text: &mut String) -> Result<(), TemplateError> {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_json(item, text)?;
            }
            text.push(']');
        }
        Value::Object(entries) => {
            text.push_str("{{");
            for (index, (key, value)) in entries.iter().enumerate() {
                Template::parse(key)?;
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_json(value, text)?;
            }
            text.push_str("}}");
        }
        Value::String(own) => {
            // Judged by itself, so that a lone brace is not taken for one of the JSON's.
            Template::parse(own)?;
            text.push_str(&value.to_string());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
    Ok(())
}

fn expected(
    expect: &Optional<form::Expect>,
    problems: &mut Diagnostics,
) -> (Option<Vec<StatusRange>>, Option<Vec<Check>>) {
    let usual = || {
        vec![
            StatusRange { from: 200, to: 299 },
            StatusRange { from: 300, to: 399 },
        ]
    };
    let Some(expect) = expect.given() else {
        return (Some(usual()), Some(Vec::new()));
    };
    let Some(expect) = expect.get() else {
        return (None, None);
    };
    let statuses = match expect.status.given() {
        None => Some(usual()),
        Some(statuses) => statuses.get().and_then(|all| {
            all.iter()
                .map(|status| status.get().map(|status| status.0))
                .collect()
        }),
    };
    let checks = match expect.checks.given() {
        None => Some(Vec::new()),
        Some(checks) => checks.get().and_then(|all| {
            let all: Vec<Option<Check>> =
                all.iter().map(|check| one_check(check, problems)).collect();
            all.into_iter().collect()
        }),
    };
    (statuses, checks)
}

fn one_check(check: &Located<form::Check>, problems: &mut Diagnostics) -> Option<Check> {
    let given = check.get()?;
    if let Some(exists) = given
        .exists
        .given()
        .filter(|exists| exists.get() == Some(&false))
    {
        let problem =
            codes::CHECK_WITHOUT_EFFECT.at(exists.span, "`exists: false` cannot be checked");
        problems.add(problem.help("write `exists: true`, `equals: ...` or `contains: ...`"));
    }
    if let Some(empty) = given
        .contains
        .given()
        .filter(|text| text.get().is_some_and(|text| text.0.is_empty()))
    {
        problems.add(
            codes::CHECK_WITHOUT_EFFECT
                .at(empty.span, "every text contains the empty text")
                .help("write `exists: true`"),
        );
    }
    let of = match (given.json.given(), given.header.given()) {
        (Some(json), _) => Extract::Json(json.get()?.0.0.clone()),
        (None, header) => Extract::Header(header?.get()?.0.0.clone()),
    };
    let must = match (
        given.exists.given(),
        given.equals.given(),
        given.contains.given(),
    ) {
        (Some(exists), ..) => exists.get().map(|_| Must::Exist)?,
        (None, Some(text), _) => Must::Equal(text.get()?.0.clone()),
        (None, None, text) => Must::Contain(text?.get()?.0.clone()),
    };
    Some(Check { of, must })
}

fn extract(
    extract: &Optional<Map<form::Extract>>,
    slots: &mut Slots,
    problems: &mut Diagnostics,
) -> Option<BTreeMap<String, Extract>> {
    let Some(extract) = extract.given() else {
        return Some(BTreeMap::new());
    };
    let mut all = Some(BTreeMap::new());
    for (name, place) in extract.get()?.iter() {
        let Some(text) = names::name(name, "an extracted value", problems) else {
            continue;
        };
        if slots.lists.contains_key(text) || text == UUID {
            let what = if text == UUID {
                "always there"
            } else {
                "a data list"
            };
            problems.add(
                codes::DUPLICATE_NAME
                    .at(name.span, format!("{} is {what} already", quote(text)))
                    .help("take another name"),
            );
        }
        slots.extracted.insert(text.to_owned());
        let place = place.get().map(place_of);
        all = all.zip(place).map(|(mut all, place)| {
            all.insert(text.to_owned(), place);
            all
        });
    }
    all
}

fn place_of(place: &form::Extract) -> Extract {
    match place {
        form::Extract::Json(pointer) => Extract::Json(pointer.0.0.clone()),
        form::Extract::Header(header) => Extract::Header(header.0.0.clone()),
    }
}

fn check_slots(template: &Template, span: Span, slots: &Slots, problems: &mut Diagnostics) {
    for slot in template.slots().filter(|slot| !slots.provide(slot)) {
        if problems.is_full() {
            problems.add_unseen();
        } else {
            problems.add(unknown_slot(slot, span, slots));
        }
    }
}

impl Slots {
    /// Whether a slot has a value, as far as is known.
    fn provide(&self, slot: &str) -> bool {
        let (list, field) = list_and_field(slot);
        if list == UUID {
            return field.is_none_or(|name| !name.is_empty());
        }
        if self.extracted.contains(slot) {
            return true;
        }
        match (self.lists.get(list), field) {
            (None, _) => false,
            (Some(None), _) => true,
            (Some(Some(fields)), None) => fields.is_empty(),
            (Some(Some(fields)), Some(field)) => fields.contains(field),
        }
    }
}

/// `list.field`, or a name without field.
fn list_and_field(slot: &str) -> (&str, Option<&str>) {
    slot.split_once('.')
        .map_or((slot, None), |(list, field)| (list, Some(field)))
}

fn unknown_slot(slot: &str, span: Span, slots: &Slots) -> Diagnostic {
    let problem = codes::UNKNOWN_SLOT.at(span, format!("slot `{{{slot}}}` has no value here"));
    let (list_name, field) = list_and_field(slot);
    if let Some(field) = field.filter(|_| closest(list_name, [UUID]).is_some()) {
        return problem.help(format!(
            "did you mean {}?",
            quote(&format!("{UUID}.{field}"))
        ));
    }
    let Some(Some(fields)) = slots.lists.get(list_name) else {
        let known = slots.lists.keys().chain(&slots.extracted);
        let known = known.map(String::as_str).chain([UUID]);
        return problem
            .label("neither data nor taken from an earlier step")
            .choices(slot, "known slots", known);
    };
    match field {
        _ if fields.is_empty() => problem.help(format!(
            "`{list_name}` has plain rows: write `{{{list_name}}}`"
        )),
        Some(field) => problem.choices(field, "its fields", fields.iter().map(String::as_str)),
        None => problem.help(format!(
            "name a field of `{list_name}`: {}",
            list(fields.iter().map(String::as_str))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_a_template_that_fills_to_the_same_json() {
        let json = serde_json::json!({ "id": "{id}", "n": 1, "deep": { "list": [true, null, { "q": "a \"b\" \\ {id}" }] }, "brace": "{{x}}" });
        let mut text = String::new();
        write_json(&json, &mut text).expect("its texts are templates");
        let filled = Template::parse(&text)
            .expect("a template")
            .fill(|_| Some("7".to_owned()))
            .expect("filled");
        let expected = serde_json::json!({ "id": "7", "n": 1, "deep": { "list": [true, null, { "q": "a \"b\" \\ 7" }] }, "brace": "{x}" });
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&filled).expect("JSON"),
            expected
        );
    }
}

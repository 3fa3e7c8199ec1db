//! What: the requests of every journey, made ready before the load starts.
//!
//! Paths without slots are parsed URIs, header names and fixed values are checked, every slot is
//! resolved to the number of its value. Values come from the journey's data lists, from answers,
//! or are made up: `{uuid}` is a random UUID, a new one for each use, and `{uuid.NAME}` one that is
//! the same for the whole journey.
//!
//! Invariant: what was prepared is shared by all workers and never changes.

mod escape;
mod names;
mod text;

use bytes::Bytes;
use chaos_plan::chance::Zipf;
use chaos_plan::plan::{self, Extract, Journey, Must, StatusRange, Step};
use chaos_plan::{Plan, template::Template};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Uri};
use thiserror::Error;

use self::names::Names;
use self::text::{Place, Text};
use crate::address::Address;
use crate::client::Reads;
use crate::clock::length_ns;
use crate::json::Pointers;

/// Why a plan cannot be turned into requests.
#[derive(Debug, Error)]
pub enum PrepareError {
    #[error(
        "step `{step}` of journey `{journey}` uses `{{{slot}}}`, which no data list, earlier step or `uuid` provides"
    )]
    UnknownSlot {
        journey: String,
        step: String,
        slot: String,
    },
    #[error(
        "step `{step}` of journey `{journey}` has the path `{path}`, which is not a path such as `/products?page=1`"
    )]
    BadPath {
        journey: String,
        step: String,
        path: String,
    },
    #[error(
        "step `{step}` of journey `{journey}` has the header `{header}`, which HTTP cannot carry"
    )]
    BadHeader {
        journey: String,
        step: String,
        header: String,
    },
}

/// Every journey of a plan, by its index there.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) journeys: Vec<PreparedJourney>,
}

/// One journey: where its values come from, and its requests.
#[derive(Debug)]
pub(crate) struct PreparedJourney {
    /// Number of values its slots can have.
    pub(crate) values: usize,
    /// For each data list in use, its rows: the values they set.
    pub(crate) lists: Vec<Vec<Vec<(usize, String)>>>,
    /// For each of these lists the law it is drawn by, if not all rows are drawn alike.
    pub(crate) laws: Vec<Option<Zipf>>,
    /// Values that are a random UUID.
    pub(crate) uuids: Vec<usize>,
    pub(crate) steps: Vec<PreparedStep>,
}

/// One request and what is asked of its answer.
#[derive(Debug)]
pub(crate) struct PreparedStep {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// Those without slots.
    pub(crate) headers: HeaderMap,
    pub(crate) filled_headers: Vec<(HeaderName, Text)>,
    pub(crate) body: Body,
    pub(crate) statuses: Vec<StatusRange>,
    pub(crate) checks: Vec<(Look, Must)>,
    /// The value each extraction sets.
    pub(crate) extract: Vec<(usize, Look)>,
    /// The places in the body that are looked at.
    pub(crate) pointers: Pointers,
    /// Where checks and extractions look.
    pub(crate) reads: Reads,
    /// Planned pause after it.
    pub(crate) think_ns: u64,
    /// Its answer promises something.
    pub(crate) operation: Option<PreparedOperation>,
}

/// What the operation log needs of a step: its key, and the values its answer sets.
#[derive(Debug)]
pub(crate) struct PreparedOperation {
    pub(crate) key: Text,
    pub(crate) order: usize,
    pub(crate) amount: Option<usize>,
}

/// Where a check or an extraction looks.
#[derive(Debug)]
pub(crate) enum Look {
    Header(String),
    /// The number of its pointer.
    Json(usize),
}

impl Look {
    fn new(at: &Extract, pointers: &mut Pointers) -> Self {
        match at {
            Extract::Header(name) => Self::Header(name.clone()),
            Extract::Json(pointer) => Self::Json(pointers.number(pointer)),
        }
    }
}

/// Path and query of a request.
#[derive(Debug)]
pub(crate) enum Target {
    Fixed(Uri),
    Filled(Text),
}

/// Body of a request.
#[derive(Debug)]
pub(crate) enum Body {
    Fixed(Bytes),
    Filled(Text),
}

impl Prepared {
    pub(crate) fn new(plan: &Plan, address: &Address) -> Result<Self, PrepareError> {
        let journeys = plan
            .load
            .journeys
            .iter()
            .map(|journey| prepare_journey(journey, address));
        Ok(Self {
            journeys: journeys.collect::<Result<_, _>>()?,
        })
    }
}

fn prepare_journey(journey: &Journey, address: &Address) -> Result<PreparedJourney, PrepareError> {
    let mut names = Names::new(journey);
    let mut steps = Vec::with_capacity(journey.steps.len());
    for step in &journey.steps {
        steps.push(prepare_step(step, &mut names, address)?);
        names.has_extracted(step);
    }
    Ok(PreparedJourney {
        values: names.count(),
        lists: names.lists(),
        laws: names.laws(),
        uuids: names.into_uuids(),
        steps,
    })
}

fn prepare_text(
    step: &Step,
    template: &Template,
    place: Place,
    names: &mut Names<'_>,
) -> Result<Text, PrepareError> {
    Text::new(template, place, |slot| names.resolve(slot)).map_err(|slot| {
        PrepareError::UnknownSlot {
            journey: names.journey().name.clone(),
            step: step.name.clone(),
            slot,
        }
    })
}

fn prepare_step(
    step: &Step,
    names: &mut Names<'_>,
    address: &Address,
) -> Result<PreparedStep, PrepareError> {
    let (headers, filled_headers) = prepare_headers(step, names, address)?;
    let target = prepare_target(step, names, address)?;
    let body = prepare_body(step, names, &headers)?;
    let mut pointers = Pointers::default();
    let mut extract: Vec<(usize, Look)> = step
        .extract
        .iter()
        .map(|(name, from)| (names.number(name), Look::new(from, &mut pointers)))
        .collect();
    let checks = step.checks.iter();
    let checks: Vec<(Look, Must)> = checks
        .map(|check| (Look::new(&check.of, &mut pointers), check.must.clone()))
        .collect();
    let operation = match &step.acknowledges {
        Some(promised) => {
            let key = prepare_text(step, &promised.key, Place::Raw, names)?;
            // Values of their own, which no slot can name.
            let mut value = |from: &Extract| {
                let number = names.nameless();
                extract.push((number, Look::new(from, &mut pointers)));
                number
            };
            Some(PreparedOperation {
                key,
                order: value(&promised.order),
                amount: promised.amount.as_ref().map(value),
            })
        }
        None => None,
    };
    let looks = checks.iter().map(|(look, _)| look);
    let reads = Reads {
        headers: looks
            .chain(extract.iter().map(|(_, look)| look))
            .any(|look| matches!(look, Look::Header(_))),
        body: !pointers.is_empty(),
    };
    Ok(PreparedStep {
        method: method(step.method),
        target,
        body,
        headers,
        filled_headers,
        statuses: step.statuses.clone(),
        checks,
        extract,
        pointers,
        reads,
        think_ns: length_ns(step.think),
        operation,
    })
}

fn method(method: plan::Method) -> Method {
    match method {
        plan::Method::Get => Method::GET,
        plan::Method::Post => Method::POST,
        plan::Method::Put => Method::PUT,
        plan::Method::Patch => Method::PATCH,
        plan::Method::Delete => Method::DELETE,
        plan::Method::Head => Method::HEAD,
    }
}

fn prepare_target(
    step: &Step,
    names: &mut Names<'_>,
    address: &Address,
) -> Result<Target, PrepareError> {
    let text = prepare_text(step, &step.path, Place::Path, names)?.after(&address.prefix);
    match text.fixed() {
        None => Ok(Target::Filled(text)),
        Some(path) => match path.parse() {
            Ok(uri) if path.starts_with('/') => Ok(Target::Fixed(uri)),
            Ok(_) | Err(_) => Err(PrepareError::BadPath {
                journey: names.journey().name.clone(),
                step: step.name.clone(),
                path,
            }),
        },
    }
}

/// Fixed headers, ours first so that the step's own replace them; and those with slots.
fn prepare_headers(
    step: &Step,
    names: &mut Names<'_>,
    address: &Address,
) -> Result<(HeaderMap, Vec<(HeaderName, Text)>), PrepareError> {
    let mut fixed = HeaderMap::new();
    fixed.insert(HOST, address.host.clone());
    fixed.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("chaos/", env!("CARGO_PKG_VERSION"))),
    );
    fixed.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let mut filled = Vec::new();
    let journey = names.journey();
    for (name, template) in &step.headers {
        let bad = || PrepareError::BadHeader {
            journey: journey.name.clone(),
            step: step.name.clone(),
            header: name.clone(),
        };
        let header: HeaderName = name.parse().map_err(|_| bad())?;
        let text = prepare_text(step, template, Place::Raw, names)?;
        match text.fixed() {
            Some(value) => drop(fixed.insert(header, value.parse().map_err(|_| bad())?)),
            None => filled.push((header, text)),
        }
    }
    Ok((fixed, filled))
}

fn prepare_body(
    step: &Step,
    names: &mut Names<'_>,
    headers: &HeaderMap,
) -> Result<Body, PrepareError> {
    let Some(template) = &step.body else {
        return Ok(Body::Fixed(Bytes::new()));
    };
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| {
            let kind = kind
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        });
    let text = prepare_text(
        step,
        template,
        if is_json { Place::Json } else { Place::Raw },
        names,
    )?;
    Ok(match text.fixed() {
        Some(body) => Body::Fixed(Bytes::from(body)),
        None => Body::Filled(text),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chaos_plan::plan::Row;
    use chaos_testkit::plan::{PlanBuilder, get, template};

    use super::*;

    fn prepared(
        steps: Vec<Step>,
        data: BTreeMap<String, Vec<Row>>,
    ) -> Result<Prepared, PrepareError> {
        let plan = PlanBuilder::new()
            .stage("s", 1.0, 1.0)
            .journey_with_data("j", 1.0, data, steps)
            .build();
        Prepared::new(
            &plan,
            &Address::resolve("http://127.0.0.1:9/base").expect("an address"),
        )
    }

    fn no_data() -> BTreeMap<String, Vec<Row>> {
        BTreeMap::new()
    }

    #[test]
    fn a_path_without_slots_is_parsed_once_behind_the_prefix() {
        let prepared = prepared(vec![get("list", "/list?page=1")], no_data()).expect("a plan");
        let step = &prepared.journeys[0].steps[0];
        assert!(
            matches!(&step.target, Target::Fixed(uri) if *uri == "/base/list?page=1"),
            "{:?}",
            step.target
        );
        assert_eq!(step.headers[HOST], "127.0.0.1:9");
        assert!(!step.reads.body);
        assert_eq!(prepared.journeys[0].values, 0);
    }

    #[test]
    fn a_slot_nothing_provides_is_refused_by_name() {
        let mut later = get("second", "/b");
        later
            .extract
            .insert("id".to_owned(), Extract::Json("/id".to_owned()));
        let error = prepared(vec![get("first", "/a/{id}"), later], no_data())
            .expect_err("`id` is extracted too late");
        assert!(
            error
                .to_string()
                .contains("`first` of journey `j` uses `{id}`"),
            "{error}"
        );
    }

    #[test]
    fn a_field_must_be_in_every_row() {
        let row = |fields: &[&str]| {
            Row::Fields(
                fields
                    .iter()
                    .map(|field| ((*field).to_owned(), "v".to_owned()))
                    .collect(),
            )
        };
        let data = |rows| BTreeMap::from([("user".to_owned(), rows)]);
        let steps = || vec![get("first", "/a/{user.name}")];
        assert!(prepared(steps(), data(vec![row(&["name"]), row(&["name", "age"])])).is_ok());
        assert!(prepared(steps(), data(vec![row(&["name"]), row(&["age"])])).is_err());
        assert!(prepared(steps(), data(vec![])).is_err());
    }

    #[test]
    fn only_the_fields_in_use_are_kept() {
        let fields = BTreeMap::from([
            ("name".to_owned(), "ann".to_owned()),
            ("age".to_owned(), "7".to_owned()),
        ]);
        let data = BTreeMap::from([
            ("user".to_owned(), vec![Row::Fields(fields)]),
            ("unused".to_owned(), vec![Row::Value("x".to_owned())]),
        ]);
        let prepared = prepared(vec![get("first", "/a/{user.name}/{uuid}")], data).expect("a plan");
        let journey = &prepared.journeys[0];
        assert_eq!(journey.lists, [vec![vec![(0, "ann".to_owned())]]]);
        assert_eq!((journey.values, &journey.uuids[..]), (2, &[1][..]));
    }

    #[test]
    fn headers_of_the_step_replace_ours_and_are_checked() {
        let with = |name: &str, value: &str| {
            let mut step = get("first", "/a");
            step.headers.push((name.to_owned(), template(value)));
            prepared(vec![step], no_data())
        };
        let prepared = with("User-Agent", "mine").expect("a plan");
        assert_eq!(prepared.journeys[0].steps[0].headers[USER_AGENT], "mine");
        assert!(matches!(
            with("a b", "v"),
            Err(PrepareError::BadHeader { .. })
        ));
        assert!(matches!(
            with("x", "a\nb"),
            Err(PrepareError::BadHeader { .. })
        ));
        assert!(matches!(
            with("x", "{nothing}"),
            Err(PrepareError::UnknownSlot { .. })
        ));
        assert_eq!(
            with("x", "{uuid}").expect("a plan").journeys[0].steps[0]
                .filled_headers
                .len(),
            1
        );
    }
}

//! One shopper on a journey: the values so far, the next request, what an answer means.
//!
//! Invariant: pure. What is drawn by chance depends on the plan's seed and the arrival's index
//! alone, so the same seed gives the same requests whatever the number of workers.

use bytes::Bytes;
use chaos_plan::chance;
use chaos_plan::plan::Must;
use chaos_record::outcome::FailKind;
use http::header::{HeaderMap, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use rand::RngExt;

use crate::json::Found;
use crate::prepare::{Body, Look, PreparedJourney, PreparedOperation, PreparedStep, Target};

/// Longest key or order id that the operation log takes.
const LOGGED_BYTES_MAX: usize = 1_024;

/// A complete answer; the body is empty unless the step reads it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The request it answers, if it is still there: the next one is made in its memory.
    pub(crate) request: Option<Box<Request<Full<Bytes>>>>,
}

impl Answer {
    /// What the next request is made in, so that nothing is allocated for it.
    pub(crate) fn into_spare(self) -> Box<Request<Full<Bytes>>> {
        self.request.unwrap_or_else(|| {
            let mut request = Box::<Request<Full<Bytes>>>::default();
            *request.headers_mut() = self.headers;
            request
        })
    }
}

/// What the answer of an operation promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) order: String,
    pub(crate) amount: Option<i64>,
}

/// The state of one journey.
#[derive(Debug)]
pub(crate) struct Shopper<'a> {
    journey: &'a PreparedJourney,
    values: Vec<Option<String>>,
}

impl<'a> Shopper<'a> {
    /// The shopper of arrival `index`: one row of each data list drawn, UUIDs made.
    pub(crate) fn new(journey: &'a PreparedJourney, seed: u64, index: u64) -> Self {
        let mut values = vec![None; journey.values];
        if journey.lists.is_empty() && journey.uuids.is_empty() {
            return Self { journey, values };
        }
        let mut chance = chance::stream(seed, &format!("journey {index}"));
        for (rows, law) in journey.lists.iter().zip(&journey.laws) {
            let row = match law {
                None => chance.random_range(0..rows.len()),
                Some(law) => law.place(chance.random()),
            };
            for (number, value) in &rows[row] {
                values[*number] = Some(value.clone());
            }
        }
        for number in &journey.uuids {
            values[*number] = Some(uuid(chance.random()));
        }
        Self { journey, values }
    }

    /// The request of step `step`, in the memory of one that was used before.
    ///
    /// # Errors
    /// `Extract` if a value from an answer does not fit where the step puts it.
    pub(crate) fn request(
        &self,
        step: usize,
        spare: Box<Request<Full<Bytes>>>,
    ) -> Result<Box<Request<Full<Bytes>>>, FailKind> {
        self.build(&self.journey.steps[step], spare)
            .ok_or(FailKind::Extract)
    }

    fn build(
        &self,
        step: &PreparedStep,
        mut request: Box<Request<Full<Bytes>>>,
    ) -> Option<Box<Request<Full<Bytes>>>> {
        let headers = request.headers_mut();
        headers.clear();
        for (name, value) in &step.headers {
            headers.append(name.clone(), value.clone());
        }
        for (name, text) in &step.filled_headers {
            let value = HeaderValue::try_from(text.fill(&self.values)?).ok()?;
            headers.insert(name, value);
        }
        let body = match &step.body {
            Body::Fixed(body) => body.clone(),
            Body::Filled(text) => Bytes::from(text.fill(&self.values)?),
        };
        let uri = match &step.target {
            Target::Fixed(uri) => uri.clone(),
            Target::Filled(text) => path_of(text.fill(&self.values)?)?,
        };
        *request.body_mut() = Full::new(body);
        *request.method_mut() = step.method.clone();
        *request.uri_mut() = uri;
        Some(request)
    }

    /// Under which key step `step` goes into the operation log; `None` if it does not.
    ///
    /// # Errors
    /// `Extract` if the key lacks a value or is too long.
    pub(crate) fn key(&self, step: usize) -> Result<Option<String>, FailKind> {
        let Some(operation) = &self.journey.steps[step].operation else {
            return Ok(None);
        };
        let key = operation.key.fill(&self.values);
        let key = key.filter(|key| key.len() <= LOGGED_BYTES_MAX);
        key.map(Some).ok_or(FailKind::Extract)
    }

    /// What the answer of step `step` promised; `None` if it promises nothing or was not heard.
    pub(crate) fn receipt(&self, step: usize) -> Option<Receipt> {
        self.receipt_of(self.journey.steps[step].operation.as_ref()?)
    }

    fn receipt_of(&self, operation: &PreparedOperation) -> Option<Receipt> {
        let order = self.values[operation.order].as_ref()?;
        let amount = match operation.amount {
            Some(number) => Some(self.values[number].as_ref()?.parse().ok()?),
            None => None,
        };
        (order.len() <= LOGGED_BYTES_MAX).then(|| Receipt {
            order: order.clone(),
            amount,
        })
    }

    /// Whether the answer is as expected; takes the values later steps need. An operation's answer
    /// must name the order, and its amount as a whole number if the step asks for that.
    ///
    /// # Errors
    /// The first thing that is wrong: `Status`, then `Check`, then `Extract`.
    pub(crate) fn hear(&mut self, step: usize, answer: &Answer) -> Result<(), FailKind> {
        let step = &self.journey.steps[step];
        let status = answer.status.as_u16();
        if !step
            .statuses
            .iter()
            .any(|range| (range.from..=range.to).contains(&status))
        {
            return Err(FailKind::Status);
        }
        let found = if step.pointers.is_empty() {
            Found::new()
        } else {
            step.pointers.find(&answer.body)
        };
        let must_hold = |(at, must): &(Look, Must)| holds(must, look(at, answer, &found));
        if !step.checks.iter().all(must_hold) {
            return Err(FailKind::Check);
        }
        for (number, at) in &step.extract {
            let text = look(at, answer, &found).ok_or(FailKind::Extract)?;
            self.values[*number] = Some(text.to_owned());
        }
        match &step.operation {
            Some(operation) => self
                .receipt_of(operation)
                .map(drop)
                .ok_or(FailKind::Extract),
            None => Ok(()),
        }
    }
}

fn path_of(text: String) -> Option<Uri> {
    if text.starts_with('/') {
        text.try_into().ok()
    } else {
        None
    }
}

/// The text of what was asked for.
fn look<'a>(at: &Look, answer: &'a Answer, found: &'a Found<'_>) -> Option<&'a str> {
    match at {
        Look::Header(name) => answer.headers.get(name)?.to_str().ok(),
        Look::Json(number) => found[*number].as_deref(),
    }
}

fn holds(must: &Must, found: Option<&str>) -> bool {
    match must {
        Must::Exist => found.is_some(),
        Must::Equal(text) => found.is_some_and(|found| found == text),
        Must::Contain(text) => found.is_some_and(|found| found.contains(text)),
    }
}

/// A UUID of version 4 (RFC 9562 section 5.4) from 128 random bits.
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chaos_plan::plan::{Acknowledges, Check, Extract, Row, Step};
    use chaos_testkit::plan::{PlanBuilder, get, template};

    use super::*;
    use crate::address::Address;
    use crate::prepare::Prepared;

    fn prepared(data: BTreeMap<String, Vec<Row>>, steps: Vec<Step>) -> Prepared {
        let plan = PlanBuilder::new()
            .stage("s", 1.0, 1.0)
            .journey_with_data("j", 1.0, data, steps)
            .build();
        Prepared::new(
            &plan,
            &Address::resolve("http://127.0.0.1:9").expect("an address"),
        )
        .expect("a plan")
    }

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-id", HeaderValue::from_static("h7"));
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            request: None,
        }
    }

    #[test]
    fn a_uuid_is_of_version_4() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_popular_row_is_drawn_as_often_as_its_law_says() {
        let rows = (0..50).map(|i| Row::Value(i.to_string())).collect();
        let mut prepared = prepared(
            BTreeMap::from([("item".to_owned(), rows)]),
            vec![get("g", "/{item}")],
        );
        let item = |prepared: &Prepared, index| {
            let shopper = Shopper::new(&prepared.journeys[0], 7, index);
            shopper.values[0].clone().expect("a row")
        };
        let first = |prepared: &Prepared| {
            (0..2000)
                .filter(|index| item(prepared, *index) == "0")
                .count()
        };
        assert!(
            (20..60).contains(&first(&prepared)),
            "all alike: 40 of 2000"
        );
        prepared.journeys[0].laws = vec![Some(chance::Zipf::new(50, 1.0))];
        // 2000 / (1 + 1/2 + ... + 1/50) is 444.5; four standard deviations are 75.
        let drawn = first(&prepared);
        assert!((370..520).contains(&drawn), "{drawn}");
        assert_eq!(item(&prepared, 5), item(&prepared, 5));
    }

    #[test]
    fn an_arrival_always_draws_the_same() {
        let rows = (0..50).map(|i| Row::Value(i.to_string())).collect();
        let prepared = prepared(
            BTreeMap::from([("item".to_owned(), rows)]),
            vec![get("g", "/{item}/{uuid}/{uuid}")],
        );
        let path = |seed, index| {
            let shopper = Shopper::new(&prepared.journeys[0], seed, index);
            shopper
                .request(0, Box::default())
                .expect("a request")
                .uri()
                .path()
                .to_owned()
        };
        assert_eq!(path(1, 5), path(1, 5));
        assert_ne!(path(1, 5), path(1, 6));
        assert_ne!(path(1, 5), path(2, 5));
        let one = path(1, 5);
        let parts: Vec<&str> = one.split('/').collect();
        assert_ne!(parts[2], parts[3], "a new one for each use");
    }

    #[test]
    fn a_named_uuid_is_one_value_for_the_whole_journey() {
        let mut first = get("first", "/{uuid.a}/{uuid.b}/{uuid}");
        first
            .headers
            .push(("x-key".to_owned(), template("{uuid.a}")));
        let prepared = prepared(BTreeMap::new(), vec![first, get("second", "/{uuid.a}")]);
        let paths = |index| {
            let shopper = Shopper::new(&prepared.journeys[0], 1, index);
            let [first, second] =
                [0, 1].map(|step| shopper.request(step, Box::default()).expect("a request"));
            assert_eq!(second.uri().path()[1..], first.headers()["x-key"]);
            first.uri().path().to_owned()
        };
        let path = paths(5);
        let mut parts: Vec<&str> = path.split('/').collect();
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), 4, "each name has a value of its own: {path}");
        assert_ne!(path, paths(6), "each journey has values of its own");
    }

    #[test]
    fn an_operation_has_its_key_before_and_its_receipt_after() {
        let mut pay = get("pay", "/pay");
        pay.headers
            .push(("x-key".to_owned(), template("{uuid.pay}")));
        pay.acknowledges = Some(Acknowledges {
            key: template("{uuid.pay}"),
            order: Extract::Header("x-id".to_owned()),
            amount: Some(Extract::Json("/total".to_owned())),
        });
        let prepared = prepared(BTreeMap::new(), vec![pay, get("look", "/look")]);
        let hear = |body: &str| {
            let mut shopper = Shopper::new(&prepared.journeys[0], 1, 0);
            let key = shopper.key(0).expect("a key").expect("an operation");
            assert_eq!(
                shopper
                    .request(0, Box::default())
                    .expect("a request")
                    .headers()["x-key"],
                key
            );
            assert_eq!((shopper.key(1), shopper.receipt(0)), (Ok(None), None));
            let heard = shopper.hear(0, &answer(200, body));
            heard.map(|()| shopper.receipt(0).expect("a receipt"))
        };
        let receipt = |amount| Receipt {
            order: "h7".to_owned(),
            amount: Some(amount),
        };
        assert_eq!(hear(r#"{"total":1999}"#), Ok(receipt(1_999)));
        assert_eq!(hear(r#"{"total":"7"}"#), Ok(receipt(7)));
        for without in [r#"{"total":19.5}"#, r#"{"total":null}"#, "{}", ""] {
            assert_eq!(hear(without), Err(FailKind::Extract), "{without}");
        }
    }

    #[test]
    fn what_an_answer_gives_goes_into_the_next_request() {
        let mut first = get("first", "/a");
        first
            .extract
            .insert("id".to_owned(), Extract::Json("/items/0/id".to_owned()));
        first
            .extract
            .insert("tag".to_owned(), Extract::Header("x-id".to_owned()));
        let mut second = get("second", "/b/{id}");
        second
            .headers
            .push(("x-tag".to_owned(), template("<{tag}>")));
        second.headers.push((
            "content-type".to_owned(),
            template("application/json; charset=utf-8"),
        ));
        second.body = Some(template("{{\"id\":\"{id}\"}}"));
        let prepared = prepared(BTreeMap::new(), vec![first, second]);
        let mut shopper = Shopper::new(&prepared.journeys[0], 1, 0);
        assert_eq!(
            shopper
                .request(1, Box::default())
                .expect_err("nothing was extracted yet"),
            FailKind::Extract
        );
        assert_eq!(
            shopper.hear(0, &answer(200, r#"{"items":[{"id":"a\"b"}]}"#)),
            Ok(())
        );
        let request = shopper.request(1, Box::default()).expect("a request");
        assert_eq!(request.uri(), "/b/a%22b");
        assert_eq!(request.headers()["x-tag"], "<h7>");
        let Body::Filled(body) = &prepared.journeys[0].steps[1].body else {
            panic!("a body with a slot")
        };
        assert_eq!(
            body.fill(&shopper.values).as_deref(),
            Some(r#"{"id":"a\"b"}"#)
        );
    }

    #[test]
    fn an_answer_is_judged_by_status_then_checks_then_extraction() {
        let hear = |must: Must, answer: Answer| {
            let mut step = get("first", "/a");
            step.checks.push(Check {
                of: Extract::Json("/n".to_owned()),
                must,
            });
            step.extract
                .insert("x".to_owned(), Extract::Json("/x".to_owned()));
            Shopper::new(&prepared(BTreeMap::new(), vec![step]).journeys[0], 1, 0).hear(0, &answer)
        };
        assert_eq!(hear(Must::Exist, answer(500, "")), Err(FailKind::Status));
        assert_eq!(
            hear(Must::Exist, answer(200, "not json")),
            Err(FailKind::Check)
        );
        assert_eq!(
            hear(Must::Exist, answer(200, r#"{"n":null,"x":1}"#)),
            Err(FailKind::Check)
        );
        assert_eq!(
            hear(Must::Equal("7".to_owned()), answer(200, r#"{"n":7}"#)),
            Err(FailKind::Extract)
        );
        assert_eq!(
            hear(
                Must::Equal("7".to_owned()),
                answer(399, r#"{"n":7,"x":true}"#)
            ),
            Ok(())
        );
        assert_eq!(
            hear(
                Must::Contain("b".to_owned()),
                answer(200, r#"{"n":"abc","x":[]}"#)
            ),
            Ok(())
        );
        assert_eq!(
            hear(
                Must::Contain("z".to_owned()),
                answer(200, r#"{"n":"abc","x":1}"#)
            ),
            Err(FailKind::Check)
        );
    }

    #[test]
    fn a_value_that_fits_no_header_fails_the_step() {
        let mut first = get("first", "/a");
        first
            .extract
            .insert("v".to_owned(), Extract::Json("/v".to_owned()));
        let mut second = get("second", "/b");
        second.headers.push(("x".to_owned(), template("{v}")));
        let prepared = prepared(BTreeMap::new(), vec![first, second]);
        let mut shopper = Shopper::new(&prepared.journeys[0], 1, 0);
        assert_eq!(shopper.hear(0, &answer(200, r#"{"v":"a\nb"}"#)), Ok(()));
        assert_eq!(
            shopper
                .request(1, Box::default())
                .expect_err("a header holds no line break"),
            FailKind::Extract
        );
    }
}

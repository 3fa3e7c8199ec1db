//! The journey file: what one shopper does.
//!
//! Doc comments here are the descriptions in the published schema.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::format::{HeaderName, PathTemplate, Pointer, Text};
use super::located::{Located, Map, Optional};
use super::range::TextRange;
use super::value::{Any, Plain, Row};
use crate::plan::StatusRange;
use crate::template::Template;

/// What one shopper does: requests one after the other, each slower one delaying those behind it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "chaos journey")]
pub(crate) struct Journey {
    /// Version of this format; always 1.
    #[schemars(extend("const" = 1))]
    pub(crate) version: Located<u64>,
    /// Name of the journey: letters, digits, `-` and `_`, a letter first, at most 63.
    pub(crate) name: Located<String>,
    /// Lists by name, written here, counted up or from a CSV file whose first line names the fields; one row of each is drawn for each journey. `{word}` is a plain row, `{shopper.email}` a field.
    #[serde(default)]
    pub(crate) data: Optional<Map<DataList>>,
    /// The requests, in order.
    #[schemars(extend("minItems" = 1, "maxItems" = 100))]
    pub(crate) steps: Located<Vec<Located<Step>>>,
}

/// Rows of one list, each drawn as often as any other; or a mapping that says more of them.
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few in a file, and each is read once"
)]
#[derive(Debug)]
pub(crate) enum DataList {
    Rows(Vec<Located<Row>>),
    Drawn(DrawnList),
}

/// Where the rows of a list are, and how popular they are. Exactly one of `rows`, `range` and `csv` gives them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrawnList {
    /// The rows: all plain values, or all mappings with the same fields.
    #[serde(default)]
    #[schemars(extend("minItems" = 1))]
    pub(crate) rows: Optional<Vec<Located<Row>>>,
    /// Plain rows that differ in the number at their end: at most 10,000.
    #[serde(default)]
    pub(crate) range: Optional<Text<TextRange>>,
    /// The path of a CSV file of at most 10,000 rows and 1 MiB, from the folder of the journey's file.
    #[serde(default)]
    #[schemars(extend("examples" = ["shoppers.csv"]))]
    pub(crate) csv: Optional<String>,
    /// How often each row is drawn. Default: all alike.
    #[serde(default)]
    pub(crate) popularity: Optional<Popularity>,
}

/// By which law some rows are drawn more often than others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Popularity {
    /// Zipf's law: the k-th row is drawn in proportion to 1/k to the power of this number. About 1 is what shops and pages on the web see.
    #[schemars(extend("minimum" = 0.01, "maximum" = 4, "examples" = [1.1]))]
    pub(crate) zipf: Located<f64>,
}

impl<'de> Deserialize<'de> for DataList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataListVisitor)
    }
}

struct DataListVisitor;

impl<'de> Visitor<'de> for DataListVisitor {
    type Value = DataList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or a mapping with `rows`, `range` or `csv`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<DataList, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(DataList::Rows)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<DataList, A::Error> {
        DrawnList::deserialize(MapAccessDeserializer::new(entries)).map(DataList::Drawn)
    }
}

impl JsonSchema for DataList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DataList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = DrawnList::json_schema(generator);
        let row = generator.subschema_for::<Located<Row>>();
        schema.insert("type".to_owned(), serde_json::json!(["array", "object"]));
        schema.insert("items".to_owned(), row.to_value());
        schema.insert("minItems".to_owned(), 1.into());
        let one_way = serde_json::json!([{ "oneOf": [
            { "type": "object", "required": ["rows"] }, { "type": "object", "required": ["range"] },
            { "type": "object", "required": ["csv"] }, { "type": "array" }
        ] }]);
        schema.insert("allOf".to_owned(), one_way);
        schema.insert("description".to_owned(), "Rows of one list: all plain values, or all mappings with the same fields; or a mapping that says where they are and how popular.".into());
        schema.insert("examples".to_owned(), serde_json::json!([["one", "two"]]));
        schema
    }
}

/// One request. Exactly one of `get`, `post`, `put`, `patch`, `delete` and `head` gives its path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["get"] }, { "required": ["post"] }, { "required": ["put"] },
    { "required": ["patch"] }, { "required": ["delete"] }, { "required": ["head"] }
]))]
pub(crate) struct Step {
    /// Name of the step, distinct in its journey.
    pub(crate) name: Located<String>,
    /// GET this path; slots in braces are filled in.
    #[serde(default)]
    pub(crate) get: Optional<Text<PathTemplate>>,
    /// POST to this path.
    #[serde(default)]
    pub(crate) post: Optional<Text<PathTemplate>>,
    /// PUT to this path.
    #[serde(default)]
    pub(crate) put: Optional<Text<PathTemplate>>,
    /// PATCH this path.
    #[serde(default)]
    pub(crate) patch: Optional<Text<PathTemplate>>,
    /// DELETE this path.
    #[serde(default)]
    pub(crate) delete: Optional<Text<PathTemplate>>,
    /// HEAD of this path.
    #[serde(default)]
    pub(crate) head: Optional<Text<PathTemplate>>,
    /// Headers by name, with slots.
    #[serde(default)]
    pub(crate) headers: Optional<Map<Text<Template>>>,
    /// Body as text, with slots. Not together with `json`. Values are escaped as inside a JSON text if `content-type` is JSON, else put in as they are.
    #[serde(default)]
    pub(crate) body: Optional<Text<Template>>,
    /// Body as JSON; slots may stand in its texts, and the engine escapes their values there. Sets `content-type: application/json` unless given; keep it a JSON type.
    #[serde(default)]
    pub(crate) json: Optional<Any>,
    /// What the answer must be.
    #[serde(default)]
    pub(crate) expect: Optional<Expect>,
    /// Values taken from the answer, by name, for later steps.
    #[serde(default)]
    pub(crate) extract: Optional<Map<Extract>>,
    /// Pause after this step; part of the plan, so not counted as response time. Default: none.
    #[serde(default)]
    pub(crate) think: Optional<Text<Duration>>,
    /// The step is an operation whose answer promises something, such as a purchase; the claim `integrity` goes by it.
    #[serde(default)]
    pub(crate) acknowledges: Optional<Acknowledges>,
}

/// An operation: it is logged under its key before the request is sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledges {
    /// The key the request carries, one for each operation: `{uuid.NAME}` is one value all through a journey.
    #[schemars(extend("examples" = ["{uuid.purchase}"]))]
    pub(crate) key: Located<Text<Template>>,
    /// Where the answer names the order.
    #[schemars(extend("examples" = [{ "json": "/order_id" }]))]
    pub(crate) order: Located<Extract>,
    /// Where the answer says what it costs, in the smallest unit of money.
    #[serde(default)]
    pub(crate) amount: Optional<Extract>,
}

/// What an answer must be to count as expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Statuses that are expected: `200`, `2xx` or `200-299`. Default: 2xx and 3xx.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "maxItems" = 20, "examples" = [[200, 201]]))]
    pub(crate) status: Optional<Vec<Located<Text<StatusRange>>>>,
    /// What else must be so.
    #[serde(default)]
    #[schemars(extend("maxItems" = 20))]
    pub(crate) checks: Optional<Vec<Located<Check>>>,
}

/// A place in the answer (`json` or `header`) and what must be there (`exists`, `equals` or `contains`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [
    { "oneOf": [{ "required": ["json"] }, { "required": ["header"] }] },
    { "oneOf": [{ "required": ["exists"] }, { "required": ["equals"] }, { "required": ["contains"] }] }
]))]
pub(crate) struct Check {
    /// A JSON pointer (RFC 6901) into the body.
    #[serde(default)]
    pub(crate) json: Optional<Text<Pointer>>,
    /// A header of the answer.
    #[serde(default)]
    pub(crate) header: Optional<Text<HeaderName>>,
    /// `true`: there must be a value.
    #[serde(default)]
    pub(crate) exists: Optional<bool>,
    /// The value as text is exactly this.
    #[serde(default)]
    pub(crate) equals: Optional<Plain>,
    /// The value as text contains this.
    #[serde(default)]
    pub(crate) contains: Optional<Plain>,
}

/// Where a value is found in an answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Extract {
    /// A JSON pointer (RFC 6901) into the body.
    Json(Text<Pointer>),
    /// A header of the answer.
    Header(Text<HeaderName>),
}

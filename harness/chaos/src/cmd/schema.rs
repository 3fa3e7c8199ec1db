//! `chaos schema`: the JSON Schema of the files.

use chaos_plan::schema;
use chaos_record::exit;

use crate::cli::{SchemaArgs, SchemaOf};
use crate::output::Output;

fn pretty(schema: &serde_json::Value) -> String {
    serde_json::to_string_pretty(schema).expect("a schema is plain data")
}

pub(super) fn schema(args: &SchemaArgs, output: &Output) -> u8 {
    output.give(&match args.of {
        SchemaOf::Scenario => schema::scenario_schema(),
        SchemaOf::Target => schema::target_schema(),
        SchemaOf::Journey => schema::journey_schema(),
        SchemaOf::Result => pretty(&chaos_report::result::result_schema()),
        SchemaOf::Load => pretty(&chaos_report::load::load_schema()),
        SchemaOf::Event => pretty(&chaos_report::ci::event_schema()),
    });
    exit::HELD.code
}

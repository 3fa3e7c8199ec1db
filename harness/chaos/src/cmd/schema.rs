//! `chaos schema`: the JSON Schema of the files.

use chaos_plan::schema;
use chaos_record::exit;

use crate::cli::{SchemaArgs, SchemaOf};
use crate::output::Output;

pub(super) fn schema(args: &SchemaArgs, output: &Output) -> u8 {
    output.give(&match args.of {
        SchemaOf::Scenario => schema::scenario_schema(),
        SchemaOf::Target => schema::target_schema(),
        SchemaOf::Journey => schema::journey_schema(),
    });
    exit::HELD.code
}

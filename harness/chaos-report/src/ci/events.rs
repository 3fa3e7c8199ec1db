//! The events of a run as NDJSON: one JSON value a line, as `chaos run --json` prints them while it goes on.
//!
//! Invariant: a line is a whole event, and JSON escapes every control character, so neither a line
//! end nor a terminal sequence of a foreign text reaches the reader.

use chaos_record::event::Stamped;
use serde_json::Value;

use crate::result::written_schema;
use crate::view::Story;

/// All events of a run, a line each, in the order in which they were written.
pub fn events_ndjson(story: &Story<'_>) -> String {
    let line =
        |event: &Stamped| serde_json::to_string(event).expect("an event is plain data") + "\n";
    story.events.iter().map(line).collect()
}

/// The JSON Schema (2020-12) of one line.
pub fn event_schema() -> Value {
    written_schema::<Stamped>()
}

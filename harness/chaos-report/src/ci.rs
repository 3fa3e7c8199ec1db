//! What CI systems read of a run: `junit.xml`, `summary.md`, annotations on the scenario, NDJSON events.
//!
//! Invariant: foreign text is text everywhere. It is clean ([`crate::clean`]) and escaped for the
//! format it stands in, and no line of ours begins with it, so that it can neither change a
//! document's structure nor be taken for a command by the system that shows it.

mod annotations;
mod events;
mod junit;
mod summary;

pub use self::annotations::{annotations, inert_line};
pub use self::events::{event_schema, events_ndjson};
pub use self::junit::junit_xml;
pub use self::summary::{SUMMARY_MAX, summary_md};

//! The record's lines: versioned JSON, one value a line, written while the run goes on.
//!
//! Invariant: the first line is a header with the plan, and a record without an end line is
//! incomplete and says so. Lines are only ever appended.

use chaos_plan::Plan;
use serde::{Deserialize, Serialize};

use crate::audit::Audited;
use crate::calibration::Calibration;
use crate::event::Stamped;
use crate::health::Health;
use crate::operation::Operation;
use crate::usage::Usage;
use crate::window::Delta;

/// Version of the format; a reader refuses any other.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Header(Box<Header>),
    Event(Stamped),
    Delta(Delta),
    Operation(Operation),
    Audited(Audited),
    Usage(Usage),
    Health(Health),
    End(End),
}

impl Line {
    /// The line as it stands in the record, without its line break.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a line is plain data with text keys")
    }

    /// Reads one line back, with or without its line break.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// The first line: what was to be done, where and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub version: u32,
    /// Names the run; fit for a folder name.
    pub run: String,
    /// The one wall-clock anchor: RFC 3339 instant of time zero of the run.
    pub started: String,
    /// Version of the program, with its commit if known.
    pub chaos: String,
    /// The command as typed.
    pub command: Vec<String>,
    pub host: Host,
    pub plan: Plan,
    /// What this machine's generator was found able to do, if that was ever measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Box<Calibration>>,
}

/// The machine the harness ran on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub kernel: String,
    pub cpus: u32,
    pub memory_mib: u64,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When the record was closed, nanoseconds since the start of the run.
    pub at: u64,
    /// Lines before this one, the header included: a reader sees by it that none is missing.
    /// [`Record::end_line`](crate::record::Record::end_line) fills it in.
    #[serde(default)]
    pub lines: u64,
}

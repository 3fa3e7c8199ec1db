//! What each instance used of the machine over the judged stages.
//!
//! Invariant: a share that is not known says so in a dash and is never 0.

use chaos_record::verdict::UsageSummary;
use serde::Serialize;

use super::Story;
use crate::clean::clean;
use crate::words;

const MIB: u64 = 1024 * 1024;

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    pub instance: String,
    pub cpu: String,
    pub cpu_peak: String,
    pub memory: String,
    pub memory_share: String,
    pub descriptors: String,
    pub connections: String,
}

pub(super) fn usage(story: &Story<'_>) -> Vec<UsageRow> {
    story.verdict.usage.iter().map(row).collect()
}

fn row(usage: &UsageSummary) -> UsageRow {
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), words::percent);
    UsageRow {
        instance: clean(&usage.instance),
        cpu: share(usage.cpu_share),
        cpu_peak: share(usage.cpu_peak),
        memory: format!("{} MiB", words::count(usage.memory_max.div_ceil(MIB))),
        memory_share: share(usage.memory_share),
        descriptors: words::count(usage.descriptors_max.into()),
        connections: words::count(usage.connections_max.into()),
    }
}

//! The files of a run's folder, all made from its record.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use chaos_record::exit;
use chaos_record::judge::judge;
use chaos_record::record::Record;
use chaos_record::verdict::Verdict;
use chaos_report::Story;
use chaos_report::text::EventLines;

use crate::output::Failure;

/// A record and what was judged of it.
pub(crate) struct Judged {
    record: Record,
    pub verdict: Verdict,
}

/// Reads a record file.
pub(crate) fn read_record(path: &Path) -> Result<Record, Failure> {
    let bad = |why: String| {
        Failure::new(
            exit::BAD_INPUT,
            format!(
                "error: failed to read the record `{}`: {why}",
                path.display()
            ),
        )
    };
    let file = File::open(path).map_err(|error| bad(error.to_string()))?;
    Record::read(BufReader::new(file)).map_err(|error| bad(error.to_string()))
}

/// A record that was read can always be rendered; where it cannot, that is our fault.
fn bug(error: impl std::error::Error) -> Failure {
    let source = error
        .source()
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    Failure::new(
        exit::BUG,
        format!("error: failed to {error}{source}; this is a bug in chaos"),
    )
}

impl Judged {
    pub(crate) fn new(record: Record) -> Self {
        let verdict = judge(&record);
        Self { record, verdict }
    }

    fn story(&self) -> Story<'_> {
        Story {
            header: &self.record.header,
            events: &self.record.events,
            windows: &self.record.windows,
            verdict: &self.verdict,
        }
    }

    pub(crate) fn result_json(&self) -> String {
        chaos_report::result::result_json(&self.story())
    }

    /// The last lines of a run.
    pub(crate) fn closing(&self, color: bool, report: &Path) -> String {
        chaos_report::text::closing_block(&self.story(), color, &report.display().to_string())
    }

    /// Writes `plan.yaml`, `result.json`, `report.html` and `terminal.txt`; the report's path comes back.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let report = folder.join("report.html");
        let html = chaos_report::html::report_html(&self.story()).map_err(bug)?;
        let plan = chaos_report::plan_text::plan_yaml(&self.record.header.plan).map_err(bug)?;
        let files = [
            ("plan.yaml", plan),
            ("result.json", self.result_json()),
            ("report.html", html),
            ("terminal.txt", self.terminal_text(&report)),
        ];
        fs::create_dir_all(folder).map_err(|error| {
            Failure::environment(format!("make `{}`: {error}", folder.display()))
        })?;
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| {
                Failure::environment(format!("write `{}`: {error}", path.display()))
            })?;
        }
        Ok(report)
    }

    /// What a run prints where it cannot redraw: a line for each event, then the closing lines.
    fn terminal_text(&self, report: &Path) -> String {
        let plan = &self.record.header.plan;
        let mut lines: Vec<String> = self
            .record
            .events
            .iter()
            .scan(EventLines::new(true), |lines, event| {
                Some(lines.line(event, plan))
            })
            .flatten()
            .collect();
        lines.push(self.closing(false, Path::new(report.file_name().unwrap_or_default())));
        lines.join("\n") + "\n"
    }
}

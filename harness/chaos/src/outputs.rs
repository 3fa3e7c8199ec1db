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

    /// The result on one line, as the last of a stream of JSON lines.
    pub(crate) fn result_line(&self) -> String {
        let text = self.result_json();
        let value: serde_json::Value = serde_json::from_str(&text).expect("we wrote it");
        value.to_string()
    }

    /// The verdict in Markdown, for a job's summary.
    pub(crate) fn summary(&self) -> String {
        chaos_report::ci::summary_md(&self.story())
    }

    /// GitHub's annotations, on the lines of the scenario.
    pub(crate) fn annotations(&self) -> Vec<String> {
        let path = &self.record.header.plan.source.path;
        chaos_report::ci::annotations(&self.story(), path)
    }

    fn interval_log(&self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        chaos_record::hlog::write(&self.record, &mut bytes).map_err(bug)?;
        String::from_utf8(bytes).map_err(bug)
    }

    /// Writes every output of a run but its record; the report's path comes back.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let report = folder.join("report.html");
        let html = chaos_report::html::report_html(&self.story()).map_err(bug)?;
        let plan = chaos_report::plan_text::plan_yaml(&self.record.plan_as_given()).map_err(bug)?;
        let files = [
            ("plan.yaml", plan),
            ("result.json", self.result_json()),
            ("report.html", html),
            ("junit.xml", chaos_report::ci::junit_xml(&self.story())),
            ("summary.md", self.summary()),
            ("latency.hlog", self.interval_log()?),
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

//! Writes the record while the run goes on, and keeps the same account in memory: of a long run the
//! last minutes and what is asked about meanwhile.
//!
//! Invariant: a line counts only once it was handed to the file. If the disk refuses, the run goes
//! on in memory, undoes everything and says so once; nothing is written behind the refused line, so
//! what is on disk never looks whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use chaos_record::audit::Audited;
use chaos_record::event::{Event, Stamped};
use chaos_record::health::Health;
use chaos_record::line::Line;
use chaos_record::operation::Operation;
use chaos_record::record::Record;
use chaos_record::usage::Usage;
use chaos_record::window::Delta;

/// Longest wait for the closed record to be on disk.
const SYNC_LIMIT: Duration = Duration::from_mins(1);

/// The open record of a run.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    record: Record,
    /// The first refusal of the disk.
    failed: Option<String>,
    /// It was taken by [`Self::take_failure`].
    told: bool,
}

/// A record that nothing is added to any more.
#[derive(Debug)]
pub struct Closed {
    pub record: Record,
    /// Why the file is not whole.
    pub failure: Option<String>,
    /// The record says so itself.
    pub told: bool,
}

impl Writer {
    /// Creates the file of a record that has only a header, and writes that.
    pub fn create(path: &Path, record: Record) -> std::io::Result<Self> {
        let header = Line::Header(Box::new(record.header.clone()));
        let mut writer = Self::over(File::create_new(path)?, record);
        writer.put(&header);
        writer.flush();
        writer
            .failed
            .take()
            .map_or(Ok(writer), |why| Err(std::io::Error::other(why)))
    }

    fn over(file: File, record: Record) -> Self {
        Self {
            file: BufWriter::new(file),
            record,
            failed: None,
            told: false,
        }
    }

    /// What happened so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    pub fn event(&mut self, at: u64, what: Event) -> Stamped {
        let stamped = Stamped { at, what };
        self.line(&Line::Event(stamped.clone()));
        // Events are few and tell a killed run's story: each goes to the file at once.
        self.flush();
        stamped
    }

    pub fn delta(&mut self, delta: Delta) {
        self.line(&Line::Delta(delta));
    }

    pub fn operation(&mut self, operation: Operation) {
        self.line(&Line::Operation(operation));
    }

    pub fn audited(&mut self, audited: Audited) {
        self.line(&Line::Audited(audited));
    }

    pub fn usage(&mut self, usage: Usage) {
        self.line(&Line::Usage(usage));
    }

    /// Lets memory hold only what is still asked about at `load_ns` of the load. Nothing is forgotten
    /// any more once the disk has refused a line: then memory is the better account.
    pub fn forget(&mut self, load_ns: u64) {
        if self.failed.is_none() {
            self.record.forget(load_ns);
        }
    }

    pub fn health(&mut self, health: Health) {
        self.line(&Line::Health(health));
    }

    pub fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.file.flush()
        {
            self.refused(&error);
        }
    }

    /// Writes the end line and brings everything to disk, without blocking the loop.
    pub async fn close(mut self, at: u64) -> Closed {
        let end = self.record.end_line(at);
        self.line(&end);
        self.flush();
        if self.failed.is_none()
            && let Err(error) = synced(&self.file).await
        {
            self.refused(&error);
        }
        Closed {
            record: self.record,
            failure: self.failed,
            told: self.told,
        }
    }

    /// The first refusal of the disk, once.
    pub fn take_failure(&mut self) -> Option<String> {
        let told = std::mem::replace(&mut self.told, self.failed.is_some());
        self.failed.clone().filter(|_| !told)
    }

    fn line(&mut self, line: &Line) {
        self.record.apply(line);
        self.put(line);
    }

    fn put(&mut self, line: &Line) {
        if self.failed.is_none()
            && let Err(error) = writeln!(self.file, "{}", line.to_json())
        {
            self.refused(&error);
        }
    }

    fn refused(&mut self, error: &std::io::Error) {
        self.failed
            .get_or_insert_with(|| format!("the record cannot be written: {error}"));
    }
}

async fn synced(file: &BufWriter<File>) -> std::io::Result<()> {
    let file = file.get_ref().try_clone()?;
    let sync = tokio::task::spawn_blocking(move || file.sync_all());
    match tokio::time::timeout(SYNC_LIMIT, sync).await {
        Ok(synced) => synced.map_err(std::io::Error::other)?,
        Err(late) => Err(late.into()),
    }
}

#[cfg(test)]
mod tests {
    use chaos_record::line::{Header, Host, VERSION};
    use chaos_testkit::plan::{PlanBuilder, get};

    use super::*;

    fn record() -> Record {
        let plan = PlanBuilder::new()
            .stage("s", 10.0, 1.0)
            .journey("j", 1.0, vec![get("g", "/")])
            .build();
        Record::new(Header {
            version: VERSION,
            run: "r".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            chaos: "0".to_owned(),
            command: Vec::new(),
            host: Host::default(),
            plan,
            calibration: None,
        })
    }

    #[tokio::test]
    async fn a_record_that_was_written_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.jsonl");
        let mut writer = Writer::create(&path, record()).expect("room");
        writer.event(1, Event::Deployed);
        let closed = writer.close(2).await;
        assert_eq!((closed.failure, closed.told), (None, false));
        let file = std::io::BufReader::new(File::open(&path).expect("written"));
        let read = Record::read(file).expect("a record");
        assert_eq!((read.end, read.events.len()), (closed.record.end, 1));
    }

    #[tokio::test]
    async fn a_full_disk_is_told_once_and_memory_goes_on() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut writer = Writer::over(full.expect("a device that is always full"), record());
        writer.event(1, Event::DeployStarted);
        assert!(writer.take_failure().is_some());
        writer.event(2, Event::Deployed);
        writer.flush();
        assert_eq!(writer.take_failure(), None, "it was told");
        let closed = writer.close(3).await;
        assert_eq!((closed.failure.is_some(), closed.told), (true, true));
        assert_eq!(
            (closed.record.events.len(), closed.record.end.is_some()),
            (2, true)
        );
    }

    #[tokio::test]
    async fn a_disk_that_is_full_at_the_end_is_not_told_by_the_record() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let writer = Writer::over(full.expect("a device that is always full"), record());
        let closed = writer.close(3).await;
        assert_eq!((closed.failure.is_some(), closed.told), (true, false));
    }
}

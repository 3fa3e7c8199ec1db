//! Writes the record while the run goes on, and keeps the same account in memory.
//!
//! Invariant: a line counts only once it was handed to the file. If the disk refuses, the run goes
//! on in memory, undoes everything and says so.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use chaos_record::event::{Event, Stamped};
use chaos_record::line::{Header, Line};
use chaos_record::record::Record;
use chaos_record::window::Delta;

/// The open record of a run.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    record: Record,
    /// The first refusal of the disk.
    failed: Option<String>,
}

impl Writer {
    /// Creates the record file and writes its header.
    pub fn create(path: &Path, header: Header) -> std::io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let mut writer = Self {
            file,
            record: Record::new(header.clone()),
            failed: None,
        };
        writer.put(&Line::Header(Box::new(header)));
        writer.flush();
        writer
            .failed
            .take()
            .map_or(Ok(writer), |why| Err(std::io::Error::other(why)))
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

    pub fn flush(&mut self) {
        if let Err(error) = self.file.flush() {
            self.refused(&error);
        }
    }

    /// Writes the end line and brings everything to disk.
    pub fn close(mut self, at: u64) -> Record {
        let end = self.record.end_line(at);
        self.line(&end);
        self.flush();
        if let Err(error) = self.file.get_ref().sync_all() {
            self.refused(&error);
        }
        self.record
    }

    /// The first refusal of the disk, once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    fn line(&mut self, line: &Line) {
        self.record.apply(line);
        self.put(line);
    }

    fn put(&mut self, line: &Line) {
        if let Err(error) = writeln!(self.file, "{}", line.to_json()) {
            self.refused(&error);
        }
    }

    fn refused(&mut self, error: &std::io::Error) {
        self.failed
            .get_or_insert_with(|| format!("the record cannot be written: {error}"));
    }
}

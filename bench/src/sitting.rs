//! One sitting: the machine, the programs, the length, and what was noticed meanwhile.
//!
//! Invariant: nothing is left behind: its folder goes with it, and every process with its owner.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::interrupt::{ENDING, Interrupt};
use crate::machine::Cores;
use crate::noise::Noise;
use crate::toolbox::Toolbox;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Times that each tool is run; medians are taken over them.
    pub rounds: usize,
    /// Length of each run.
    pub seconds: u32,
    /// Samples of the soak.
    pub samples: u64,
}

impl Extent {
    /// Length where a rate is all that is asked for, so that a sitting stays short.
    pub(crate) fn short_seconds(self) -> u32 {
        (self.seconds * 3 / 5).max(1)
    }
}

/// What every question is given.
#[derive(Debug)]
pub(crate) struct Sitting {
    pub extent: Extent,
    pub cores: Cores,
    pub toolbox: Toolbox,
    /// What disturbed the runs of the question that is being answered.
    pub noise: RefCell<Noise>,
    /// The same of the questions that were answered.
    pub all_noise: RefCell<Noise>,
    versions: RefCell<BTreeMap<&'static str, String>>,
    folder: TempDir,
    interrupt: Interrupt,
    launched: Cell<usize>,
}

impl Sitting {
    pub(crate) fn begin(extent: Extent, cores: Cores, toolbox: Toolbox) -> Result<Self> {
        Ok(Self {
            extent,
            cores,
            toolbox,
            noise: RefCell::default(),
            all_noise: RefCell::default(),
            versions: RefCell::default(),
            folder: TempDir::with_prefix("chaos-bench-").context("failed to make a folder")?,
            interrupt: Interrupt::listen(&ENDING)?,
            launched: Cell::new(0),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Remembers which version of a program was used.
    pub(crate) fn note_version(&self, name: &'static str, version: String) {
        self.versions.borrow_mut().insert(name, version);
    }

    /// `ab 2.3, wrk 4.1.0`.
    pub(crate) fn versions(&self) -> String {
        let versions = self.versions.borrow();
        let listed: Vec<_> = versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        listed.join(", ")
    }

    /// Text without the path of our folder, which nobody else has.
    pub(crate) fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder().display()), "")
    }

    /// Fresh files for what a process prints.
    pub(crate) fn output_files(&self) -> [PathBuf; 2] {
        let number = self.launched.get();
        self.launched.set(number + 1);
        ["out", "err"].map(|kind| self.folder().join(format!("{number}.{kind}")))
    }

    /// Writes a file that a program is to read, and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder().join(name);
        std::fs::write(&path, text).with_context(|| format!("failed to write `{name}`"))?;
        Ok(path)
    }
}

#[cfg(test)]
impl Sitting {
    /// Without programs and deaf to signals, so that tests do not end each other.
    pub(crate) fn for_tests() -> Self {
        Self {
            extent: Extent {
                rounds: 1,
                seconds: 1,
                samples: 1,
            },
            cores: Cores {
                generator: 0,
                server: 0,
            },
            toolbox: Toolbox::default(),
            noise: RefCell::default(),
            all_noise: RefCell::default(),
            versions: RefCell::default(),
            folder: TempDir::new().unwrap(),
            interrupt: Interrupt::listen(&[]).unwrap(),
            launched: Cell::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_folder_goes_with_it() {
        let sitting = Sitting::for_tests();
        let file = sitting.write("script", "text").unwrap();
        let [out, err] = sitting.output_files();
        assert_ne!(out, err);
        assert_ne!(out, sitting.output_files()[0]);
        drop(sitting);
        assert!(!file.exists());
    }
}

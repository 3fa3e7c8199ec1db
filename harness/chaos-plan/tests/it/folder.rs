//! A library over a folder with `targets/` and `journeys/`, and shortcuts to check texts with it.

use std::path::{Path, PathBuf};

use chaos_plan::check::{Library, Options, Outcome, SourceFile, Sources, examine};

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// One file that reads otherwise than on disk.
    other: Option<(&'static str, String)>,
}

impl Folder {
    /// A folder given relative to this crate.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: Path::new(env!("CARGO_MANIFEST_DIR")).join(path),
            other: None,
        }
    }

    /// The same with another text of one file.
    pub(crate) fn with(self, path: &'static str, text: String) -> Self {
        Self {
            other: Some((path, text)),
            ..self
        }
    }

    /// `tests/cases`.
    pub(crate) fn cases() -> Self {
        Self::new("tests/cases")
    }

    pub(crate) fn read(&self, path: &str) -> Option<SourceFile> {
        let text = match &self.other {
            Some((other, text)) if *other == path => text.clone(),
            _ => std::fs::read_to_string(self.path.join(path)).ok()?,
        };
        Some(SourceFile {
            name: path.to_owned(),
            folder: "/here".to_owned(),
            text,
        })
    }

    /// Names of the YAML files in a folder below, in order.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path.join(below)) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".yaml")
                .map(str::to_owned)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    pub(crate) fn examine(&self, scenario: SourceFile, options: &Options) -> Outcome {
        examine(
            &Sources {
                scenario,
                library: self,
            },
            options,
        )
    }
}

impl Library for Folder {
    fn target(&self, name: &str) -> Option<SourceFile> {
        self.read(&format!("targets/{name}.yaml"))
    }

    fn journey(&self, name: &str) -> Option<SourceFile> {
        self.read(&format!("journeys/{name}.yaml"))
    }

    fn data(&self, _: &SourceFile, path: &str) -> Option<SourceFile> {
        self.read(&format!("journeys/{path}"))
    }

    fn targets(&self) -> Vec<String> {
        self.names("targets")
    }

    fn journeys(&self) -> Vec<String> {
        self.names("journeys")
    }
}

/// A scenario text checked against `tests/cases`.
pub(crate) fn examine_text(text: &str, options: &Options) -> Outcome {
    let scenario = SourceFile {
        name: "scenario.yaml".to_owned(),
        folder: String::new(),
        text: text.to_owned(),
    };
    Folder::cases().examine(scenario, options)
}

/// The scenario most tests start from.
pub(crate) fn good() -> String {
    Folder::cases().read("good.yaml").expect("good.yaml").text
}

//! Where scenario, target and journey texts are found: by path, beside the scenario, or bundled.
//!
//! Invariant: a file is looked at by its size before it is read, so a huge one costs nothing.

use std::fs;
use std::path::{Path, PathBuf};

use chaos_plan::check::Library;
use chaos_plan::diagnostic::SourceFile;
use chaos_plan::file::MAX_BYTES;
use chaos_record::exit;

use crate::bundled::{self, Files};
use crate::output::Failure;

/// Files near one scenario, then the bundled ones.
pub(crate) struct Shelves {
    /// Folders searched, nearest first.
    folders: Vec<PathBuf>,
}

/// Finds a scenario by path, by name in `scenarios/`, or among the bundled ones.
pub(crate) fn scenario(name: &str) -> Result<(SourceFile, Shelves), Failure> {
    let path = Path::new(name);
    let candidates = [
        path.to_owned(),
        Path::new("scenarios").join(format!("{name}.yaml")),
    ];
    let found = candidates.iter().find(|path| path.is_file());
    if let Some(path) = found {
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        return Ok((
            read(path)?,
            Shelves {
                folders: vec![folder, PathBuf::from("scenarios")],
            },
        ));
    }
    if let Some(text) = bundled::find(bundled::SCENARIOS, name) {
        return Ok((
            bundled_file(name, text),
            Shelves {
                folders: Vec::new(),
            },
        ));
    }
    let names: Vec<&str> = bundled::SCENARIOS.iter().map(|(name, _)| *name).collect();
    let looks_like_path = name.contains('/') || path.extension().is_some();
    let help = if looks_like_path {
        String::new()
    } else {
        format!(
            "\nhelp: scenarios are {}; or give the path of a YAML file",
            names.join(", ")
        )
    };
    Err(Failure::new(
        exit::BAD_INPUT,
        format!("error: no scenario `{name}`: neither a file nor a known name{help}"),
    ))
}

impl Shelves {
    fn find(&self, kind: &str, name: &str, bundled: Files) -> Option<SourceFile> {
        let by_path = Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        for folder in &self.folders {
            let path = if by_path {
                folder.join(name)
            } else {
                folder.join(kind).join(format!("{name}.yaml"))
            };
            // A file that cannot be read is reported as not found: the diagnostic names what was looked for.
            if path.is_file()
                && let Ok(file) = read(&path)
            {
                return Some(file);
            }
        }
        bundled::find(bundled, name).map(|text| bundled_file(name, text))
    }

    fn names(&self, kind: &str, bundled: Files) -> Vec<String> {
        let mut names: Vec<String> = bundled.iter().map(|(name, _)| (*name).to_owned()).collect();
        for folder in &self.folders {
            names.extend(yaml_names(&folder.join(kind)));
        }
        names.sort();
        names.dedup();
        names
    }
}

impl Library for Shelves {
    fn target(&self, name: &str) -> Option<SourceFile> {
        self.find("targets", name, bundled::TARGETS)
    }

    fn journey(&self, name: &str) -> Option<SourceFile> {
        self.find("journeys", name, bundled::JOURNEYS)
    }

    fn data(&self, journey: &SourceFile, path: &str) -> Option<SourceFile> {
        let path = Path::new(&journey.folder).join(path);
        if path.is_file() {
            read(&path).ok()
        } else {
            None
        }
    }

    fn targets(&self) -> Vec<String> {
        self.names("targets", bundled::TARGETS)
    }

    fn journeys(&self) -> Vec<String> {
        self.names("journeys", bundled::JOURNEYS)
    }
}

/// Names of the YAML files in a folder; none if it cannot be read.
pub(crate) fn yaml_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let stems = entries.map(|entry| entry.path()).filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    stems
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect()
}

fn bundled_file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: format!("bundled:{name}"),
        folder: String::new(),
        text: text.to_owned(),
    }
}

/// Manifests that a target description names: beside it, or bundled with it.
pub(crate) fn manifests(folder: &str, name: &str) -> Result<String, Failure> {
    if folder.is_empty()
        && let Some(text) = bundled::find(bundled::MANIFESTS, name)
    {
        return Ok(text.to_owned());
    }
    text(&Path::new(folder).join(name), MAX_BYTES)
}

fn read(path: &Path) -> Result<SourceFile, Failure> {
    let text = text(path, MAX_BYTES)?;
    let name = path.display().to_string();
    let folder = path
        .parent()
        .and_then(|folder| folder_of(folder).canonicalize().ok())
        .unwrap_or_default();
    Ok(SourceFile {
        name,
        folder: folder.display().to_string(),
        text,
    })
}

/// The text of a file of at most `most` bytes.
pub(crate) fn text(path: &Path, most: usize) -> Result<String, Failure> {
    let name = path.display().to_string();
    let bad = |why: String| {
        Failure::new(
            exit::BAD_INPUT,
            format!("error: failed to read `{name}`: {why}"),
        )
    };
    let size = fs::metadata(path)
        .map_err(|error| bad(error.to_string()))?
        .len();
    if size > most as u64 {
        return Err(bad(format!("it has {size} bytes, and may have {most}")));
    }
    let bytes = fs::read(path).map_err(|error| bad(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        bad(format!(
            "it is not UTF-8 text (byte {})",
            error.utf8_error().valid_up_to()
        ))
    })
}

fn folder_of(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

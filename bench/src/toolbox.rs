//! Where the programs are.
//!
//! Invariant: what is missing is named with the way to get it; nothing is installed by us.

use std::path::{Path, PathBuf};

/// Folders in which programs are looked for, first one first.
#[derive(Debug, Default)]
pub(crate) struct Toolbox {
    /// Where this repository is.
    pub repository: PathBuf,
    folders: Vec<PathBuf>,
    /// The program that is measured.
    chaos: PathBuf,
    /// This program, for the parts of it that run on a core of their own.
    bench: PathBuf,
}

/// What belongs to this repository.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub repository: PathBuf,
    pub chaos: PathBuf,
    pub bench: PathBuf,
}

impl Toolbox {
    /// `first` before the folders of `PATH`, and those in which Debian keeps servers.
    pub(crate) fn new(first: &[PathBuf], ours: Ours) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = first.to_vec();
        folders.extend(std::env::split_paths(&path));
        folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        Self {
            folders,
            repository: ours.repository,
            chaos: ours.chaos,
            bench: ours.bench,
        }
    }

    /// The program of that name, if there is one.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        match program {
            "chaos" => Some(self.chaos.clone()),
            "bench" => Some(self.bench.clone()),
            _ => self
                .folders
                .iter()
                .map(|folder| folder.join(program))
                .find(|path| is_program(path)),
        }
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_found_and_the_first_folder_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("wrk"), "not a program").unwrap();
        std::os::unix::fs::symlink("/bin/sh", folder.path().join("sh")).unwrap();
        let ours = Ours {
            chaos: "/c".into(),
            ..Ours::default()
        };
        let toolbox = Toolbox::new(&[folder.path().to_owned()], ours);
        assert_ne!(toolbox.find("wrk"), Some(folder.path().join("wrk")));
        assert_eq!(toolbox.find("sh"), Some(folder.path().join("sh")));
        assert_eq!(toolbox.find("no-such-program"), None);
        assert_eq!(toolbox.find("chaos"), Some("/c".into()));
    }
}

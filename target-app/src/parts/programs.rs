//! Where the programs of a part are.
//!
//! Invariant: programs that belong together come from one folder, so that their versions agree.

use std::path::{Path, PathBuf};

use super::PartError;

/// Programs of one Debian package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Programs {
    /// All of them; one folder must have all.
    pub(super) names: &'static [&'static str],
    /// Folders beside those of `PATH`; `*` stands for any version, of which the newest is taken.
    pub(super) folders: &'static str,
    pub(super) package: &'static str,
}

/// The folder with all the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found(PathBuf);

impl Found {
    /// One of the programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Programs {
    /// The package's own folders come first: what is in `PATH` may be a script around the server that
    /// does not become it.
    pub(super) fn find(&self) -> Result<Found, PartError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path);
        self.find_in(versions(self.folders).into_iter().chain(in_path))
    }

    fn find_in(&self, mut folders: impl Iterator<Item = PathBuf>) -> Result<Found, PartError> {
        folders
            .find(|folder| self.names.iter().all(|name| folder.join(name).is_file()))
            .map(Found)
            .ok_or(PartError::Missing {
                program: self.names[0],
                places: self.folders,
                package: self.package,
            })
    }
}

/// The folders that a pattern with at most one `*` stands for, newest version first.
fn versions(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*/") else {
        return vec![PathBuf::from(pattern)];
    };
    let entries = std::fs::read_dir(Path::new(before)).into_iter().flatten();
    let mut numbers: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    let folder = |number: u32| Path::new(before).join(number.to_string()).join(after);
    numbers.into_iter().map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: Programs = Programs {
        names: &["server", "maker"],
        folders: "/nowhere",
        package: "the-server",
    };

    #[test]
    fn a_folder_counts_only_if_it_has_all_the_programs() {
        let root = tempfile::tempdir().expect("a folder of ours");
        let file = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("ours");
            std::fs::write(path, "").expect("ours");
        };
        file("a/server");
        file("b/server");
        file("b/maker");
        let folders = ["a", "b"].map(|name| root.path().join(name));
        let found = PROGRAMS.find_in(folders.clone().into_iter());
        assert_eq!(
            found.expect("b has both").program("maker"),
            folders[1].join("maker")
        );
        let missing = PROGRAMS
            .find_in(folders.into_iter().take(1))
            .expect_err("a lacks one");
        assert!(
            missing.to_string().contains("apt-get install the-server"),
            "{missing}"
        );
    }

    #[test]
    fn of_several_versions_the_newest_is_looked_at_first() {
        let root = tempfile::tempdir().expect("a folder of ours");
        for version in ["9", "15", "notes"] {
            std::fs::create_dir_all(root.path().join(version)).expect("ours");
        }
        let pattern = format!("{}/*/bin", root.path().display());
        let wanted = ["15/bin", "9/bin"].map(|folder| root.path().join(folder));
        assert_eq!(versions(&pattern), wanted);
    }
}

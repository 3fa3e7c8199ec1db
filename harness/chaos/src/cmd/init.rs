//! `chaos init`: a scenario, a target and a journey to begin with, which run as they are.
//!
//! Invariant: never overwrites; either every file is new or nothing is written.

use std::fs;
use std::path::{Path, PathBuf};

use chaos_record::exit;

use crate::cli::InitArgs;
use crate::output::{Failure, Output};

/// Where each file goes under the folder, and what stands in it; `NAME` is filled in.
const FILES: [(&str, &str); 3] = [
    ("", include_str!("init/scenario.yaml")),
    ("targets", include_str!("init/target.yaml")),
    ("journeys", include_str!("init/journey.yaml")),
];
/// As in a scenario's `name:`.
const NAME_MAX: usize = 63;

pub(super) fn init(args: &InitArgs, output: &Output) -> Result<u8, Failure> {
    if !is_name(&args.name) {
        return Err(Failure::new(
            exit::BAD_INPUT,
            format!(
                "error: `{}` is no name for a scenario: letters, digits, `-` and `_`, a letter first, at most {NAME_MAX}",
                args.name
            ),
        ));
    }
    let written = write(&args.folder, &args.name)?;
    for path in &written {
        output.tell(&format!("made {}", path.display()));
    }
    let scenario = written.first().map(|path| path.display().to_string());
    output.tell(&format!(
        "next: `chaos plan {0}`, then `chaos run {0}`; put your own programs into the target",
        scenario.unwrap_or_default()
    ));
    Ok(exit::HELD.code)
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(fits)
}

/// Writes every file; the scenario's path comes first.
fn write(root: &Path, name: &str) -> Result<Vec<PathBuf>, Failure> {
    let path_of = |folder: &str| root.join(folder).join(format!("{name}.yaml"));
    let paths: Vec<PathBuf> = FILES.iter().map(|(folder, _)| path_of(folder)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(Failure::new(
            exit::BAD_INPUT,
            format!(
                "error: `{}` is there already; nothing was written\nhelp: choose another name, or remove it first",
                there.display()
            ),
        ));
    }
    for (path, (_, text)) in paths.iter().zip(FILES) {
        let failed = |error| Failure::environment(format!("write `{}`: {error}", path.display()));
        fs::create_dir_all(path.parent().unwrap_or(root)).map_err(failed)?;
        fs::write(path, text.replace("NAME", name)).map_err(failed)?;
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_a_valid_scenario_and_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = write(folder.path(), "my-shop").expect("an empty folder");
        let examined = super::super::validate::examine_file(&made[0].display().to_string())
            .unwrap_or_else(|failure| panic!("{}", failure.text));
        let problems = examined.diagnostics.render(false);
        assert!(examined.plan.is_some(), "{problems}");
        assert_eq!(problems.trim(), "");
        assert!(write(folder.path(), "my-shop").is_err());
    }

    #[test]
    fn names_are_as_in_a_scenario() {
        for (name, good) in [
            ("shop", true),
            ("a-1_b", true),
            ("", false),
            ("../x", false),
            ("1a", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }
}

//! The part of the README that a sitting writes.
//!
//! Invariant: nothing outside the two markers is touched, and without both of them nothing is written.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const BEGIN: &str =
    "<!-- bench:begin (written by `cargo run --release -p bench -- all --write-readme`) -->";
const END: &str = "<!-- bench:end -->";

/// Replaces what stands between the markers, by way of a file beside it, so that half a README is never seen.
pub(crate) fn write(path: &Path, part: &str) -> Result<()> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{shown}`"))?;
    let new = replaced(&text, part).with_context(|| format!("failed to change `{shown}`"))?;
    let beside = path.with_extension("md.new");
    fs::write(&beside, new).with_context(|| format!("failed to write `{}`", beside.display()))?;
    fs::rename(&beside, path).with_context(|| format!("failed to replace `{shown}`"))
}

/// Whether [`write()`] will find its place, to be known before a sitting and not after it.
pub(crate) fn check(path: &Path) -> Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    replaced(&text, "").map(drop)
}

fn replaced(text: &str, part: &str) -> Result<String> {
    let missing = "a marker is missing: put it back, alone on its line";
    let (before, rest) = text
        .split_once(BEGIN)
        .with_context(|| format!("{missing}: {BEGIN}"))?;
    let (old, after) = rest
        .split_once(END)
        .with_context(|| format!("{missing}: {END}"))?;
    ensure!(
        !old.contains(BEGIN) && !after.contains(BEGIN),
        "a marker stands there twice: {BEGIN}"
    );
    Ok(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        part.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_markers_changes_and_twice_is_once() {
        let text = format!("# a\n{BEGIN}\nold\n{END}\n# b\n");
        let once = replaced(&text, "new\n").unwrap();
        assert_eq!(once, format!("# a\n{BEGIN}\n\nnew\n\n{END}\n# b\n"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
    }

    #[test]
    fn without_its_markers_a_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        for text in [
            "# a\n".to_owned(),
            format!("{BEGIN}\n"),
            format!("{END}\n{BEGIN}\n"),
        ] {
            fs::write(&path, &text).unwrap();
            assert!(check(&path).is_err());
            assert!(write(&path, "new").is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn the_readme_of_this_repository_has_its_place() {
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    }
}

//! The scenarios, targets and journeys that come with the program, so that it works in any folder.

/// Name and text of each bundled file of one kind.
pub(crate) type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../scenarios/", $folder, $name, ".yaml")))),+]
    };
}

pub(crate) const SCENARIOS: Files = files!(
    "": "autoscale", "bad-image", "breakpoint", "cache-lost", "charging-paused", "database-lost", "flash-crowd", "gradual-load", "queue-lost", "ramp",
    "rolling-restart", "rolling-update-under-load", "smoke", "soak", "spike-with-podkill", "ten-times-traffic"
);
pub(crate) const TARGETS: Files = files!("targets/": "store");
pub(crate) const JOURNEYS: Files =
    files!("journeys/": "browse", "cancel", "cart", "checkout", "leaf-through");

/// By the path from the folder of the target description that names it.
pub(crate) const MANIFESTS: Files = &[
    (
        "../../k8s/rendered/small.yaml",
        include_str!("../../../k8s/rendered/small.yaml"),
    ),
    (
        "../../k8s/rendered/full.yaml",
        include_str!("../../../k8s/rendered/full.yaml"),
    ),
];

/// The text of the file with this name.
pub(crate) fn find(files: Files, name: &str) -> Option<&'static str> {
    files
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn check(files: Files, folder: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../scenarios")
            .join(folder);
        let names = std::fs::read_dir(root)
            .expect("the folder is in the repository")
            .filter_map(|entry| {
                let path = entry.expect("readable").path();
                (path.extension()? == "yaml").then(|| {
                    path.file_stem()
                        .expect("a name")
                        .to_string_lossy()
                        .into_owned()
                })
            });
        let bundled: BTreeSet<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(bundled, names.collect(), "{folder}");
    }

    #[test]
    fn every_file_is_bundled() {
        check(SCENARIOS, "");
        check(TARGETS, "targets");
        check(JOURNEYS, "journeys");
    }

    #[test]
    fn manifests_that_a_bundled_target_names_are_bundled() {
        let mut seen = 0;
        for (target, text) in TARGETS {
            for rest in text.split("manifests: ").skip(1) {
                let path = rest.split_whitespace().next().expect("a path");
                assert!(find(MANIFESTS, path).is_some(), "{path} of {target}");
                seen += 1;
            }
        }
        assert_eq!(seen, MANIFESTS.len());
    }
}

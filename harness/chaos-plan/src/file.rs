//! From text to typed values that know their places.
//!
//! A text becomes a tree (`yaml`), `--set` changes the tree (`set`), one walk checks it
//! against the JSON Schema of its Rust type (`walk`) and marks what is bad, and the rest is
//! read into that type (`read`). So the Rust types are the only description of the format.
//!
//! Invariant: nothing outside this room sees the YAML crate. Text that is too large, too deep or
//! grows by aliases is refused in bounded time and memory.

pub(crate) mod amount;
pub(crate) mod claim;
pub(crate) mod cluster;
pub(crate) mod cluster_fault;
pub(crate) mod format;
pub(crate) mod journey;
mod json;
pub(crate) mod located;
mod node;
pub(crate) mod range;
mod read;
pub(crate) mod scenario;
mod set;
pub(crate) mod target;
pub(crate) mod value;
mod walk;
mod yaml;

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::diagnostic::{Diagnostics, SourceFile, codes};
use located::Located;
use node::Node;

/// Longest text read, in bytes. Whoever reads a file need not read more than one byte beyond it.
pub const MAX_BYTES: usize = 1 << 20;

/// A kind of file.
pub(crate) trait Form: DeserializeOwned + JsonSchema {
    /// Its JSON Schema, made once.
    fn schema() -> &'static Json;
}

macro_rules! form {
    ($kind:ty) => {
        impl Form for $kind {
            fn schema() -> &'static Json {
                static SCHEMA: LazyLock<Json> =
                    LazyLock::new(|| schemars::schema_for!($kind).to_value());
                &SCHEMA
            }
        }
    };
}

form!(scenario::Scenario);
form!(target::Target);
form!(journey::Journey);

/// Reads a text as `T`; the index is that of the file in `problems`.
pub(crate) fn read<T: Form>(file: &SourceFile, problems: &mut Diagnostics) -> (usize, Option<T>) {
    let (index, tree) = parse(file, problems);
    (index, tree.and_then(|tree| typed(tree, problems)))
}

/// Reads a text as `T` after `--set key=value` has changed it.
pub(crate) fn read_with<T: Form>(
    file: &SourceFile,
    overrides: &[(String, String)],
    problems: &mut Diagnostics,
) -> (usize, Option<T>) {
    let (index, mut tree) = parse(file, problems);
    if let Some(tree) = &mut tree {
        for (key, value) in overrides {
            set::apply(tree, key, value, problems);
        }
    }
    (index, tree.and_then(|tree| typed(tree, problems)))
}

fn parse(file: &SourceFile, problems: &mut Diagnostics) -> (usize, Option<Node>) {
    if file.text.len() > MAX_BYTES {
        // The text is not kept: it may be huge.
        let index = problems.add_file(SourceFile {
            text: String::new(),
            ..file.clone()
        });
        let name = &file.name;
        problems.add(
            codes::TOO_LARGE
                .nowhere(format!("`{name}` is larger than 1 MiB"))
                .help("split long data lists, or generate less"),
        );
        return (index, None);
    }
    let index = problems.add_file(file.clone());
    (
        index,
        yaml::parse(
            &file.text,
            yaml::Origin {
                file: index,
                offset: 0,
            },
            problems,
        ),
    )
}

fn typed<T: Form>(mut tree: Node, problems: &mut Diagnostics) -> Option<T> {
    walk::walk(&mut tree, T::schema(), problems);
    Located::<T>::deserialize(read::NodeReader::new(&tree))
        .ok()
        .and_then(Located::into_value)
}

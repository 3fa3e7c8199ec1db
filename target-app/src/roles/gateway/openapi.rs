//! `GET /openapi.json`: what can be asked of the shop, for programs.
//!
//! Invariant: the document names exactly the passages and the routes every role has; the tests of the
//! running shop hold its answers against it.

use ::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

/// The path of the document.
pub(super) const PATH: &str = "/openapi.json";
/// The document itself, as version 3.1 of the specification has it.
const DOCUMENT: &str = include_str!("../../../openapi.json");

/// The handler.
pub(super) async fn show() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::passages::{Access, PASSAGES};
    use super::*;

    /// Served beside the passages: by every role, and this document.
    const OTHERS: [&str; 4] = ["/health", "/metrics", PATH, "/ready"];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// Every operation with its method and path.
    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| {
                (method.to_uppercase(), path.clone(), operation.clone())
            })
        });
        operations.collect()
    }

    #[test]
    fn the_document_names_exactly_what_is_served() {
        let document = document();
        let written: BTreeSet<(String, String)> = operations(&document)
            .into_iter()
            .map(|(method, path, _)| (method, path))
            .collect();
        let others = OTHERS.map(|path| ("GET".to_owned(), path.to_owned()));
        let served: BTreeSet<(String, String)> = PASSAGES
            .iter()
            .map(|passage| (passage.method.to_string(), passage.path.to_owned()))
            .chain(others)
            .collect();
        assert_eq!(written, served);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_operation_names_its_parameters_and_whether_it_needs_a_token() {
        let document = document();
        let mut names = BTreeSet::new();
        for (method, path, operation) in operations(&document) {
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
            assert!(operation["summary"].is_string(), "{path}");
            let no_parameters = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&no_parameters);
            let in_path = parameters.iter().filter_map(|parameter| {
                let pointer = parameter["$ref"].as_str().unwrap().trim_start_matches('#');
                let parameter = document
                    .pointer(pointer)
                    .expect("a parameter that is there");
                (parameter["in"] == "path").then(|| parameter["name"].as_str().unwrap().to_owned())
            });
            let in_pattern = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let in_path: Vec<String> = in_path.collect();
            assert_eq!(in_path, in_pattern.collect::<Vec<_>>(), "{path}");
            let passage = PASSAGES
                .iter()
                .find(|passage| passage.path == path && passage.method.as_str() == method);
            let needs_token = passage.is_some_and(|passage| passage.access != Access::Everyone);
            for status in ["401", "429"] {
                let told = operation["responses"].get(status).is_some();
                assert!(told || !needs_token, "{path} does not tell of {status}");
            }
            assert_eq!(operation.get("security").is_some(), needs_token, "{path}");
        }
    }
}

//! One letter wrong in any key of any file: the key that was meant is suggested.

use std::collections::{BTreeMap, BTreeSet};

use chaos_plan::check::{Options, SourceFile, check_journey, check_target};
use chaos_plan::diagnostic::Diagnostics;
use chaos_plan::plan::PlatformName;
use chaos_plan::schema::{journey_schema, scenario_schema, target_schema};
use serde_json::Value;

use crate::folder::Folder;

/// Files that use every key there is, between them.
const FILES: [&str; 15] = [
    "breakpoint.yaml",
    "cluster-faults.yaml",
    "every-key.yaml",
    "market-day.yaml",
    "address-good.yaml",
    "parts.yaml",
    "scale-out.yaml",
    "settings.yaml",
    "targets/market.yaml",
    "targets/shop.yaml",
    "targets/web.yaml",
    "targets/applied.yaml",
    "journeys/purchase.yaml",
    "journeys/browse.yaml",
    "journeys/checkout.yaml",
];

/// Keys of one mapping.
type Siblings = BTreeSet<String>;

/// Every mapping with fixed keys in a schema, choices of one key among them.
fn mappings(schema: &Value, found: &mut Vec<Siblings>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.push(properties.keys().cloned().collect());
    }
    if let Some(branches) = schema["oneOf"].as_array() {
        let tags = branches
            .iter()
            .filter_map(|branch| branch["properties"].as_object()?.keys().next().cloned());
        found.push(tags.collect());
    }
    match schema {
        Value::Object(entries) => entries.values().for_each(|value| mappings(value, found)),
        Value::Array(items) => items.iter().for_each(|item| mappings(item, found)),
        _ => {}
    }
}

fn schema_of(path: &str) -> Vec<Siblings> {
    let text = if path.starts_with("targets/") {
        target_schema()
    } else if path.starts_with("journeys/") {
        journey_schema()
    } else {
        scenario_schema()
    };
    let mut found = Vec::new();
    mappings(&serde_json::from_str(&text).expect("JSON"), &mut found);
    found
}

/// Every word of one letter less, more or other than a key, and with two neighbours swapped.
fn typos(key: &str) -> BTreeSet<String> {
    let letters: Vec<char> = key.chars().collect();
    let others = ['e', 'x'];
    let mut words = BTreeSet::new();
    for at in 0..=letters.len() {
        for other in others {
            let mut longer = letters.clone();
            longer.insert(at, other);
            words.insert(longer.into_iter().collect());
            let mut changed = letters.clone();
            if let Some(letter) = changed.get_mut(at) {
                *letter = other;
                words.insert(changed.into_iter().collect());
            }
        }
        if at < letters.len() {
            let mut shorter = letters.clone();
            shorter.remove(at);
            words.insert(shorter.into_iter().collect());
        }
        if at + 1 < letters.len() {
            let mut swapped = letters.clone();
            swapped.swap(at, at + 1);
            words.insert(swapped.into_iter().collect());
        }
    }
    words.remove(key);
    words.remove("");
    words
}

/// Places of `key:` in a text, not in comments or quotes.
fn places(text: &str, key: &str) -> Vec<usize> {
    let needle = format!("{key}:");
    let is_start = |at: usize| text[..at].ends_with([' ', '\n', '{']) || at == 0;
    let is_code = |at: usize| {
        !text[..at]
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .contains('#')
    };
    text.match_indices(&needle)
        .map(|(at, _)| at)
        .filter(|at| is_start(*at) && is_code(*at) && !text[..*at].ends_with('"'))
        .collect()
}

fn examine(folder: &Folder, path: &str, text: String) -> Diagnostics {
    let file = SourceFile {
        text,
        ..folder.read(path).expect("a file")
    };
    match path.split('/').next() {
        Some("targets") => check_target(&file, PlatformName::Local),
        Some("journeys") => check_journey(&file, folder),
        _ => folder.examine(file, &Options::default()).diagnostics,
    }
}

#[test]
fn one_letter_wrong_is_nearly_always_understood() {
    let folder = Folder::cases();
    let (mut right, mut all) = (0_u32, 0_u32);
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut tried = BTreeSet::new();
    for path in FILES {
        let text = folder.read(path).expect("a file").text;
        let keys: BTreeSet<String> = schema_of(path).into_iter().flatten().collect();
        for key in &keys {
            // Its first place is enough: the suggestion depends on the mapping's keys alone.
            let kind = path.split('/').next().filter(|kind| !kind.contains('.'));
            let Some(at) = places(&text, key).first().copied() else {
                continue;
            };
            if !tried.insert((kind, key.clone())) {
                continue;
            }
            for typo in typos(key).into_iter().filter(|typo| !keys.contains(typo)) {
                let mut broken = text.clone();
                broken.replace_range(at..at + key.len(), &format!("\"{typo}\""));
                let said = examine(&folder, path, broken);
                let message = format!("unknown key `{typo}`");
                let found = said
                    .problems
                    .iter()
                    .find(|problem| problem.message == message);
                let help = found
                    .and_then(|problem| problem.help.clone())
                    .unwrap_or_default();
                all += 1;
                if help == format!("did you mean `{key}`?") {
                    right += 1;
                } else {
                    wrong.entry(key.clone()).or_default().push(typo);
                }
            }
        }
    }
    let share = f64::from(right) / f64::from(all);
    println!(
        "{right} of {all} typos are understood ({:.2} %); not: {wrong:?}",
        share * 100.0
    );
    assert!(all > 3_000, "{all} typos");
    assert!(share >= 0.95, "{share}: {wrong:?}");
}

#[test]
fn the_files_use_every_key() {
    let folder = Folder::cases();
    let mut missing = BTreeSet::new();
    for (start, schema) in [
        ("targets/", "targets/"),
        ("journeys/", "journeys/"),
        ("", "scenario"),
    ] {
        let texts: Vec<String> = FILES
            .iter()
            .filter(|path| {
                if start.is_empty() {
                    !path.contains('/')
                } else {
                    path.starts_with(start)
                }
            })
            .map(|path| folder.read(path).expect("a file").text)
            .collect();
        for key in schema_of(schema).into_iter().flatten() {
            if texts.iter().all(|text| places(text, &key).is_empty()) {
                missing.insert(format!("{start}{key}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

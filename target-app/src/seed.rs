//! `store seed`: fills the catalog with as many products as are wanted.
//!
//! Invariant: what the words ask for is known to be possible before a database is opened.

use std::path::PathBuf;

use crate::config::{Config, Duties};
use crate::role::Role;
use crate::roles::{PRODUCTS_MAX, plant};
use crate::telemetry;

/// How the words are put.
const USAGE: &str = "seed --products NUMBER [--seed NUMBER] [--data FOLDER]; without --data the settings \
                     DATABASE_URL or DATA_DIR say where the catalog is";

/// Why nothing, or not all, was seeded. The text completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The words after `seed` make no sense, or the settings do not.
    #[error("understand {0}")]
    Asked(String),
    /// The catalog cannot be had.
    #[error("seed the catalog: {0}")]
    Catalog(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Wish {
    products: u32,
    seed: u64,
    data: Option<PathBuf>,
}

impl Wish {
    fn read(words: impl IntoIterator<Item = String>) -> Result<Self, SeedError> {
        let (mut products, mut seed, mut data) = (None, 1, None);
        let mut words = words.into_iter();
        while let Some(name) = words.next() {
            let value = words.next();
            let value = value.ok_or_else(|| asked(&format!("`{name}`: its value is missing")))?;
            match name.as_str() {
                "--products" => products = Some(number(&name, &value, 1..=PRODUCTS_MAX.into())?),
                "--seed" => seed = number(&name, &value, 0..=u64::MAX)?,
                "--data" => data = Some(folder(&value)?),
                _ => return Err(asked(&format!("`{name}`"))),
            }
        }
        let products = products.ok_or_else(|| asked("how many: `--products` is missing"))?;
        let products = u32::try_from(products).map_err(|_| asked("`--products`"))?;
        Ok(Self {
            products,
            seed,
            data,
        })
    }

    // The settings of the catalog's role, with the folder that was named.
    fn config(&self) -> Result<Config, SeedError> {
        let data = self.data.as_ref().map(|data| data.display().to_string());
        let lookup = |name: &str| match (name, &data) {
            ("PORT", _) => Some("0".to_owned()),
            ("DATA_DIR", Some(data)) => Some(data.clone()),
            ("DATABASE_URL" | "DATABASE_URL_FILE", Some(_)) => None,
            _ => std::env::var(name).ok(),
        };
        Config::read(Role::Catalog, &lookup).map_err(|error| SeedError::Asked(error.to_string()))
    }
}

fn asked(what: &str) -> SeedError {
    SeedError::Asked(format!("{what}\nusage: {USAGE}"))
}

fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, SeedError> {
    let read = value.parse().ok().filter(|number| range.contains(number));
    read.ok_or_else(|| {
        let (first, last) = (range.start(), range.end());
        asked(&format!(
            "`{name} {value}`: a whole number from {first} to {last} is wanted"
        ))
    })
}

fn folder(value: &str) -> Result<PathBuf, SeedError> {
    std::path::absolute(value).map_err(|error| asked(&format!("`--data {value}`: {error}")))
}

/// Adds what is missing of the products that the words ask for; says how many were added.
///
/// # Errors
///
/// [`SeedError::Asked`] before anything is touched; [`SeedError::Catalog`] when the catalog cannot be
/// opened or written. What was added before stays, and another run adds the rest.
pub fn seed_blocking(words: impl IntoIterator<Item = String>) -> Result<usize, SeedError> {
    let wish = Wish::read(words)?;
    let config = wish.config()?;
    telemetry::start();
    let failed = |error: anyhow::Error| SeedError::Catalog(format!("{error:#}"));
    let Duties::Catalog { storage, .. } = config.duties else {
        return Err(SeedError::Catalog(
            "the settings are not the catalog's".to_owned(),
        ));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.into()))?;
    runtime
        .block_on(plant(&storage, wish.products, wish.seed))
        .map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, wanted: Result<Wish, &str>) {
        let read = Wish::read(words.split_whitespace().map(str::to_owned));
        match (read, wanted) {
            (Ok(wish), Ok(wanted)) => assert_eq!(wish, wanted),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (read, wanted) => panic!("{words}: {read:?} and not {wanted:?}"),
        }
    }

    #[test]
    fn words_are_understood_or_told_what_is_wrong_with_them() {
        let wish = |products, seed, data: Option<&str>| {
            let data = data.map(PathBuf::from);
            Ok(Wish {
                products,
                seed,
                data,
            })
        };
        check("--products 100000", wish(100_000, 1, None));
        check(
            "--data /tmp/x --seed 7 --products 5",
            wish(5, 7, Some("/tmp/x")),
        );
        check("", Err("`--products` is missing"));
        check("--products", Err("`--products`: its value is missing"));
        check("--products 0", Err("from 1 to 552960"));
        check("--products many", Err("a whole number"));
        check("--colour red", Err("`--colour`\nusage:"));
    }
}

//! The words after `store part`.
//!
//! Invariant: a word that is not understood is named, and nothing is begun.

use std::path::PathBuf;

use super::PartError;

/// The names of all parts, in the order of [`Part`].
pub(super) const NAMES: [&str; 3] = ["postgres", "redis", "rabbitmq"];

/// A server that the store can use in place of what is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Postgres,
    Redis,
    Rabbitmq,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) part: Part,
    /// Port to listen on.
    pub(super) port: u16,
    /// Folder for all it writes; made if it does not exist.
    pub(super) data: PathBuf,
}

impl Asked {
    /// Reads `NAME --port N --data DIR`, in any order of the two.
    pub(super) fn read(words: impl IntoIterator<Item = String>) -> Result<Self, PartError> {
        let mut words = words.into_iter();
        let part = part(words.next())?;
        let (mut port, mut data) = (None, None);
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| wrong(format!("`{word}` has no value")))
            };
            match word.as_str() {
                "--port" => port = Some(number(&value()?)?),
                "--data" => data = Some(PathBuf::from(value()?)),
                _ => return Err(wrong(format!("`{word}` is not understood"))),
            }
        }
        Ok(Self {
            part,
            port: port.ok_or_else(|| wrong("--port is missing".to_owned()))?,
            data: data.ok_or_else(|| wrong("--data is missing".to_owned()))?,
        })
    }
}

fn part(name: Option<String>) -> Result<Part, PartError> {
    let all = [Part::Postgres, Part::Redis, Part::Rabbitmq];
    let name = name.unwrap_or_default();
    let found = NAMES.iter().position(|known| *known == name);
    found.map(|place| all[place]).ok_or_else(|| {
        wrong(format!(
            "no part is called `{name}`; the parts are {}",
            NAMES.join(", ")
        ))
    })
}

fn number(text: &str) -> Result<u16, PartError> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| wrong(format!("--port must be 1 to 65535, not `{text}`")))
}

fn wrong(why: String) -> PartError {
    PartError::Words { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_its_part() {
        for (name, wanted) in NAMES
            .into_iter()
            .zip([Part::Postgres, Part::Redis, Part::Rabbitmq])
        {
            let words = [name, "--data", "/d", "--port", "7"].map(str::to_owned);
            let wanted = Asked {
                part: wanted,
                port: 7,
                data: PathBuf::from("/d"),
            };
            assert_eq!(Asked::read(words).expect("these words are good"), wanted);
        }
    }
}

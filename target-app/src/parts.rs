//! `store part NAME`: becomes one of the servers that the store's real parts are.
//!
//! A data folder is prepared where it is new, then this process is replaced by the server, so that its
//! number, its signals and its exit code are the server's own. What a server must have beside it dies
//! with it, in its process group and with its environment.
//!
//! Invariant: servers listen on 127.0.0.1 only, write nothing outside their data folder and log to
//! standard error. No two run on one folder. The password is in no argument and in no environment.

mod account;
mod asked;
mod place;
mod postgres;
mod programs;
mod rabbitmq;
mod redis;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use account::Account;
use asked::{Asked, Part};
use place::Place;

/// Exit code of wrong words: as for every program of this repository.
const USAGE: u8 = 2;
/// Exit code where the machine is not as it must be.
const ENVIRONMENT: u8 = 5;

/// Why this process did not become the server; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error("read the words after `part`: {why}; usage: store part NAME --port N --data DIR")]
    Words { why: String },
    #[error("read {setting}: {why}")]
    Setting {
        setting: &'static str,
        why: &'static str,
    },
    #[error(
        "find `{program}` in PATH or {places}: install Debian's package `{package}` (apt-get install {package})"
    )]
    Missing {
        program: &'static str,
        places: &'static str,
        package: &'static str,
    },
    #[error("{act}: {source}")]
    Io { act: String, source: std::io::Error },
    #[error("{act}: it ended with {status}; its last words are above")]
    Helper {
        act: &'static str,
        status: std::process::ExitStatus,
    },
    #[error("take the folder `{}`: another server still runs on it", folder.display())]
    Taken { folder: PathBuf },
    #[error("get `epmd` to listen within {within:?}: {why}")]
    Deaf {
        within: std::time::Duration,
        why: std::io::Error,
    },
}

impl PartError {
    /// 2 for wrong words, 5 for a machine that is not as it must be.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Words { .. } | Self::Setting { .. } => USAGE,
            _ => ENVIRONMENT,
        }
    }

    fn io(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let act = act.into();
        move |source| Self::Io { act, source }
    }
}

/// Becomes the server that `words` ask for (`NAME --port N --data DIR`); returns only on failure. To be
/// called on the main thread: a helper's life is tied to the thread that started it.
pub fn become_part(words: impl IntoIterator<Item = String>) -> PartError {
    match Asked::read(words).and_then(|asked| command(&asked)) {
        Ok(mut command) => {
            let error = command.exec();
            PartError::io(format!("run `{}`", command.get_program().display()))(error)
        }
        Err(error) => error,
    }
}

/// Every part with the folder of its programs, or why there is none.
pub fn installed_parts() -> impl Iterator<Item = (&'static str, Result<PathBuf, PartError>)> {
    let programs = [postgres::PROGRAMS, redis::PROGRAMS, rabbitmq::PROGRAMS];
    let found = programs.map(|programs| programs.find().map(|found| found.program("")));
    asked::NAMES.into_iter().zip(found)
}

fn command(asked: &Asked) -> Result<Command, PartError> {
    let account = Account::from_environment()?;
    let programs = match asked.part {
        Part::Postgres => postgres::PROGRAMS,
        Part::Redis => redis::PROGRAMS,
        Part::Rabbitmq => rabbitmq::PROGRAMS,
    };
    let found = programs.find()?;
    let place = Place::take(asked.port, &asked.data)?;
    let mut command = match asked.part {
        Part::Postgres => postgres::prepare(&found, &place, &account),
        Part::Redis => redis::prepare(&found, &place),
        Part::Rabbitmq => rabbitmq::prepare(&found, &place, &account),
    }?;
    account::hide(&mut command);
    place.leave_open()?;
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], code: u8, named: &str) {
        let error = become_part(words.iter().map(|word| (*word).to_owned()));
        let text = error.to_string();
        assert_eq!(error.exit_code(), code, "{text}");
        assert!(text.contains(named), "`{text}` does not name `{named}`");
    }

    #[test]
    fn wrong_words_are_named_and_start_nothing() {
        check(&["mysql", "--port", "1", "--data", "/tmp"], USAGE, "mysql");
        check(&["redis", "--port", "0", "--data", "/tmp"], USAGE, "--port");
        check(&["redis", "--port", "1"], USAGE, "--data");
        check(&["redis", "--port", "1", "--fast"], USAGE, "`--fast`");
        check(&["redis", "--data", "/tmp", "--port"], USAGE, "--port");
        check(&[], USAGE, "rabbitmq");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let words = ["redis", "--port", "1", "--data", "/dev/null/part"];
        if redis::PROGRAMS.find().is_ok() {
            check(&words, ENVIRONMENT, "/dev/null/part");
        }
    }
}

//! The account that the store uses at a part.
//!
//! Invariant: the password is never printed, and no server gets it by its environment.

use std::process::Command;

use super::PartError;
use crate::config::Secret;

const USER: &str = "PART_USER";
const PASSWORD: &str = "PART_PASSWORD";
/// Both, unless they are set.
const DEFAULT: &str = "shop";
/// Longest name or password, characters: well under the limits of all servers.
const LONGEST: usize = 63;

/// A name and its password.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl Account {
    /// Reads `PART_USER` and `PART_PASSWORD`; `shop` where they are not set.
    pub(super) fn from_environment() -> Result<Self, PartError> {
        Self::read(&|name| std::env::var(name).ok())
    }

    fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, PartError> {
        let set = |name| lookup(name).unwrap_or_else(|| DEFAULT.to_owned());
        let (user, password) = (set(USER), set(PASSWORD));
        if !is_name(&user) {
            return Err(PartError::Setting {
                setting: USER,
                why: "it must be a small letter, then up to 62 small letters, digits and `_`",
            });
        }
        if !is_password(&password) {
            return Err(PartError::Setting {
                setting: PASSWORD,
                why: "it must be 1 to 63 letters, digits and `-_.~+=`: those mean themselves in every server's files and in an address",
            });
        }
        Ok(Self {
            user,
            password: Secret::new(password),
        })
    }
}

/// Takes the account out of what a server is told.
pub(super) fn hide(command: &mut Command) {
    command.env_remove(USER).env_remove(PASSWORD);
}

fn is_name(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_password(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.~+=".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user: &str, password: &str, wrong: Option<&str>) {
        let lookup = |name: &str| Some(if name == USER { user } else { password }.to_owned());
        let named = Account::read(&lookup).err().map(|error| error.to_string());
        assert_eq!(named.is_some(), wrong.is_some(), "{named:?}");
        if let (Some(text), Some(setting)) = (named, wrong) {
            assert!(text.contains(setting), "{text}");
            assert!(password.is_empty() || !text.contains(password), "{text}");
        }
    }

    #[test]
    fn what_could_change_a_file_or_an_address_is_refused_and_not_repeated() {
        check("shop", "s3cret-_.~+=", None);
        for user in ["", "Shop", "1shop", "a b", "a\"; drop"] {
            check(user, "pass", Some(USER));
        }
        for password in ["", "se cret", "se#cret", "se@cret", "se\ncret", "se'cret"] {
            check("shop", password, Some(PASSWORD));
        }
        check("shop", &"x".repeat(64), Some(PASSWORD));
    }

    #[test]
    fn nothing_set_is_shop() {
        let account = Account::read(&|_| None).expect("the default is good");
        assert_eq!(
            (account.user.as_str(), account.password.expose()),
            ("shop", &b"shop"[..])
        );
        assert!(!format!("{account:?}").contains("password: \"shop\""));
    }
}

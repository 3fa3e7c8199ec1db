//! Reads single settings and remembers what was wrong with them.
//!
//! Invariant: a reader that returns `None` has added exactly one problem.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ::http::uri::Authority;

use super::{Problem, Secret};
use crate::bug::Bug;
use crate::role::Role;
use crate::roles::Rate;
use crate::token::TokenSecrets;

/// The shortest secret that is not refused, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// The largest file of a secret, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// The longest delay that can be asked for, in milliseconds.
const DELAY_MS_MAX: u64 = 60_000;

/// A problem was added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told;

/// A source of settings and the problems found in it so far.
pub(super) struct Settings<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    /// The port to listen on.
    pub(super) fn port(&mut self) -> Option<u16> {
        let text = self.required("PORT", "a port number such as 8080, or 0 for any free port")?;
        self.number("PORT", &text, 0..=65_535)
            .and_then(|port| u16::try_from(port).ok())
    }

    /// The address of this machine to listen at; 127.0.0.1 unless set, so that nobody else gets in unasked.
    pub(super) fn listen_address(&mut self) -> Option<IpAddr> {
        const NAME: &str = "LISTEN_ADDRESS";
        let Some(text) = self.optional(NAME) else {
            return Some(Ipv4Addr::LOCALHOST.into());
        };
        text.parse().ok().or_else(|| {
            let wanted =
                "an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them";
            self.problem(NAME, format!("is `{text}`, but it must be {wanted}"))
        })
    }

    /// The name of this process in logs; the role's name unless set.
    pub(super) fn instance(&mut self, role: &str) -> String {
        self.optional("INSTANCE").unwrap_or_else(|| role.to_owned())
    }

    /// How long every answer is held back; none unless `DELAY_MS` is set above 0.
    pub(super) fn delay(&mut self) -> Option<Duration> {
        let text = self.optional("DELAY_MS")?;
        let delay_ms = self.number("DELAY_MS", &text, 0..=DELAY_MS_MAX)?;
        (delay_ms > 0).then(|| Duration::from_millis(delay_ms))
    }

    /// The bug planted in this process; none unless `BUG` names one of this role.
    pub(super) fn bug(&mut self, role: Role) -> Option<Bug> {
        let text = self.optional("BUG")?;
        match Bug::from_name(&text) {
            Some(bug) if bug.role() == role => Some(bug),
            Some(bug) => {
                let owner = bug.role().name();
                self.problem(
                    "BUG",
                    format!("is `{text}`, but that bug belongs to `{owner}`; set it there"),
                )
            }
            None => {
                let names = Bug::ALL.map(Bug::name).join(", ");
                self.problem("BUG", format!("is `{text}`, but the bugs are {names}"))
            }
        }
    }

    /// How long the bank takes to answer after money has moved.
    pub(super) fn bank_delay(&mut self, default_ms: u64) -> Option<Duration> {
        let Some(text) = self.optional("BANK_DELAY_MS") else {
            return Some(Duration::from_millis(default_ms));
        };
        self.number("BANK_DELAY_MS", &text, 0..=DELAY_MS_MAX)
            .map(Duration::from_millis)
    }

    /// The folder of the role's book.
    pub(super) fn data(&mut self) -> Option<PathBuf> {
        let text = self.required(
            "DATA_DIR",
            "an absolute path of a folder this process may write to",
        )?;
        let folder = PathBuf::from(&text);
        if folder.is_absolute() {
            return Some(folder);
        }
        self.problem(
            "DATA_DIR",
            format!("is `{text}`, but it must be an absolute path"),
        )
    }

    /// The secret that signs and verifies tokens.
    pub(super) fn secret(&mut self) -> Option<Secret> {
        let Some(text) = self.hidden(["JWT_SECRET", "JWT_SECRET_FILE"]).ok()? else {
            let wanted = "a text of at least 16 bytes, the same for gateway and users";
            return self.problem("JWT_SECRET", format!("is not set; set it to {wanted}"));
        };
        self.long_enough("JWT_SECRET", text)
    }

    /// The secrets that verify tokens: the present one, and the one before it while both are in use.
    pub(super) fn secrets(&mut self) -> Option<TokenSecrets> {
        let current = self.secret();
        let names = ["JWT_SECRET_PREVIOUS", "JWT_SECRET_PREVIOUS_FILE"];
        let previous = match self.hidden(names).ok() {
            Some(Some(text)) => self.long_enough(names[0], text).map(Some),
            none_or_bad => none_or_bad.map(|_| None),
        };
        Some(TokenSecrets {
            current: current?,
            previous: previous?,
        })
    }

    fn long_enough(&mut self, name: &'static str, text: String) -> Option<Secret> {
        let length = text.len();
        if length >= SECRET_BYTES_MIN {
            return Some(Secret(text));
        }
        self.problem(
            name,
            format!("has {length} bytes, but at least {SECRET_BYTES_MIN} are needed"),
        )
    }

    /// Where a callee answers, as this caller must reach it.
    pub(super) fn address(&mut self, name: &'static str) -> Option<Authority> {
        let text = self.required(name, "host:port of the callee, such as 127.0.0.1:8080")?;
        match Authority::from_str(&text) {
            Ok(authority) if authority.port_u16().is_some_and(|port| port > 0) => Some(authority),
            _ => self.problem(
                name,
                format!("is `{text}`, but it must be host:port, such as 127.0.0.1:8080"),
            ),
        }
    }

    /// Where several callees answer.
    pub(super) fn addresses<const N: usize>(
        &mut self,
        names: [&'static str; N],
    ) -> [Option<Authority>; N] {
        names.map(|name| self.address(name))
    }

    /// Where a callee answers that this role can do without: nothing if it is not set.
    #[expect(
        clippy::option_option,
        reason = "the outer one says whether the setting can be used"
    )]
    pub(super) fn optional_address(&mut self, name: &'static str) -> Option<Option<Authority>> {
        match self.optional(name) {
            None => Some(None),
            Some(_) => self.address(name).map(Some),
        }
    }

    /// How often one shopper may pass.
    pub(super) fn rate(&mut self, default: Rate) -> Option<Rate> {
        let per_second = self.count("RATE_LIMIT_PER_SECOND", default.per_second);
        let burst = self.count("RATE_LIMIT_BURST", default.burst);
        Some(Rate {
            per_second: per_second?,
            burst: burst?,
        })
    }

    // A number of requests, at least 1.
    fn count(&mut self, name: &'static str, default: u32) -> Option<u32> {
        let Some(text) = self.optional(name) else {
            return Some(default);
        };
        let number = self.number(name, &text, 1..=1_000_000)?;
        u32::try_from(number).ok()
    }

    /// The memory of one password hash in KiB; Argon2 itself needs at least 8.
    pub(super) fn password_memory(&mut self, default: u32) -> Option<u32> {
        let Some(text) = self.optional("PASSWORD_MEMORY_KIB") else {
            return Some(default);
        };
        let number = self.number("PASSWORD_MEMORY_KIB", &text, 8..=1_048_576)?;
        u32::try_from(number).ok()
    }

    /// A secret, given as `X` or as `X_FILE`, the path of a file that holds it; nothing means
    /// that neither is set, an error that a problem was added. White space around it is no part of it.
    pub(super) fn hidden(
        &mut self,
        [name, file]: [&'static str; 2],
    ) -> Result<Option<String>, Told> {
        match (self.optional(name), self.optional(file)) {
            (text, None) => Ok(text),
            (None, Some(path)) => match read_secret(&path) {
                Ok(text) => Ok(Some(text)),
                Err(reason) => Err(self.tell(file, format!("is `{path}`, but {reason}"))),
            },
            (Some(_), Some(_)) => {
                Err(self.tell(file, format!("is set beside {name}; set one of the two")))
            }
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        text: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (first, last) = (range.start(), range.end());
                self.problem(
                    name,
                    format!("is `{text}`, but it must be a whole number from {first} to {last}"),
                )
            }
        }
    }

    fn required(&mut self, name: &'static str, wanted: &str) -> Option<String> {
        self.optional(name)
            .or_else(|| self.problem(name, format!("is not set; set it to {wanted}")))
    }

    pub(super) fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    }

    pub(super) fn problem<T>(&mut self, setting: &'static str, text: String) -> Option<T> {
        self.tell(setting, text);
        None
    }

    pub(super) fn tell(&mut self, setting: &'static str, text: String) -> Told {
        self.problems.push(Problem { setting, text });
        Told
    }
}

fn read_secret(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("the file cannot be read: {error}")),
        Ok(_) if text.trim().is_empty() => Err("the file is empty".to_owned()),
        Ok(_) => Ok(text.trim().to_owned()),
    }
}

//! Where a role keeps its book: a file in a folder, or a database server.
//!
//! Invariant: the address of a server holds its password, so neither `Debug` nor a problem repeats it.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::settings::{Settings, Told};
use crate::role::Role;

/// Connections of one process unless `DATABASE_CONNECTIONS` says otherwise.
const CONNECTIONS: u64 = 8;
/// The most connections one process may ask for.
const CONNECTIONS_MAX: u64 = 100;

/// Where a role keeps its book.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// A folder this process may write to: of the database file, or of scratch files beside a server.
    pub(crate) folder: PathBuf,
    /// The server that takes the place of the file.
    pub(crate) server: Option<Server>,
}

/// A database server and how to use it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: ServerUrl,
    /// The most connections of this process, at least 1.
    pub(crate) connections: u32,
    /// What this process is called in the server's own views.
    pub(crate) application: String,
}

/// The address of a part, with the password in it.
#[derive(Clone)]
pub(crate) struct ServerUrl(Url);

impl ServerUrl {
    /// The whole address, for the one place that connects.
    pub(crate) fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

impl Settings<'_> {
    /// The server of `DATABASE_URL`, or else the folder of `DATA_DIR`.
    pub(super) fn storage(&mut self, role: Role) -> Option<Storage> {
        let url = self.database_url();
        let connections = self.connections();
        let folder = match url {
            // Beside a server the folder holds scratch files only.
            Ok(Some(_)) if self.optional("DATA_DIR").is_none() => Some(std::env::temp_dir()),
            Ok(_) => self.data(),
            Err(Told) => None,
        };
        let application = self.instance(role.name());
        let (url, connections, folder) = (url.ok()?, connections?, folder?);
        let server = url.map(|url| Server {
            url,
            connections,
            application,
        });
        Some(Storage { folder, server })
    }

    fn database_url(&mut self) -> Result<Option<ServerUrl>, Told> {
        let names = ["DATABASE_URL", "DATABASE_URL_FILE"];
        let Some(text) = self.hidden(names)? else {
            return Ok(None);
        };
        match Url::parse(&text) {
            Ok(url) if is_database(&url) => Ok(Some(ServerUrl(url))),
            _ => Err(self.tell(
                names[0],
                "must be postgres://user:password@host:port/database, without parameters; \
                 other signs than letters and digits in the password are written as %XX"
                    .to_owned(),
            )),
        }
    }

    fn connections(&mut self) -> Option<u32> {
        const NAME: &str = "DATABASE_CONNECTIONS";
        let text = self.optional(NAME);
        let number = match text {
            None => Some(CONNECTIONS),
            Some(text) => self.number(NAME, &text, 1..=CONNECTIONS_MAX),
        };
        number.and_then(|number| u32::try_from(number).ok())
    }
}

// The client library would fill in what is missing from other settings of the environment, and log
// parameters it does not know.
fn is_database(url: &Url) -> bool {
    matches!(url.scheme(), "postgres" | "postgresql")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && !url.username().is_empty()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path_segments().is_some_and(|mut names| {
            names.next().is_some_and(|name| !name.is_empty()) && names.next().is_none()
        })
}

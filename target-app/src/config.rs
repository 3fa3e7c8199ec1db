//! What a role needs to know, read from the environment.
//!
//! Invariant: every missing or invalid setting is found before anything starts, and all are reported at
//! once, one line each, naming the setting. Secrets are never printed.

mod collector;
mod parts;
mod settings;
mod storage;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ::http::uri::Authority;
use url::Url;

use crate::bug::Bug;
use crate::role::Role;
use crate::roles::Rate;
use crate::token::TokenSecrets;
pub(crate) use parts::PartUrl;
use settings::Settings;
pub(crate) use storage::{Server, Storage};

/// Argon2 memory used for a password unless `PASSWORD_MEMORY_KIB` says otherwise: the OWASP minimum for
/// two passes and one lane, in KiB.
const PASSWORD_MEMORY_KIB: u32 = 19_456;
/// How long the bank takes unless `BANK_DELAY_MS` says otherwise, in milliseconds.
const BANK_DELAY_MS: u64 = 5;
/// What one shopper may ask for unless `RATE_LIMIT_PER_SECOND` and `RATE_LIMIT_BURST` say otherwise: far
/// more than anybody clicks.
const RATE: Rate = Rate {
    per_second: 100,
    burst: 200,
};

/// All that one process of the store is told.
#[derive(Debug)]
pub struct Config {
    pub(crate) role: Role,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) instance: String,
    pub(crate) delay: Option<Duration>,
    pub(crate) bug: Option<Bug>,
    /// Where traces are posted to.
    pub(crate) collector: Option<Url>,
    pub(crate) duties: Duties,
}

/// What only some roles need.
#[derive(Debug)]
pub(crate) enum Duties {
    Gateway {
        users: Authority,
        catalog: Authority,
        orders: Authority,
        secrets: TokenSecrets,
        frontend: Option<Authority>,
        rate: Rate,
        redis: Option<PartUrl>,
    },
    Frontend {
        users: Authority,
        catalog: Authority,
        orders: Authority,
    },
    Users {
        storage: Storage,
        secret: Secret,
        password_memory_kib: u32,
    },
    Catalog {
        storage: Storage,
        redis: Option<PartUrl>,
    },
    Orders {
        storage: Storage,
        queue: Option<PartUrl>,
        catalog: Authority,
        payments: Authority,
        notifications: Authority,
    },
    Payments {
        storage: Storage,
        bank: Authority,
    },
    Notifications {
        storage: Storage,
        queue: Option<PartUrl>,
    },
    Bank {
        data: PathBuf,
        delay: Duration,
    },
}

/// A text that must not reach a log.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that signs or verifies.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    #[cfg(test)]
    pub(crate) fn for_test(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

/// One setting that is missing or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub setting: &'static str,
    /// What is wrong with it and what would be right.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.setting, self.text)
    }
}

/// The environment does not describe a role that can start.
#[derive(Debug, thiserror::Error)]
#[error("{} of the settings of `{role}` cannot be used:{}", problems.len(), Lines(problems))]
pub struct ConfigError {
    /// The name of the role.
    pub role: &'static str,
    /// Every problem found, in the order of reading.
    pub problems: Vec<Problem>,
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl Config {
    /// Reads the process environment.
    pub fn from_environment(role: Role) -> Result<Self, ConfigError> {
        Self::read(role, &|name| std::env::var(name).ok())
    }

    /// Reads from any source of settings; `lookup` answers `None` for what is not set.
    pub fn read(role: Role, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(lookup);
        let port = settings.port();
        let address = settings.listen_address();
        let instance = settings.instance(role.name());
        let delay = settings.delay();
        let bug = settings.bug(role);
        let collector = collector::collector(&mut settings);
        let duties = duties(role, &mut settings);
        let place = address.zip(port);
        let config = place.zip(duties).map(|((address, port), duties)| Self {
            role,
            address,
            port,
            instance,
            delay,
            bug,
            collector,
            duties,
        });
        match config {
            Some(config) if settings.problems.is_empty() => Ok(config),
            _ => Err(ConfigError {
                role: role.name(),
                problems: settings.problems,
            }),
        }
    }

    /// Where to listen; port 0 lets the system choose.
    pub fn place(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// Whom the gateway and the page ask.
const BEHIND_THE_DOOR: [&str; 3] = ["USERS_ADDRESS", "CATALOG_ADDRESS", "ORDERS_ADDRESS"];

fn gateway(settings: &mut Settings<'_>) -> Option<Duties> {
    let [users, catalog, orders] = settings.addresses(BEHIND_THE_DOOR);
    let frontend = settings.optional_address("FRONTEND_ADDRESS");
    let secrets = settings.secrets();
    let (rate, redis) = (settings.rate(RATE), parts::redis(settings));
    Some(Duties::Gateway {
        users: users?,
        catalog: catalog?,
        orders: orders?,
        frontend: frontend?,
        secrets: secrets?,
        rate: rate?,
        redis,
    })
}

// Every setting of a role is read before the first `?`, so that all problems are found.
fn duties(role: Role, settings: &mut Settings<'_>) -> Option<Duties> {
    match role {
        Role::Gateway => gateway(settings),
        Role::Frontend => {
            let [users, catalog, orders] = settings.addresses(BEHIND_THE_DOOR);
            Some(Duties::Frontend {
                users: users?,
                catalog: catalog?,
                orders: orders?,
            })
        }
        Role::Users => {
            let (storage, secret) = (settings.storage(role), settings.secret());
            let password_memory_kib = settings.password_memory(PASSWORD_MEMORY_KIB);
            Some(Duties::Users {
                storage: storage?,
                secret: secret?,
                password_memory_kib: password_memory_kib?,
            })
        }
        Role::Orders => {
            let (storage, queue) = (settings.storage(role), parts::queue(settings));
            let [catalog, payments, notifications] = [
                "CATALOG_ADDRESS",
                "PAYMENTS_ADDRESS",
                "NOTIFICATIONS_ADDRESS",
            ]
            .map(|name| settings.address(name));
            let (storage, catalog) = (storage?, catalog?);
            Some(Duties::Orders {
                storage,
                queue,
                catalog,
                payments: payments?,
                notifications: notifications?,
            })
        }
        Role::Catalog => {
            let (storage, redis) = (settings.storage(role), parts::redis(settings));
            storage.map(|storage| Duties::Catalog { storage, redis })
        }
        Role::Payments => {
            let (storage, bank) = (settings.storage(role), settings.address("BANK_ADDRESS"));
            Some(Duties::Payments {
                storage: storage?,
                bank: bank?,
            })
        }
        Role::Notifications => {
            let (storage, queue) = (settings.storage(role), parts::queue(settings));
            storage.map(|storage| Duties::Notifications { storage, queue })
        }
        Role::Bank => {
            let (data, delay) = (settings.data(), settings.bank_delay(BANK_DELAY_MS));
            Some(Duties::Bank {
                data: data?,
                delay: delay?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, set: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let lookup = |name: &str| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::read(role, &lookup)
            .map_err(|error| error.problems.iter().map(Problem::to_string).collect())
    }

    fn check(role: Role, set: &[(&str, &str)], wanted: &[&str]) {
        let problems = read(role, set).expect_err("these settings must be refused");
        assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(wanted) {
            assert!(
                problem.starts_with(start),
                "`{problem}` does not begin with `{start}`"
            );
        }
    }

    #[test]
    fn a_complete_environment_is_taken() {
        let config = read(
            Role::Catalog,
            &[
                ("PORT", "0"),
                ("DATA_DIR", "/tmp"),
                ("INSTANCE", "catalog-2"),
            ],
        )
        .unwrap();
        assert_eq!(
            (config.port, config.instance.as_str(), config.delay),
            (0, "catalog-2", None)
        );
    }

    #[test]
    fn it_listens_on_this_machine_only_unless_told_otherwise() {
        let place = |more: &[(&str, &str)]| {
            let set = [&[("PORT", "8080"), ("DATA_DIR", "/tmp")], more].concat();
            read(Role::Catalog, &set).unwrap().place().to_string()
        };
        assert_eq!(place(&[]), "127.0.0.1:8080");
        assert_eq!(place(&[("LISTEN_ADDRESS", "0.0.0.0")]), "0.0.0.0:8080");
        assert_eq!(place(&[("LISTEN_ADDRESS", "::")]), "[::]:8080");
    }

    #[test]
    fn every_missing_setting_is_named() {
        check(
            Role::Gateway,
            &[],
            &[
                "PORT is ",
                "USERS_ADDRESS",
                "CATALOG_ADDRESS",
                "ORDERS_ADDRESS",
                "JWT_SECRET",
            ],
        );
        check(
            Role::Orders,
            &[],
            &[
                "PORT",
                "DATA_DIR",
                "CATALOG_ADDRESS",
                "PAYMENTS_ADDRESS",
                "NOTIFICATIONS_ADDRESS",
            ],
        );
        check(
            Role::Frontend,
            &[],
            &["PORT", "USERS_ADDRESS", "CATALOG_ADDRESS", "ORDERS_ADDRESS"],
        );
        check(Role::Users, &[], &["PORT", "DATA_DIR", "JWT_SECRET"]);
        check(Role::Payments, &[], &["PORT", "DATA_DIR", "BANK_ADDRESS"]);
        check(Role::Bank, &[], &["PORT", "DATA_DIR"]);
    }

    #[test]
    fn every_invalid_setting_is_named() {
        let set = [
            ("PORT", "70000"),
            ("LISTEN_ADDRESS", "localhost"),
            ("DELAY_MS", "-3"),
            ("DATA_DIR", "relative/folder"),
            ("JWT_SECRET", "short"),
            ("PASSWORD_MEMORY_KIB", "2"),
        ];
        check(
            Role::Users,
            &set,
            &[
                "PORT",
                "LISTEN_ADDRESS",
                "DELAY_MS",
                "DATA_DIR",
                "JWT_SECRET",
                "PASSWORD_MEMORY_KIB",
            ],
        );
        let set = [
            ("PORT", "1"),
            ("JWT_SECRET", "0123456789abcdef"),
            ("USERS_ADDRESS", "localhost"),
            ("CATALOG_ADDRESS", "http://x:1"),
            ("ORDERS_ADDRESS", "x:y"),
            ("FRONTEND_ADDRESS", "page"),
            ("RATE_LIMIT_PER_SECOND", "0"),
            ("RATE_LIMIT_BURST", "many"),
        ];
        check(
            Role::Gateway,
            &set,
            &[
                "USERS_ADDRESS",
                "CATALOG_ADDRESS",
                "ORDERS_ADDRESS",
                "FRONTEND_ADDRESS",
                "RATE_LIMIT_PER_SECOND",
                "RATE_LIMIT_BURST",
            ],
        );
    }

    #[test]
    fn a_bug_is_planted_only_by_its_name_and_in_its_role() {
        let bug = |role, name| {
            let set = [
                ("PORT", "0"),
                ("DATA_DIR", "/tmp"),
                ("BANK_ADDRESS", "127.0.0.1:1"),
                ("BUG", name),
            ];
            read(role, &set).map(|config| config.bug)
        };
        assert_eq!(bug(Role::Payments, ""), Ok(None));
        assert_eq!(
            bug(Role::Payments, "charge_twice_on_retry"),
            Ok(Some(Bug::ChargeTwiceOnRetry))
        );
        let wrong_role = bug(Role::Payments, "lose_outbox").unwrap_err();
        assert!(
            wrong_role[0].contains("belongs to `orders`"),
            "{wrong_role:?}"
        );
        let wrong_name = bug(Role::Bank, "lose_money").unwrap_err();
        assert!(wrong_name[0].contains("lose_outbox"), "{wrong_name:?}");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let set = [
            ("PORT", "0"),
            ("DATA_DIR", "/tmp"),
            ("JWT_SECRET", "do-not-print-this"),
            ("JWT_SECRET_PREVIOUS", "nor-do-not-print-this"),
            ("USERS_ADDRESS", "x:1"),
            ("CATALOG_ADDRESS", "x:1"),
            ("ORDERS_ADDRESS", "x:1"),
            ("PAYMENTS_ADDRESS", "x:1"),
            ("NOTIFICATIONS_ADDRESS", "x:1"),
            ("DATABASE_URL", "postgres://shop:do-not-print@x:1/shop"),
            ("REDIS_URL", "redis://:do-not-print@x:1"),
            ("AMQP_URL", "amqp://shop:do-not-print@x:1/%2f"),
        ];
        for role in [Role::Users, Role::Gateway, Role::Catalog, Role::Orders] {
            let config = read(role, &set).unwrap();
            assert!(!format!("{config:?}").contains("do-not-print"));
        }
        let short = [
            ("JWT_SECRET", "do-not-print-this"),
            ("JWT_SECRET_PREVIOUS", "do-not"),
        ];
        let problems = read(Role::Gateway, &short).unwrap_err();
        assert!(
            !problems.iter().any(|problem| problem.contains("do-not")),
            "{problems:?}"
        );
        assert!(
            problems
                .last()
                .unwrap()
                .starts_with("JWT_SECRET_PREVIOUS has 6 bytes")
        );
    }

    #[test]
    fn a_database_server_takes_the_place_of_the_folder_and_its_password_is_not_printed() {
        let url = "postgres://shop:do%20not-print@127.0.0.1:5432/shop";
        let set = [("PORT", "0"), ("DATABASE_URL", url)];
        let config = read(Role::Catalog, &set).unwrap();
        assert!(!format!("{config:?}").contains("print"), "{config:?}");
        let Duties::Catalog { storage, .. } = config.duties else {
            panic!("another role");
        };
        assert_eq!(storage.server.unwrap().connections, 8);
    }

    #[test]
    fn a_url_that_names_no_database_is_refused_and_not_repeated() {
        for url in [
            "127.0.0.1:5432",
            "mysql://shop:hidden@127.0.0.1/shop",
            "postgres://shop:hidden@127.0.0.1:5432",
            "postgres://shop:hidden@127.0.0.1/shop?sslmode=require",
            "postgres://:hidden@127.0.0.1/shop",
            "postgres://shop:hidden@127.0.0.1/shop/other",
        ] {
            let set = [
                ("PORT", "0"),
                ("DATABASE_URL", url),
                ("DATABASE_CONNECTIONS", "0"),
            ];
            check(
                Role::Catalog,
                &set,
                &["DATABASE_URL ", "DATABASE_CONNECTIONS"],
            );
            let problems = read(Role::Catalog, &set).unwrap_err().concat();
            assert!(!problems.contains("hidden"), "{problems}");
        }
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let file = file.to_str().unwrap();
        let read_with = |more: &[(&str, &str)]| {
            let set = [&[("PORT", "0"), ("DATA_DIR", "/tmp")], more].concat();
            read(Role::Users, &set)
        };
        let problem = read_with(&[("JWT_SECRET_FILE", file)]).unwrap_err();
        assert!(problem[0].starts_with("JWT_SECRET_FILE is"), "{problem:?}");
        std::fs::write(file, "from-a-file-of-secrets\n").unwrap();
        let config = read_with(&[("JWT_SECRET_FILE", file)]).unwrap();
        let Duties::Users { secret, .. } = config.duties else {
            panic!("another role");
        };
        assert_eq!(secret.expose(), b"from-a-file-of-secrets");
        let both = [
            ("JWT_SECRET_FILE", file),
            ("JWT_SECRET", "in-the-environment"),
        ];
        let problem = read_with(&both).unwrap_err();
        assert!(problem[0].contains("set one of the two"), "{problem:?}");
    }
}

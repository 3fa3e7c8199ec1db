//! The seven roles, each a router, perhaps a database, and what runs beside the requests.
//!
//! Invariant: a role reaches another only over HTTP at the address it was told, and touches no file but
//! its own.

mod bank;
mod catalog;
mod gateway;
mod notifications;
mod orders;
mod payments;
mod users;

pub(crate) use bank::LedgerError;
pub(crate) use gateway::Rate;
use prometheus_client::registry::Registry;

use crate::config::{Config, Duties};
use crate::serve::{ServeError, Started};

/// The currency of every amount; amounts are whole numbers of its hundredth part.
pub(crate) const CURRENCY: &str = "EUR";

/// Prepares a role so that it can be served.
pub(crate) async fn start(config: Config, registry: &mut Registry) -> Result<Started, ServeError> {
    match config.duties {
        Duties::Gateway {
            users,
            catalog,
            orders,
            secret,
            rate,
        } => {
            let callees = gateway::Callees {
                users,
                catalog,
                orders,
            };
            Ok(gateway::start(callees, &secret, rate, config.bug, registry))
        }
        Duties::Users {
            storage,
            secret,
            password_memory_kib,
        } => users::start(&storage, &secret, password_memory_kib).await,
        Duties::Catalog { storage } => catalog::start(&storage, config.bug).await,
        Duties::Orders {
            storage,
            catalog,
            payments,
            notifications,
        } => {
            let callees = orders::Callees {
                catalog,
                payments,
                notifications,
            };
            let identity = orders::Identity {
                instance: config.instance,
                bug: config.bug,
            };
            orders::start(&storage, callees, identity, registry).await
        }
        Duties::Payments { storage, bank } => {
            payments::start(&storage, bank, config.bug, registry).await
        }
        Duties::Notifications { storage } => notifications::start(&storage, config.bug).await,
        Duties::Bank { data, delay } => bank::start(&data, delay).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_the_tables_is_written_in_both_languages() {
        for schema in [
            users::SCHEMA,
            catalog::SCHEMA,
            orders::SCHEMA,
            payments::SCHEMA,
            notifications::SCHEMA,
        ] {
            let versions = (schema.sqlite.len(), schema.postgres.len());
            assert_eq!(versions.0, versions.1, "{}", schema.name);
        }
    }
}

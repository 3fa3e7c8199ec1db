//! The eight roles, each a router, perhaps a database, and what runs beside the requests.
//!
//! Invariant: a role reaches another only over HTTP at the address it was told, and touches no file but
//! its own.

mod bank;
mod catalog;
mod frontend;
mod gateway;
mod notifications;
mod orders;
mod payments;
mod users;

pub(crate) use bank::LedgerError;
pub(crate) use catalog::{PRODUCTS_MAX, plant};
pub(crate) use gateway::Rate;
use prometheus_client::registry::Registry;

use crate::config::{Config, Duties};
use crate::queue::Broker;
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
            frontend,
            secrets,
            rate,
            redis,
        } => {
            let callees = gateway::Callees {
                users,
                catalog,
                orders,
                frontend,
            };
            Ok(gateway::start(callees, &secrets, (rate, redis), registry))
        }
        Duties::Frontend {
            users,
            catalog,
            orders,
        } => Ok(frontend::start([users, catalog, orders], registry)),
        Duties::Users {
            storage,
            secret,
            password_memory_kib,
        } => users::start(&storage, &secret, password_memory_kib).await,
        Duties::Catalog { storage, redis } => catalog::start(&storage, redis, registry).await,
        Duties::Orders {
            storage,
            queue,
            catalog,
            payments,
            notifications,
        } => {
            let callees = orders::Callees {
                catalog,
                payments,
                notifications,
                queue,
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
        Duties::Notifications { storage, queue } => {
            let queue = queue.map(|url| Broker::new(url, &config.instance));
            notifications::start(&storage, queue, registry).await
        }
        Duties::Bank { data, delay } => bank::start(&data, delay).await,
    }
}

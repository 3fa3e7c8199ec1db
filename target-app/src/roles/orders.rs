//! Carts, check-out, and the life of an order.
//!
//! A check-out is a saga over three books: stock in the catalog, money in payments, and the order here.
//! Each step is decided once by its owner and can be asked for again, so any instance can drive any
//! order on from where it stands: the one that got the request, the one that got its repetition at the
//! same moment, or the one that finds it left behind.
//!
//! Invariant: states only go forward (see `state`). An order that is confirmed has one charge, its stock,
//! and an event in the outbox, whichever instances worked on it; one that is at any other end has no money
//! and no stock.

mod audit;
mod carts;
mod checkout;
mod late;
mod order;
mod saga;
mod state;
mod sweep;
mod undo;

use std::sync::Arc;

use ::http::uri::Authority;
use axum::Router;
use axum::routing::{delete, get, post};
use prometheus_client::registry::Registry;
use tokio::sync::Notify;

use crate::audit as audits;
use crate::bug::Bug;
use crate::config::Storage;
use crate::database::{Database, Schema, no_rows};
use crate::outbox::{Outbox, memory, memory::MemoryOutbox};
use crate::serve::{ServeError, Started, Tasks};
use crate::upstream::limits::ORDERS_CALL;
use crate::upstream::{Connections, Upstream};
use audit::OrderBook;
use late::Late;
use saga::Outcomes;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/orders/0001_start.sql"),
    include_str!("../../migrations/orders/0002_history.sql"),
    include_str!("../../migrations/orders/0003_taking_back.sql"),
];
pub(super) const SCHEMA: Schema = Schema {
    name: "orders",
    sqlite: MIGRATIONS,
    postgres: &[
        include_str!("../../migrations/postgres/orders/0001_start.sql"),
        include_str!("../../migrations/postgres/orders/0002_history.sql"),
        include_str!("../../migrations/postgres/orders/0003_taking_back.sql"),
    ],
};

/// Where the callees answer.
pub(super) struct Callees {
    pub(super) catalog: Authority,
    pub(super) payments: Authority,
    pub(super) notifications: Authority,
}

/// Who this process is.
pub(super) struct Identity {
    /// Its name, unlike those of other processes of the role.
    pub(super) instance: String,
    /// What is wrong with it.
    pub(super) bug: Option<Bug>,
}

/// What all handlers of the role share.
#[derive(Debug)]
struct Orders {
    database: Database,
    catalog: Upstream,
    payments: Upstream,
    /// Rung when an event was written to the outbox.
    bell: Arc<Notify>,
    outcomes: Outcomes,
    bug: Option<Bug>,
    /// With a bug that writes late only.
    late: Option<Late>,
    /// With the bug of that name only.
    memory_outbox: Option<MemoryOutbox>,
    /// The consumer of events, with the bug that tells it of them before their commit only.
    hasty: Option<Upstream>,
}

/// Prepares the role.
pub(super) async fn start(
    storage: &Storage,
    callees: Callees,
    Identity { instance, bug }: Identity,
    registry: &mut Registry,
) -> Result<Started, ServeError> {
    let mut tasks = Tasks::new();
    let database = Database::start(storage, SCHEMA, no_rows, &mut tasks).await?;
    let connections = Connections::new(registry);
    let consumer = connections.to("notifications", callees.notifications, ORDERS_CALL);
    let (memory_outbox, delivery) = (bug == Some(Bug::LoseOutbox))
        .then(|| memory::open(consumer.clone()))
        .unzip();
    let (late, promises) = late::queue(bug);
    let hasty = (bug == Some(Bug::PublishBeforeCommit)).then(|| consumer.clone());
    let outbox = Outbox::new(database.clone(), consumer, &instance, registry);
    let orders = Arc::new(Orders {
        database: database.clone(),
        catalog: connections.to("catalog", callees.catalog, ORDERS_CALL),
        payments: connections.to("payments", callees.payments, ORDERS_CALL),
        bell: outbox.bell(),
        outcomes: Outcomes::register(registry),
        bug,
        late,
        memory_outbox,
        hasty,
    });

    tasks.start(|stop| outbox.run(stop));
    tasks.start(|stop| sweep::run(Arc::clone(&orders), stop));
    if let Some(delivery) = delivery {
        tasks.start(|stop| delivery.run(stop));
    }
    if let Some(promises) = promises {
        tasks.start(|stop| promises.keep(Arc::clone(&orders), stop));
    }
    let router = Router::new()
        .route("/carts", post(carts::create))
        .route("/carts/{id}", get(carts::show))
        .route("/carts/{id}/items", post(carts::add))
        .route("/carts/{id}/items/{product_id}", delete(carts::remove))
        .route("/checkout", post(checkout::check_out))
        .route("/orders/{id}", get(checkout::show))
        .route("/orders/{id}/cancel", post(undo::cancel))
        .with_state(orders)
        .merge(audits::route(&storage.folder, OrderBook(database.clone())));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

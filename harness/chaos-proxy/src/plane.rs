//! The data plane as a whole: its edges, the instances behind them, and what a command changes.
//!
//! Invariant: a command has taken effect when it has been obeyed: connections accepted afterwards
//! see it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::balance::{Balance, Member};
use crate::edge::{Edge, Shared};
use crate::protocol::{Answer, Command, Route};

/// Most listeners.
const MAX_EDGES: usize = 1024;
/// Most instances of one service.
const MAX_ROUTES: usize = 256;
/// Longest wait for connections to be closed at the end.
const CLOSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Plane {
    /// By caller and callee.
    edges: BTreeMap<(String, String), Edge>,
    /// By service.
    callees: BTreeMap<String, Arc<Mutex<Balance>>>,
    shared: Shared,
    stop: CancellationToken,
}

impl Plane {
    /// A plane that carries at most `connections` at a time.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            edges: BTreeMap::new(),
            callees: BTreeMap::new(),
            shared: Shared::new(connections),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn obey(&mut self, command: Command) -> Answer {
        match command {
            Command::Listen { caller, callee } => self.listen(caller, callee),
            Command::Forget { caller } => self.forget(&caller),
            Command::Route { service, instances } => self.route(&service, instances),
            Command::Eject { service, instance } => self.eject(&service, &instance),
            Command::Stats => Answer::Stats {
                edges: self.edges.values().map(Edge::stats).collect(),
            },
        }
    }

    /// Ends every edge and its connections.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.shared.tasks.close();
        if timeout(CLOSE, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("connections are still open after {CLOSE:?}");
        }
    }

    /// Listening twice for the same edge gives the same address.
    fn listen(&mut self, caller: String, callee: String) -> Answer {
        let key = (caller, callee);
        if let Some(edge) = self.edges.get(&key) {
            return Answer::Listening {
                address: edge.address.to_string(),
            };
        }
        if self.edges.len() >= MAX_EDGES {
            return Answer::Failed {
                why: format!("there are {MAX_EDGES} listeners already"),
            };
        }
        let callees = self.callees(&key.1);
        match Edge::open(
            (Ipv4Addr::LOCALHOST, 0).into(),
            (&key.0, &key.1),
            callees,
            self.shared.clone(),
            self.stop.child_token(),
        ) {
            Ok(edge) => {
                let address = edge.address.to_string();
                self.edges.insert(key, edge);
                Answer::Listening { address }
            }
            Err(error) => Answer::Failed {
                why: format!("no listener on a loopback port: {error}"),
            },
        }
    }

    fn forget(&mut self, caller: &str) -> Answer {
        self.edges.retain(|(of, _), edge| {
            let keep = of != caller;
            if !keep {
                edge.close();
            }
            keep
        });
        Answer::Done
    }

    fn route(&mut self, service: &str, instances: Vec<Route>) -> Answer {
        if instances.len() > MAX_ROUTES {
            return Answer::Failed {
                why: format!("more than {MAX_ROUTES} instances of `{service}`"),
            };
        }
        let mut members = Vec::with_capacity(instances.len());
        for route in instances {
            let Ok(address) = route.address.parse() else {
                return Answer::Failed {
                    why: format!("`{}` is not an address such as 127.0.0.1:80", route.address),
                };
            };
            members.push(Member::new(&route.instance, address));
        }
        self.callees(service)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .set(members);
        Answer::Done
    }

    fn eject(&mut self, service: &str, instance: &str) -> Answer {
        self.callees(service)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .eject(instance);
        Answer::Done
    }

    fn callees(&mut self, service: &str) -> Arc<Mutex<Balance>> {
        Arc::clone(self.callees.entry(service.to_owned()).or_default())
    }
}

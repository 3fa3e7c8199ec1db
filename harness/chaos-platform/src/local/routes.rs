//! Which instances are in the data plane, and telling the proxy process so.
//!
//! Invariant: changes of one platform reach the proxy in the order in which they are made, and the
//! table here is changed before the proxy is told; a change that was given up halfway is repaired
//! by the next one of that service.

use std::collections::BTreeMap;

use chaos_proxy::protocol::Route;
use tokio::sync::Mutex;

use super::proxy::ProxyClient;
use crate::platform::PlatformError;

#[derive(Debug)]
pub(super) struct Routes {
    proxy: ProxyClient,
    /// Addresses of the ready instances, by service and instance.
    table: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

impl Routes {
    pub(super) fn new(proxy: ProxyClient) -> Self {
        Self {
            proxy,
            table: Mutex::default(),
        }
    }

    /// Lets new connections go to an instance at `host:port`; done when the proxy does so.
    pub(super) async fn enter(
        &self,
        service: &str,
        instance: &str,
        address: &str,
    ) -> Result<(), PlatformError> {
        let mut table = self.table.lock().await;
        let ready = table.entry(service.to_owned()).or_default();
        ready.insert(instance.to_owned(), address.to_owned());
        let routes = ready
            .iter()
            .map(|(instance, address)| Route {
                instance: instance.clone(),
                address: address.clone(),
            })
            .collect();
        self.proxy.route(service, routes).await
    }

    /// Lets no new connection go to an instance; done when the proxy does so.
    pub(super) async fn leave(&self, service: &str, instance: &str) -> Result<(), PlatformError> {
        let mut table = self.table.lock().await;
        if let Some(ready) = table.get_mut(service) {
            ready.remove(instance);
        }
        self.proxy.eject(service, instance).await
    }
}

//! Takes a target down and names what is left.
//!
//! Invariant: works at any point, also after a failed or abandoned deploy and a second time; takes
//! no longer than the longest `stop` of the services and a few seconds, whatever the processes do.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::instance::KILLED;
use super::{LocalPlatform, sweep};

/// What the tasks may take on top of the waits they bound themselves.
pub(super) const SLACK: Duration = Duration::from_secs(5);
/// Longest wait for the proxy process and its tasks.
const PROXY: Duration = Duration::from_secs(5);
/// Longest wait for what is found by its mark or group at the end.
const SWEEP: Duration = Duration::from_secs(3);

impl LocalPlatform {
    pub(super) async fn teardown_all(&mut self) -> Vec<String> {
        self.shared.stop.cancel();
        self.tasks.close();
        if timeout(self.longest_stop() + KILLED + SLACK, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::error!(
                "instances are still being stopped; what they are made of is swept up now"
            );
        }
        self.proxy_close.cancel();
        self.proxy_tasks.close();
        if timeout(PROXY, self.proxy_tasks.wait()).await.is_err() {
            tracing::error!("the proxy process does not end; it is swept up now");
        }
        let config = &self.shared.config;
        let mut left = sweep::sweep_with(&config.run, &config.work, &[], SWEEP).await;
        left.extend(self.remove_work().await);
        left
    }

    pub(super) fn longest_stop(&self) -> Duration {
        let services = self
            .shared
            .config
            .description()
            .map(|description| description.services.as_slice());
        services
            .unwrap_or_default()
            .iter()
            .map(|service| service.stop)
            .max()
            .unwrap_or_default()
    }

    async fn remove_work(&self) -> Option<String> {
        let work = &self.shared.config.work;
        match tokio::fs::remove_dir_all(work).await {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("the work folder `{}`: {error}", work.display())),
        }
    }
}

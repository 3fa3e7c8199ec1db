//! Brings a target up.
//!
//! Every address is known before the first program starts: the proxy listens for all of them. So
//! the instances start all at once, in no order; readiness is about their own state only.
//! Invariant: whatever was started when a deploy fails or is given up is in the platform's hands,
//! so that `teardown` finds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_plan::plan::Service;
use chaos_plan::units::duration_to_text;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::instance::Instance;
use super::proxy::{self, ProxyClient};
use super::routes::Routes;
use super::supervisor::Status;
use super::{LocalPlatform, Member, logs};
use crate::platform::{Deployment, PlatformError};

/// The caller under which shoppers reach the entry service.
const SHOPPERS: &str = "shoppers";
/// Ends before it was ever ready after which an instance is given up.
const ENDS: u32 = 3;

impl LocalPlatform {
    pub(super) async fn deploy_all(&mut self) -> Result<Deployment, PlatformError> {
        let unable = |act: &str| PlatformError::Unable {
            act: act.to_owned(),
        };
        let config = &self.shared.config;
        let description = config
            .description()
            .ok_or_else(|| unable("deploy a target that is only an address"))?
            .clone();
        if self.deployed || self.shared.stop.is_cancelled() {
            return Err(unable("deploy a second time"));
        }
        self.deployed = true;
        let proxy = proxy::start(&self.shared, &self.proxy_tasks, &self.proxy_close).await?;
        let entry = proxy.listen(SHOPPERS, &description.entry).await?;
        let instances = self.plan_instances(&description.services, &proxy).await?;
        self.bound_logs();
        for instance in instances {
            self.tasks.spawn(instance.run());
        }
        self.all_ready().await?;
        Ok(Deployment {
            address: format!("http://{entry}"),
        })
    }

    /// Folders and listeners of every instance; nothing is started yet.
    async fn plan_instances(
        &mut self,
        services: &[Service],
        proxy: &ProxyClient,
    ) -> Result<Vec<Instance>, PlatformError> {
        let routes = Arc::new(Routes::new(proxy.clone()));
        let mut instances = Vec::new();
        for service in services {
            let data = self.shared.data(&service.name);
            fs::create_dir_all(&data).map_err(|source| PlatformError::Io {
                act: format!("make the folder `{}`", data.display()),
                source,
            })?;
            for number in 1..=service.replicas {
                let name = format!("{}-{number}", service.name);
                let mut calls = BTreeMap::new();
                for callee in &service.calls {
                    calls.insert(callee.clone(), proxy.listen(&name, callee).await?);
                }
                let (status, known) = watch::channel(Status::default());
                let (hold, held) = watch::channel(false);
                self.members.push(Member {
                    service: service.name.clone(),
                    instance: name.clone(),
                    ready_within: service.ready.within,
                    stop: service.stop,
                    status: known,
                    hold,
                });
                instances.push(Instance {
                    name,
                    service: service.clone(),
                    calls,
                    shared: Arc::clone(&self.shared),
                    routes: Arc::clone(&routes),
                    status,
                    held,
                });
            }
        }
        Ok(instances)
    }

    /// As long as the proxy process lives, which outlives the instances.
    fn bound_logs(&self) {
        let instances = self.members.iter().map(|member| member.instance.clone());
        let names = instances.chain([proxy::NAME.to_owned()]).collect();
        let folder = self.shared.config.logs.clone();
        self.proxy_tasks
            .spawn(logs::bound(folder, names, self.proxy_close.clone()));
    }

    /// Waits until every instance was ready since the deploy, or since it was parked. For all at once;
    /// the first that fails ends the wait.
    pub(super) async fn all_ready(&self) -> Result<(), PlatformError> {
        let wait = |member: &Member| Wait {
            instance: member.instance.clone(),
            within: member.ready_within,
            status: member.status.clone(),
            logs: self.shared.config.logs.clone(),
        };
        let mut ready: JoinSet<Result<(), PlatformError>> =
            self.members.iter().map(wait).map(Wait::ready).collect();
        let lost = PlatformError::Proxy {
            why: "it was lost while the target was being started".to_owned(),
        };
        let all = async {
            while let Some(joined) = ready.join_next().await {
                joined.expect("waiting neither panics nor is cancelled")?;
            }
            Ok(())
        };
        self.shared
            .lost
            .run_until_cancelled(all)
            .await
            .unwrap_or(Err(lost))
    }
}

/// Waits for one instance to be ready for the first time.
struct Wait {
    instance: String,
    within: Duration,
    status: watch::Receiver<Status>,
    logs: PathBuf,
}

impl Wait {
    async fn ready(mut self) -> Result<(), PlatformError> {
        let decided = |status: &Status| status.was_ready || status.down || status.ends >= ENDS;
        let waited = timeout(self.within, self.status.wait_for(decided)).await;
        let status = match waited.map(|known| known.map(|status| status.clone())) {
            Ok(Ok(status)) => status,
            // The instance's task has ended: a teardown has begun meanwhile.
            Ok(Err(_)) => return self.not_started("it was taken down"),
            Err(_) => return self.too_late(),
        };
        if status.was_ready {
            return Ok(());
        }
        let times = if status.ends == 1 {
            "once".to_owned()
        } else {
            format!("{} times", status.ends)
        };
        self.not_started(&format!(
            "it ended {times} before it was ready, last with {}",
            status.trouble
        ))
    }

    fn not_started(&self, why: &str) -> Result<(), PlatformError> {
        let why = format!("{why}; {}", logs::tail(&self.logs, &self.instance));
        Err(PlatformError::Start {
            instance: self.instance.clone(),
            why,
        })
    }

    fn too_late(&self) -> Result<(), PlatformError> {
        let trouble = self.status.borrow().trouble.clone();
        let why = format!("{trouble}; {}", logs::tail(&self.logs, &self.instance));
        Err(PlatformError::NotReady {
            instance: self.instance.clone(),
            within: duration_to_text(self.within),
            why,
        })
    }
}

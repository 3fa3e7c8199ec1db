//! A small target, a local platform for it, and what both are looked at with.
//!
//! The target is two services, `front` (which calls `api`) and `api`, whose program is the example
//! `contract_target`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{
    Arrivals, Description, Limits, Load, Model, PlatformName, Ready, Resolved, Restart,
    RestartPolicy, Safety, Scale, Service, Source, StopSignal, Target,
};
use chaos_plan::units::Share;
use chaos_platform::local::{LocalConfig, LocalPlatform, sweep};
use chaos_platform::{Act, Deployment, InstanceRef, Signal};
use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use crate::contract::{Builder, Lasting};
use crate::processes::{frozen, reached, signal, thawed};

/// Longest any single wait of these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The folders and the plan of one run.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) run: String,
    pub(crate) description: Description,
}

impl Bench {
    pub(crate) fn new() -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = format!(
            "contract-{}-{}",
            std::process::id(),
            RUNS.fetch_add(1, Ordering::Relaxed)
        );
        let description = Description {
            name: "two".to_owned(),
            folder: String::new(),
            entry: "front".to_owned(),
            parts: None,
            services: vec![service("front", &["api"]), service("api", &[])],
            audit: None,
            kubernetes: None,
        };
        let bench = Self {
            folder: TempDir::new().expect("a folder"),
            run,
            description,
        };
        std::fs::create_dir(bench.work()).expect("a work folder");
        bench
    }

    /// A target of one service with one instance.
    pub(crate) fn alone(change: impl FnOnce(&mut Service)) -> Self {
        let mut bench = Self::new();
        let mut only = service("api", &[]);
        only.replicas = 1;
        change(&mut only);
        bench.description.entry.clone_from(&only.name);
        bench.description.services = vec![only];
        bench
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn log(&self, instance: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{instance}.log"))).expect("a log")
    }

    pub(crate) fn local(&self) -> LocalPlatform {
        LocalPlatform::new(LocalConfig {
            plan: Arc::new(plan(self.description.clone())),
            run: self.run.clone(),
            work: self.work(),
            logs: self.path(),
            chaos: program(),
            env: Vec::new(),
        })
    }

    /// Processes of the run, and its folder.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = sweep::known(&self.run, &self.work())
            .iter()
            .map(|(process, _)| process.to_string())
            .collect();
        if self.work().exists() {
            left.push("the work folder".to_owned());
        }
        left
    }

    pub(crate) fn write_plan(&self) {
        let text = serde_json::to_vec(&plan(self.description.clone())).expect("json");
        std::fs::write(self.path().join("plan.json"), text).expect("room");
    }
}

/// A test that fails must not leave anything running.
impl Drop for Bench {
    fn drop(&mut self) {
        for (process, _) in sweep::known(&self.run, &self.work()) {
            let pid = i32::try_from(process.pid)
                .ok()
                .and_then(Pid::from_raw)
                .expect("a pid");
            kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

impl Builder for Bench {
    type Built = LocalPlatform;

    async fn build(&self) -> LocalPlatform {
        self.local()
    }

    async fn left(&self) -> Vec<String> {
        Self::left(self)
    }

    fn kill(&self, target: &InstanceRef) -> Act {
        signal(target, Signal::Kill)
    }

    fn lasting(&self, target: &InstanceRef) -> Lasting {
        Lasting {
            act: signal(target, Signal::Stop),
            effect: frozen(target),
            undone: thawed(target),
        }
    }

    fn acts(&self, target: &InstanceRef) -> Vec<Act> {
        let all = [Signal::Stop, Signal::Kill, Signal::Term];
        all.map(|one| signal(target, one)).to_vec()
    }

    async fn reached(
        &self,
        deployment: &Deployment,
        service: &str,
        count: usize,
    ) -> Option<BTreeSet<String>> {
        Some(reached(deployment, service, count).await)
    }
}

/// The example, which stands beside the folder of the test's own executable.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let build = own
        .parent()
        .and_then(std::path::Path::parent)
        .expect("two folders up");
    let program = build.join("examples").join("contract_target");
    assert!(
        program.exists(),
        "build it with `cargo build -p chaos-platform --examples`"
    );
    program
}

fn service(name: &str, calls: &[&str]) -> Service {
    let env = calls
        .iter()
        .map(|callee| ("PEER".to_owned(), format!("{{calls.{callee}}}")));
    Service {
        name: name.to_owned(),
        replicas: 2,
        calls: calls.iter().map(ToString::to_string).collect(),
        ready: Ready {
            path: Some("/ready".to_owned()),
            within: Duration::from_secs(15),
            every: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            failures: 2,
        },
        restart: Restart {
            policy: RestartPolicy::Always,
            delay: Duration::ZERO,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
        },
        stop: Duration::from_secs(5),
        stop_signal: StopSignal::default(),
        command: ["{chaos}", "serve", "{port}"].map(str::to_owned).to_vec(),
        env: env.collect(),
        labels: BTreeMap::new(),
        limits: Limits::default(),
        pods: None,
    }
}

fn plan(description: Description) -> Plan {
    let resolved = Resolved {
        name: "contract".to_owned(),
        question: "Does the platform keep its contract?".to_owned(),
        platform: PlatformName::Local,
        seed: 1,
        scale: Scale {
            time: 1.0,
            rate: 1.0,
        },
        target: Target::Deploy(description),
        load: Load {
            connections: None,
            streams: None,
            traceparent: true,
            journeys_max: None,
            search: None,
            name: "shoppers".to_owned(),
            model: Model::default(),
            arrivals: Arrivals::Even,
            timeout: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            journeys: Vec::new(),
            stages: Vec::new(),
        },
        faults: Vec::new(),
        claims: Vec::new(),
        safety: Safety {
            abort_if: None,
            max_share: Share::from_ratio(1.0),
            allow_outage: Vec::new(),
        },
        source: Source {
            path: "contract".to_owned(),
            text: String::new(),
            overrides: Vec::new(),
        },
    };
    let text = serde_json::to_string(&resolved).expect("json");
    serde_json::from_str(&text).expect("a plan reads back")
}

//! A whole store of processes, several for each role, behind doors that look at their readiness.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::balancer::Door;
use crate::client::Client;
use crate::shop::{Process, Settings, settings};

/// Roles in the order of their start, and the setting that tells callers where each is.
const ROLES: [(&str, &str); 7] = [
    ("bank", "BANK_ADDRESS"),
    ("users", "USERS_ADDRESS"),
    ("catalog", "CATALOG_ADDRESS"),
    ("payments", "PAYMENTS_ADDRESS"),
    ("notifications", "NOTIFICATIONS_ADDRESS"),
    ("orders", "ORDERS_ADDRESS"),
    ("gateway", "GATEWAY_ADDRESS"),
];

/// The store.
pub(crate) struct Fleet {
    data: TempDir,
    addresses: Settings,
    doors: BTreeMap<&'static str, Door>,
    members: BTreeMap<&'static str, Vec<Member>>,
}

/// One process; its log is read all the time, so that it never waits for a reader.
struct Member {
    address: String,
    pid: Pid,
    ended: JoinHandle<(Option<i32>, Vec<Value>)>,
}

impl Fleet {
    /// Starts two of each role but the bank, which is alone.
    pub(crate) async fn start() -> Self {
        let mut fleet = Self {
            data: tempfile::tempdir().unwrap(),
            addresses: Settings::new(),
            doors: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        for (role, setting) in ROLES {
            let door = Door::new().await;
            fleet.addresses.insert(setting, door.address.clone());
            fleet.doors.insert(role, door);
            fleet.add(role).await;
            if role != "bank" {
                fleet.add(role).await;
            }
        }
        fleet
    }

    /// A caller at the door of a role.
    pub(crate) fn at(&self, role: &str) -> Client {
        Client::new(&self.doors[role].address)
    }

    /// Connections that met a closed door before its balancer knew.
    pub(crate) fn closed_doors(&self) -> usize {
        self.doors.values().map(Door::closed).sum()
    }

    /// Callers at each process of a role.
    pub(crate) fn each(&self, role: &str) -> Vec<Client> {
        let members = self.members[role].iter();
        members.map(|member| Client::new(&member.address)).collect()
    }

    /// Sends a signal to every process of a role.
    pub(crate) fn signal(&self, role: &str, signal: Signal) {
        for member in &self.members[role] {
            kill_process(member.pid, signal).unwrap();
        }
    }

    /// Sends a signal to one process of a role, counted from the oldest.
    pub(crate) fn signal_one(&self, role: &str, number: usize, signal: Signal) {
        kill_process(self.members[role][number].pid, signal).unwrap();
    }

    /// Starts one more of a role, and lets it in when it is ready.
    pub(crate) async fn add(&mut self, role: &'static str) {
        let mut settings = settings(self.data.path());
        settings.extend(self.addresses.clone());
        settings.insert("RATE_LIMIT_PER_SECOND", "100000".to_owned());
        settings.insert("RATE_LIMIT_BURST", "100000".to_owned());
        let process = Process::start(role, &settings).await;
        let member = Member {
            address: process.address.clone(),
            pid: process.pid(),
            ended: tokio::spawn(process.end()),
        };
        self.doors[role].admit(&member.address).await;
        self.members.entry(role).or_default().push(member);
    }

    /// Asks the oldest process of a role to stop and waits for its end, which must be in order.
    pub(crate) async fn retire(&mut self, role: &'static str) {
        let oldest = self.members.get_mut(role).unwrap().remove(0);
        kill_process(oldest.pid, Signal::TERM).unwrap();
        let (code, log) = oldest.ended.await.unwrap();
        assert_eq!(code, Some(0), "{role}");
        let cut: Vec<&Value> = log.iter().filter(|line| line["level"] != "INFO").collect();
        assert!(cut.is_empty(), "{role} had trouble: {cut:#?}");
    }
}

//! What the kernel gives each container, read from its control group: nobody's word is taken for it.
//!
//! Only where the nodes are of this machine, as those of the test cluster are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

const ROOT: &str = "/sys/fs/cgroup";
/// Below the node's own group stands `kubepods`, then a class of service, then the pod, then the container.
const DEPTH: u32 = 6;

/// Thousandths of a core that each container may use, by its pod; one without a limit has none.
pub(crate) fn quotas(pods: &[Pod]) -> BTreeMap<String, Option<u64>> {
    pods.iter().filter_map(of_pod).collect()
}

fn of_pod(pod: &Pod) -> Option<(String, Option<u64>)> {
    let uid = pod.metadata.uid.as_deref()?;
    let states = pod.status.as_ref()?.container_statuses.as_ref()?;
    let id = states.first()?.container_id.as_deref()?;
    let (_, id) = id.split_once("://")?;
    let group = find(Path::new(ROOT), &format!("pod{uid}"), id, DEPTH)?;
    Some((pod.metadata.name.clone()?, quota(&group)))
}

/// The folder of a container that has a file about its CPU.
fn find(folder: &Path, pod: &str, container: &str, depth: u32) -> Option<PathBuf> {
    let group = folder.join(pod).join(container);
    let files = ["cpu.max", "cpu.cfs_quota_us"];
    if files.iter().any(|file| group.join(file).is_file()) {
        return Some(group);
    }
    let folders = fs::read_dir(folder).ok()?.flatten();
    let mut folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let below = depth.checked_sub(1)?;
    folders.find_map(|entry| find(&entry.path(), pod, container, below))
}

fn quota(group: &Path) -> Option<u64> {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let (quota, period) = match read("cpu.max") {
        Some(both) => both
            .trim()
            .split_once(' ')
            .map(|(quota, period)| (quota.to_owned(), period.to_owned()))?,
        None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    Some(number(&quota)? * 1_000 / number(&period)?)
}

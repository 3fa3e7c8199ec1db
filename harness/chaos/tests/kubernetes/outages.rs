//! Harness, guardian or API server go away while a run is under way.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::away::Way;
use crate::bench::{Cluster, PATIENCE};
use crate::cluster;
use crate::leftovers;
use crate::program::{Place, eventually, measured};

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(20);

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a process")
}

/// The guardian of the only run of this place.
pub(crate) fn guardian(place: &Place) -> Pid {
    let mut found = None;
    eventually("a guardian", Duration::from_secs(10), || {
        let lines = leftovers::processes(place);
        let line = lines.iter().find(|line| line.contains(" guardian "));
        found = line.and_then(|line| Pid::from_raw(line.split(':').next()?.parse().ok()?));
        found.is_some()
    });
    found.expect("just found")
}

fn assert_gone(cluster: &Cluster, place: &Place) {
    eventually("no namespace of the run", PATIENCE, || {
        !cluster.has_namespace()
    });
    eventually("no state of the run", PATIENCE, || {
        leftovers::state(place).is_empty()
    });
}

/// Before anything is applied, when all of it is, and between the kill and its proof.
#[test]
fn what_a_killed_harness_applied_is_removed_by_its_guardian() {
    let cluster = cluster!();
    for point in ["deploy.announced", "deploy.done", "fault.applied"] {
        let place = cluster.place(16, &[("kill", 6)]);
        let child = place
            .command(&cluster.run_flags())
            .env("CHAOS_FAILPOINT", point)
            .spawn()
            .expect("the program starts");
        let ended = place.wait(child);
        assert_eq!(ended.status.code(), None, "{point}: {}", ended.stderr);
        assert_gone(&cluster, &place);
    }
}

#[test]
fn what_harness_and_guardian_left_is_removed_by_recover() {
    let cluster = cluster!();
    let place = cluster.place(16, &[("kill", 6)]);
    let mut child = place
        .command(&cluster.run_flags())
        .spawn()
        .expect("the program starts");
    place.until_record_says("requested");
    kill_process(guardian(&place), Signal::KILL).expect("ours");
    kill_process(pid(&child), Signal::KILL).expect("ours");
    child.wait().expect("our child");
    assert!(cluster.has_namespace(), "nobody is there to remove it");
    let again = place.aside(&cluster.run_flags());
    assert_eq!(again.status.code(), Some(5), "{again:?}");
    let recovered = place.aside(&["recover"]);
    assert_eq!(recovered.status.code(), Some(0), "{recovered:?}");
    assert!(!cluster.has_namespace());
    assert_gone(&cluster, &place);
}

/// A fault before the API server goes is judged; one that would come meanwhile is not injected, and
/// so nothing is claimed about it.
#[test]
fn a_run_outlives_an_api_server_that_is_away() {
    let cluster = cluster!();
    let (_place, ended) = measured(|| {
        let place = cluster.place(45, &[("before", 7), ("meanwhile", 24)]);
        let way = Way::to(cluster.server());
        let kubeconfig = cluster.changed(&place, |config| {
            let server = &mut config["clusters"][0]["cluster"];
            let (host, _) = cluster.server().rsplit_once(':').map_or_else(
                || (cluster.server(), String::new()),
                |(host, port)| (host.to_owned(), port.to_owned()),
            );
            server["server"] = json!(format!("https://127.0.0.1:{}", way.port));
            server["tls-server-name"] = json!(host);
        });
        let mut args = vec!["run", "mine.yaml"];
        args.extend(cluster.flags(&kubeconfig));
        let child = place.command(&args).spawn().expect("the program starts");
        place.until_record_says("\"effective\"");
        eventually("both pods are back", PATIENCE, || {
            place.record_says("\"incarnation\":2") && ready_again(&place)
        });
        way.shut();
        let shut = Instant::now();
        eventually("time passes", AWAY * 2, || shut.elapsed() >= AWAY);
        way.open();
        let ended = place.wait(child);
        (place, ended)
    });
    ended.assert_code(3);
    let faults = &ended.result()["faults"];
    assert!(faults[0]["effective"].is_u64(), "{faults:#}");
    assert!(faults[1]["effective"].is_null(), "{faults:#}");
    assert!(!faults[1]["not_injected"].is_null(), "{faults:#}");
    let clean = |event: &serde_json::Value| event["what"]["cleaned_up"]["verified"] == json!(true);
    assert!(ended.events().iter().any(clean), "{}", ended.stderr);
    assert!(!cluster.has_namespace());
}

/// The last that the record says of any second life is that it is ready.
fn ready_again(place: &Place) -> bool {
    let record = place.out().expect("a run was begun").join("record.jsonl");
    let text = std::fs::read_to_string(record).expect("a record");
    let (_, later) = text.split_once("\"incarnation\":2").unwrap_or_default();
    later.contains("\"ready\"")
}

//! Harness and guardian die together while faults stand that have no end of their own.
//!
//! `killed-twenty-times` beside this folder does it at many moments; here it is one of each kind.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::bench::{Cluster, PATIENCE};
use crate::cluster;
use crate::outages::{guardian, pid};
use crate::program::{Place, eventually};
use crate::rights::bound;

/// The lease has stood still for 30 s by then, and 15 s more are the janitor's.
const DEADLINE: Duration = Duration::from_secs(45);
/// What a run makes for itself.
const OF_A_RUN: [&str; 3] = ["chaos-janitor", "Lease/chaos", "/chaos"];

/// Faults of a run as the `ServiceAccount` that has the printed Role, all standing.
fn broken(cluster: &Cluster, place: &Place, more: &[&str]) -> Child {
    let mut rbac = vec!["rbac", "mine.yaml", "--namespace", &cluster.namespace];
    rbac.extend(more);
    let role = place.aside(&rbac);
    assert!(role.status.success(), "{role:?}");
    cluster.feed(&["apply"], &String::from_utf8_lossy(&role.stdout));
    let token = bound(cluster);
    let kubeconfig = cluster.changed(place, |config| {
        config["users"][0]["user"] = json!({ "token": token });
    });
    let mut args = vec!["run", "mine.yaml", "--existing"];
    args.extend(cluster.flags(&kubeconfig));
    args.extend(more);
    let child = place.command(&args).spawn().expect("the program starts");
    for fault in ["none-left", "nowhere", "starved", "another"] {
        place.until_record_says(&format!("\"fault\":\"{fault}\",\"change\":{{\"effective\""));
    }
    child
}

fn kill_both(place: &Place, mut harness: Child) {
    kill_process(guardian(place), Signal::KILL).expect("ours");
    kill_process(pid(&harness), Signal::KILL).expect("ours");
    harness.wait().expect("our child");
}

#[test]
fn the_janitor_takes_back_what_a_dead_machine_left() {
    let cluster = cluster!();
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    cluster.apply_by_hand();
    cluster.apply_side();
    let (objects, limits) = (cluster.objects(&OF_A_RUN), cluster.limits());
    let place = cluster.place_with_lasting_faults();
    let harness = broken(&cluster, &place, &[]);
    kill_both(&place, harness);
    let killed = Instant::now();
    assert_ne!(cluster.objects(&OF_A_RUN), objects, "they stand");
    eventually("restored", DEADLINE, || {
        cluster.objects(&OF_A_RUN) == objects
    });
    eventually("pods as before", PATIENCE, || cluster.limits() == limits);
    assert!(
        killed.elapsed() > Duration::from_secs(20),
        "not before the lease stood still"
    );
    eventually("the janitor is gone", PATIENCE, || {
        let left = cluster.objects(&[]);
        !left
            .keys()
            .any(|name| OF_A_RUN[..2].iter().any(|part| name.contains(part)))
    });
    let elsewhere = Place::new();
    let mut args = vec!["recover"];
    args.extend(&cluster.run_flags()[4..]);
    let nothing = elsewhere.aside(&args);
    let said = String::from_utf8_lossy(&nothing.stderr);
    assert!(said.contains("nothing to recover"), "{said}");
    let recovered = place.aside(&["recover"]);
    assert_eq!(recovered.status.code(), Some(0), "{recovered:?}");
    cluster.remove_namespace();
}

#[test]
fn without_a_janitor_recover_takes_it_back() {
    let cluster = cluster!();
    cluster.make_namespace(&["chaos.dev/allow=true"]);
    cluster.apply_by_hand();
    cluster.apply_side();
    let (objects, limits) = (cluster.objects(&OF_A_RUN), cluster.limits());
    let place = cluster.place_with_lasting_faults();
    let harness = broken(&cluster, &place, &["--no-janitor"]);
    kill_both(&place, harness);
    let all = cluster.objects(&[]);
    assert!(!all.keys().any(|name| name.contains("janitor")), "{all:?}");
    let recovered = place.aside(&["recover"]);
    assert_eq!(recovered.status.code(), Some(0), "{recovered:?}");
    assert_eq!(cluster.objects(&OF_A_RUN), objects);
    eventually("pods as before", PATIENCE, || cluster.limits() == limits);
    cluster.remove_namespace();
}

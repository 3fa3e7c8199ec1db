//! The real program on a real cluster, which `CHAOS_TEST_KUBECONFIG`, `CHAOS_TEST_KUBECTL` and
//! `CHAOS_TEST_IMAGE` name: what it says when it cannot run there, and what it leaves when it dies.
//!
//! Without a cluster each test is skipped with a line, unless `CHAOS_TESTS_MAY_SKIP=no` and
//! `CHAOS_TEST_CLUSTER=yes` forbid that.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skip"
)]

mod away;
mod bench;
mod faults;
mod janitor;
#[path = "../e2e/leftovers.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod leftovers;
mod liar;
mod nothing;
mod outages;
#[path = "../e2e/program.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod program;
mod refusals;
mod rights;

macro_rules! cluster {
    () => {
        match crate::bench::cluster() {
            Some(cluster) => cluster,
            None => return,
        }
    };
}
pub(crate) use cluster;

//! Keeps cores from sleeping while a test judges to a fraction of a millisecond: a virtual machine
//! gives a core that sleeps back to its host, and waking it can take longer than what is judged.
//!
//! By the kernel where the tests may ask it, else by spinners.
//!
//! Invariant: the spinners have the kernel's idle class, so whoever else wants the core has it at once;
//! they end with the thread that started them, also when that is killed.

use std::process::{Child, Command, Stdio};

use chaos_load::{KeptAwake, keep_awake};

/// Cores that are kept awake until this is dropped; those of a machine without `setpriv`, `chrt` and
/// `taskset` (util-linux) sleep as they like where the kernel may not be asked.
pub(crate) struct Awake {
    _kept: Option<KeptAwake>,
    spinners: Vec<Child>,
}

impl Awake {
    /// A core named twice has one spinner.
    pub(crate) fn keep(cores: [usize; 2]) -> Self {
        let mut cores = cores.to_vec();
        cores.dedup();
        let kept = keep_awake().ok();
        if kept.is_some() {
            cores.clear();
        }
        Self {
            _kept: kept,
            spinners: cores.into_iter().filter_map(spin).collect(),
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for spinner in &mut self.spinners {
            // One that has ended already is as good.
            spinner.kill().ok();
            spinner.wait().ok();
        }
    }
}

fn spin(core: usize) -> Option<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "chrt", "--idle", "0"])
        .args(["taskset", "-c", &core.to_string()])
        .args(["sh", "-c", "while :; do :; done"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

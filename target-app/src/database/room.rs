//! Whether there is room to write beside a database that is a file.
//!
//! A full disk lets reading go on and refuses each change by itself; this tells those who run the store,
//! once, and whoever asks whether the role can do its part.
//!
//! Invariant: nothing is written to find out, and the role has to do nothing for its end to be noticed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch::Receiver;

use super::Database;
use crate::serve::stopped;
use crate::trouble::Trouble;

/// Fewer free bytes than this are no room: a few transactions and the index beside the log.
const ROOM_MIN_BYTES: u64 = 1024 * 1024;
/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is said while there is none.
const REASON: &str = "the disk of DATA_DIR has no room left";

impl Database {
    /// Looks at the disk of the folder until `stop` turns true.
    pub(super) async fn watch_room(self, folder: PathBuf, mut stop: Receiver<bool>) {
        let mut trouble = Trouble::default();
        loop {
            let place = folder.clone();
            // A disk that hangs must not hold up those who only read what is in memory.
            let looked = tokio::task::spawn_blocking(move || free_bytes(&place));
            // What cannot be told is not held against the role: its requests will tell.
            let free = looked.await.ok().and_then(Result::ok);
            let is_full = free.is_some_and(|free| free < ROOM_MIN_BYTES);
            self.full.send_replace(is_full.then_some(REASON));
            tell(&mut trouble, is_full, &folder);
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

fn free_bytes(folder: &Path) -> rustix::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn tell(trouble: &mut Trouble, is_full: bool, folder: &Path) {
    let folder = folder.display();
    if is_full && trouble.is_news(REASON) {
        tracing::error!(
            setting = "DATA_DIR",
            "{REASON}: nothing can be written to `{folder}` until some is freed; what was acknowledged is kept"
        );
    } else if !is_full && trouble.is_over() {
        tracing::info!(setting = "DATA_DIR", "there is room in `{folder}` again");
    }
}

//! Open descriptors of this process, and how many it may have.
//!
//! Invariant: never more than one directory is read for it, and none on a kernel (6.2 or newer) that
//! tells the number as the size of `/proc/self/fd`.

use std::fs;

use chaos_record::health::Used;
use rustix::process::{Resource, getrlimit};

const PATH: &str = "/proc/self/fd";

pub(super) fn used() -> Option<Used> {
    let told = fs::metadata(PATH).ok()?.len();
    let used = if told > 0 {
        told
    } else {
        fs::read_dir(PATH).ok()?.count() as u64
    };
    Some(Used {
        used,
        limit: getrlimit(Resource::Nofile).current?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_counted() {
        let before = used().expect("procfs").used;
        let files: Vec<_> = (0..64)
            .map(|_| fs::File::open("/dev/null").expect("a file"))
            .collect();
        let after = used().expect("procfs").used;
        // Other tests open and close some meanwhile.
        assert!(after >= before + 32, "{before} {after}");
        drop(files);
    }
}

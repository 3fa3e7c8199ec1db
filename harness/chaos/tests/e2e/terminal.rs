//! A terminal or reader that stands still changes nothing in a run.

use std::io::Write;
use std::process::Stdio;

use rustix::pipe::{fcntl_setpipe_size, pipe};

use crate::leftovers::assert_clean;
use crate::program::Place;

/// The smallest pipe there is: one page.
const PIPE_BYTES: usize = 4096;

/// The writing end of a full pipe, and the reading end that nobody reads.
fn full_pipe() -> (std::fs::File, std::fs::File) {
    let (reader, writer) = pipe().expect("room for a pipe");
    fcntl_setpipe_size(&writer, PIPE_BYTES).expect("a small pipe");
    let mut writer = std::fs::File::from(writer);
    writer
        .write_all(&[b'.'; PIPE_BYTES])
        .expect("as much as it holds");
    (writer, reader.into())
}

#[test]
fn a_run_that_nobody_reads_goes_on_and_ends() {
    let place = Place::new();
    let (stderr, _nobody_reads_stderr) = full_pipe();
    let (stdout, _nobody_reads_stdout) = full_pipe();
    let child = place
        .command(&["run", "smoke", "--json", "-v"])
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .spawn()
        .expect("the program starts");
    let ended = place.wait(child);
    // Killed by its guardian it would have no code, and its record no end.
    ended.assert_code(0);
    assert_clean(&place, "a terminal that stood still");
}

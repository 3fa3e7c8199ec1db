//! `chaos report`: every output of a run again, from its record alone.

use std::path::{Path, PathBuf};

use crate::cli::ReportArgs;
use crate::output::{Failure, Output};
use crate::outputs;

pub(super) fn report(args: &ReportArgs, output: &Output) -> Result<u8, Failure> {
    let path = record_path(&args.run);
    let record = outputs::read_record(&path)?;
    let judged = outputs::Judged::new(record);
    if args.json {
        output.give(&judged.result_json());
        return Ok(judged.verdict.exit.code);
    }
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| path.parent().map(Path::to_owned).unwrap_or_default());
    let report = judged.write(&folder)?;
    output.say(&judged.closing(output.color, &report));
    Ok(judged.verdict.exit.code)
}

fn record_path(run: &Path) -> PathBuf {
    if run.is_dir() {
        run.join("record.jsonl")
    } else {
        run.to_owned()
    }
}

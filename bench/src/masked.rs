//! Runs a program where the kernel does not tell it the address of the vDSO.
//!
//! Valgrind takes the vDSO out of the memory of its client and out of what the client is told, but it does not know
//! `PR_GET_AUXV` (Linux 6.4), by which `chaos` asks first; the address it then gets is that of nothing, and it dies.
//! Refused here, the program asks where valgrind answers.
//! Invariant: nothing else that the program asks of the kernel is changed.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// `PR_GET_AUXV`, from `linux/prctl.h`.
const GET_AUXV: u64 = 0x4155_5856;
/// `EINVAL`: what a kernel answers that does not know it.
const INVALID: u32 = 22;
/// Number of the system call `prctl`.
const PRCTL: i64 = if cfg!(target_arch = "x86_64") {
    157
} else {
    167
};

/// Becomes `program`; comes back only if that fails.
pub(crate) fn become_program(program: &OsString, arguments: &[OsString]) -> Result<Infallible> {
    let filter = filter().context("failed to make a filter of system calls")?;
    seccompiler::apply_filter(&filter).context("failed to set a filter of system calls")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("failed to become `{}`", program.display()))
}

fn filter() -> Result<BpfProgram> {
    let asks = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, GET_AUXV)?;
    let rules = [(PRCTL, vec![SeccompRule::new(vec![asks])?])];
    let filter = SeccompFilter::new(
        rules.into(),
        SeccompAction::Allow,
        SeccompAction::Errno(INVALID),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named() {
        // A filter holds for the thread that sets it.
        let failed =
            std::thread::spawn(|| become_program(&"/no/such/program".into(), &[]).unwrap_err());
        let error = format!("{:#}", failed.join().unwrap());
        assert!(
            error.contains("failed to become `/no/such/program`"),
            "{error}"
        );
    }
}

//! The sandbox of the commands.

use anyhow::Context;
use keyrelay_sandbox::{Compilation, CompileCommand, Sandbox};

/// The hidden command by which `keyrelay` starts itself to compile a policy.
pub(crate) const COMPILE_POLICY: &str = "compile-policy";

/// Sets up the sandbox. A policy is compiled in a process of its own, with limits: it may be from
/// elsewhere.
pub(crate) fn new() -> anyhow::Result<Sandbox> {
    let compiler = CompileCommand::of_this_program(COMPILE_POLICY)
        .context("cannot find the file of this program")?;
    Ok(Sandbox::new(Compilation::ChildProcess(compiler))?)
}

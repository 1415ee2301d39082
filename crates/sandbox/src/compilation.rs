//! Where policies are compiled: in this process, or in one of its own with limits.

use std::path::PathBuf;

use bytes::Bytes;

use crate::compile_process;
use crate::engine::Compilers;
use crate::error::LoadError;

/// Where policies are compiled.
#[derive(Debug, Clone)]
pub enum Compilation {
    /// In this process, without a limit. Only for files that you have built yourself: a small file
    /// can be made to take the compiler minutes, and all memory.
    InProcess,
    /// In a process of its own, with limits of time and memory that grow with the file.
    ChildProcess(CompileCommand),
}

/// A program that calls [`compile_policy`](crate::compile_policy), as `keyrelay-host` and `keyrelay`
/// do.
#[derive(Debug, Clone)]
pub struct CompileCommand {
    pub(crate) program: PathBuf,
    pub(crate) argument: &'static str,
}

impl CompileCommand {
    /// This program, started with `argument`.
    pub fn of_this_program(argument: &'static str) -> std::io::Result<Self> {
        // The name of the file may be that of the next version by now, whose engine differs.
        let program = match cfg!(target_os = "linux") {
            true => PathBuf::from("/proc/self/exe"),
            false => std::env::current_exe()?,
        };
        Ok(Self { program, argument })
    }
}

impl Compilation {
    /// Compiles a policy's file to machine code for every processor of this architecture. Equal
    /// files give equal code.
    pub(crate) async fn compile(&self, file: Bytes) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::InProcess => blocking(move || Ok(Compilers::precompile(&file)?)).await,
            Self::ChildProcess(command) => compile_process::compile(command, &file).await,
        }
    }
}

/// Runs long work on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LoadError::Compile(error.to_string()))?
}

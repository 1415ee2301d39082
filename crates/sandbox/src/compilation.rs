//! Where policies are compiled: in this process, or in one of its own with limits.

use bytes::Bytes;

use crate::compile_process::{self, CompileCommand};
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

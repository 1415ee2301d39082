//! Compiles a policy in a process of its own, so that a file that is made to take the compiler
//! minutes, or all memory, costs its limits and nothing else.
//!
//! The child gets the file on standard input. It writes the machine code to standard output and
//! exits with 0, or writes an [`InvalidFile`] as JSON and exits with [`INVALID`]. It has no
//! environment, because that of a function app holds the key of its identity.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::compile_limits::{CompileLimits, LARGEST_CODE};
use crate::engine::Compilers;
use crate::error::{InvalidFile, LoadError};
use crate::files::LARGEST_FILE;
use crate::redaction::truncated;

/// The exit code for a file that is not valid.
const INVALID: u8 = 3;

/// The part of the child's standard error that is read, in bytes.
const COMPLAINT: u64 = 4 << 10;

/// The words by which Rust's runtime ends a process that gets no more memory.
const NO_MEMORY: &str = "memory allocation of";

/// A program that calls [`compile_policy`], as `keyrelay-host` and `keyrelay` do.
#[derive(Debug, Clone)]
pub struct CompileCommand {
    program: PathBuf,
    argument: &'static str,
}

impl CompileCommand {
    /// This program, started with `argument`.
    pub fn of_this_program(argument: &'static str) -> io::Result<Self> {
        // The name of the file may be that of the next version by now, whose engine differs.
        let program = match cfg!(target_os = "linux") {
            true => PathBuf::from("/proc/self/exe"),
            false => std::env::current_exe()?,
        };
        Ok(Self { program, argument })
    }
}

/// Starts the child and waits for the compiled policy. The child ends with the returned future.
pub(crate) async fn compile(command: &CompileCommand, file: &[u8]) -> Result<Vec<u8>, LoadError> {
    let limits = CompileLimits::of(file.len());
    let failed = |error: io::Error| {
        LoadError::Compile(format!("a process for it cannot be started: {error}"))
    };
    let child = Command::new(&command.program)
        .arg(command.argument)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let exchanged = tokio::time::timeout(limits.wait, exchange(child, file)).await;
    let Ok(exchanged) = exchanged else {
        return Err(LoadError::CompileTime { limit: limits.time });
    };
    exchanged.map_err(failed)?.result(limits)
}

/// What a child has left behind.
struct Exited {
    status: ExitStatus,
    output: Vec<u8>,
    complaint: String,
}

async fn exchange(mut child: Child, file: &[u8]) -> io::Result<Exited> {
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(stdin) = &mut stdin {
            // A child that ends early says why by its exit.
            let _ = stdin.write_all(file).await;
        }
        drop(stdin.take());
    };
    let mut output = Vec::new();
    let read = async {
        match stdout {
            Some(stdout) => stdout.take(LARGEST_CODE + 1).read_to_end(&mut output).await,
            None => Ok(0),
        }
    };
    let mut complaint = Vec::new();
    let listen = async {
        match stderr {
            Some(stderr) => stderr.take(COMPLAINT).read_to_end(&mut complaint).await,
            None => Ok(0),
        }
    };
    let ((), read, listened) = tokio::join!(write, read, listen);
    read?;
    listened?;
    Ok(Exited {
        status: child.wait().await?,
        output,
        complaint: String::from_utf8_lossy(&complaint).into_owned(),
    })
}

impl Exited {
    fn result(self, limits: CompileLimits) -> Result<Vec<u8>, LoadError> {
        if self.output.len() as u64 > LARGEST_CODE {
            return Err(LoadError::Compile(format!(
                "its machine code has more than {} MiB, build it from less code",
                LARGEST_CODE >> 20
            )));
        }
        if self.is_out_of_time() {
            return Err(LoadError::CompileTime { limit: limits.time });
        }
        match self.status.code() {
            Some(0) => Ok(self.output),
            Some(code) if code == i32::from(INVALID) => {
                let invalid: Option<InvalidFile> = serde_json::from_slice(&self.output).ok();
                Err(invalid.map_or_else(|| self.failure(), LoadError::File))
            }
            _ if self.complaint.contains(NO_MEMORY) => Err(LoadError::CompileMemory {
                limit: limits.memory,
            }),
            _ => Err(self.failure()),
        }
    }

    /// Whether the system has ended the process at its limit of processor time.
    #[cfg(unix)]
    fn is_out_of_time(&self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        self.status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
    }

    #[cfg(not(unix))]
    fn is_out_of_time(&self) -> bool {
        false
    }

    fn failure(&self) -> LoadError {
        let complaint = truncated(self.complaint.trim());
        LoadError::Compile(match complaint.is_empty() {
            true => format!("the compiler ended with {}", self.status),
            false => format!("the compiler ended with {}: {complaint}", self.status),
        })
    }
}

/// The whole of a process that compiles the policy on its standard input.
pub fn compile_policy() -> ExitCode {
    match compile_stdin() {
        Ok(code) => code,
        Err(error) => {
            // The reader may be gone.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn compile_stdin() -> io::Result<ExitCode> {
    let mut file = Vec::new();
    io::stdin().take(LARGEST_FILE + 1).read_to_end(&mut file)?;
    #[cfg(unix)]
    limit_this_process(CompileLimits::of(file.len()));
    let (output, code) = match Compilers::precompile(&file) {
        Ok(compiled) => (compiled, ExitCode::SUCCESS),
        Err(invalid) => (serde_json::to_vec(&invalid)?, ExitCode::from(INVALID)),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&output)?;
    stdout.flush()?;
    Ok(code)
}

/// Limits the memory and the processor time of this process. The system ends it before others if
/// memory runs out.
///
/// A limit that cannot be set does not stop the compilation: the caller still limits how long it
/// waits.
#[cfg(unix)]
fn limit_this_process(limits: CompileLimits) {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let limit = |resource, most: u64| {
        let limit = Rlimit {
            current: Some(most),
            // At the lower one it gets a signal that says which limit it is.
            maximum: Some(most.saturating_add(1)),
        };
        let _ = setrlimit(resource, limit);
    };
    // Linux counts all private memory that can be written.
    limit(Resource::Data, limits.memory);
    limit(Resource::Cpu, limits.time.as_secs());
    limit(Resource::Core, 0);
    if cfg!(target_os = "linux") {
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
}

//! Server processes and their memory.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The timeout for a server to become ready. It usually needs far less.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The URL of a container that does not exist. An idle process sends it no request.
pub(crate) const NO_CONTAINER: &str = "http://127.0.0.1:9/account/keyrelay";

/// The id of a tenant and of a subscription that do not exist.
const NO_ID: &str = "00000000-0000-0000-0000-000000000001";

/// A server process. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the floor: the axum server that links wasmtime and loads nothing.
    pub(crate) fn floor() -> Self {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay-floor"));
        command
            .arg(address.port().to_string())
            .stdout(Stdio::null());
        Self {
            child: command.spawn().unwrap(),
            address,
        }
    }

    /// Starts a script with Node.js, with its port and these paths as its arguments. None: Node.js is
    /// not installed.
    pub(crate) fn node(script: &Path, paths: &[&Path]) -> Option<Self> {
        let address = free_address();
        let mut command = Command::new("node");
        command.arg(script).arg(address.port().to_string());
        let child = command.args(paths).stdout(Stdio::null()).spawn().ok()?;
        Some(Self { child, address })
    }

    /// Starts keyrelay-host in the folder of a function app, like the Functions host.
    pub(crate) fn keyrelay(app: &Path) -> Self {
        Self::keyrelay_to(app, NO_CONTAINER, Stdio::null())
    }

    fn keyrelay_to(app: &Path, store: &str, stdout: Stdio) -> Self {
        let address = free_address();
        let mut command = Command::new(app.join("keyrelay-host"));
        command.current_dir(app).env_clear().stdout(stdout);
        command.env("FUNCTIONS_CUSTOMHANDLER_PORT", address.port().to_string());
        command.env("FUNCTIONS_APP_ROOT_PATH", app);
        command.env("KEYRELAY_STORE", store);
        // Without a scope it would find no app, and does not start.
        command.env("KEYRELAY_SCOPE", format!("/subscriptions/{NO_ID}"));
        // The endpoint does not exist, and is never requested.
        command
            .env("IDENTITY_ENDPOINT", "http://127.0.0.1:9/token")
            .env("IDENTITY_HEADER", "none");
        Self {
            child: command.spawn().unwrap(),
            address,
        }
    }

    /// Starts keyrelay-host as a webhook. Returns the address for its probes too.
    pub(crate) fn webhook(app: &Path) -> (Self, SocketAddr) {
        let [address, probes] = [free_address(), free_address()];
        let table = format!(
            "{{ listen = \"{address}\", tenant = \"{NO_ID}\", audience = \"a\", role = \"r\" }}"
        );
        let mut command = Command::new(app.join("keyrelay-host"));
        command.arg("--webhook").current_dir(app).env_clear();
        command
            .stdout(Stdio::null())
            .env("KEYRELAY_WEBHOOK", table)
            .env("KEYRELAY_PROBE_LISTEN", probes.to_string())
            .env("KEYRELAY_SCOPE", format!("/subscriptions/{NO_ID}"))
            .env("KEYRELAY_STORE", app.join("store"))
            .env("IDENTITY_ENDPOINT", "http://127.0.0.1:9/token")
            .env("IDENTITY_HEADER", "none");
        let child = command.spawn().unwrap();
        let server = Self { child, address };
        server.until_ready();
        (server, probes)
    }

    /// Starts keyrelay-host and waits until its start-up work is done.
    pub(crate) fn keyrelay_at_rest(app: &Path, store: &str) -> Self {
        let mut server = Self::keyrelay_to(app, store, Stdio::piped());
        let lines = BufReader::new(server.child.stdout.take().unwrap());
        wait_for_line(lines, "policies are loaded");
        server.until_ready();
        // The allocator returns memory to the system during this time.
        thread::sleep(Duration::from_secs(1));
        server
    }

    /// Waits for the first response to `GET /`.
    pub(crate) fn until_ready(&self) {
        let began = Instant::now();
        while !self.is_ready() {
            assert!(
                began.elapsed() < READY_TIMEOUT,
                "no response from {}",
                self.address
            );
            thread::sleep(Duration::from_micros(100));
        }
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            return false;
        };
        let mut status_line = [0; 12];
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .is_ok()
            && stream.read_exact(&mut status_line).is_ok()
            && status_line.ends_with(b" 200")
    }

    /// The resident memory of the process in bytes, including shared pages.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(&self.process(), "VmRSS:").unwrap()
    }

    /// The largest resident memory of the process so far, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        memory_of(&self.process(), "VmHWM:").unwrap()
    }

    fn process(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.id()))
    }
}

/// The resident memory of the largest process whose program is in a folder, in bytes.
pub(crate) fn memory_of_programs_in(folder: &Path) -> u64 {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let ours = processes.filter(|process| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        line.starts_with(folder.as_os_str().as_encoded_bytes())
    });
    ours.filter_map(|process| memory_of(&process, "VmRSS:"))
        .max()
        .unwrap_or(0)
}

/// The resident memory of a process, as Linux reports it in a field, in bytes.
fn memory_of(process: &Path, field: &str) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for_line(mut lines: BufReader<ChildStdout>, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "keyrelay-host ended before it said `{words}`"
        );
    }
    // The process would block on a full pipe.
    thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

/// The target folder of cargo.
pub(crate) fn target_folder() -> PathBuf {
    // This program is in `<target>/release/deps`.
    std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned()
}

/// The program keyrelay-host. `cargo xtask bench` names it in `KEYRELAY_HOST`; otherwise it is
/// built like this program.
#[expect(clippy::disallowed_methods, reason = "`cargo xtask bench` sets it")]
pub(crate) fn keyrelay_host() -> PathBuf {
    if let Some(shipped) = std::env::var_os("KEYRELAY_HOST") {
        return shipped.into();
    }
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([
                "build",
                "--release",
                "--package",
                "keyrelay-host",
                "--target-dir",
            ])
            .arg(target_folder());
        assert!(
            cargo.status().unwrap().success(),
            "keyrelay-host cannot be built"
        );
    });
    target_folder().join("release").join("keyrelay-host")
}

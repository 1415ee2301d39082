//! The quick start, each command as it is on its page.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use zip::ZipArchive;

/// Building a policy downloads crates and compiles them.
const PATIENCE: Duration = Duration::from_secs(300);
const PAGE: &str = include_str!("../../../../docs/quick-start.md");

/// The shell blocks below a heading, in their order.
fn blocks(heading: &str) -> Vec<&'static str> {
    let (_, part) = PAGE.split_once(heading).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let blocks: Vec<_> = part
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(!blocks.is_empty(), "nothing below `{heading}`");
    blocks
}

/// A home folder, and a clone in which the demonstration was built.
struct Reader {
    folder: TempDir,
}

impl Reader {
    /// None if no package was made: its keyrelay-host is the one that is used.
    fn new() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "how `cargo xtask test` says it")]
        let package = PathBuf::from(std::env::var_os("KEYRELAY_PACKAGE")?);
        let reader = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let target = reader.clone().join("target");
        ZipArchive::new(File::open(package).unwrap())
            .unwrap()
            .extract(target.join("app"))
            .unwrap();
        // As `cargo xtask demo` leaves it: without a lock, so that policies can be dropped in.
        fs::remove_file(target.join("app/policies.lock")).unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_keyrelay")).parent().unwrap();
        std::os::unix::fs::symlink(built, target.join("debug")).unwrap();
        fs::create_dir(reader.home()).unwrap();
        Some(reader)
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn clone(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    /// A shell that ends at the first command which fails, with what the page exports at its
    /// beginning.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        let begin = "export PATH=\"$KEYRELAY/target/debug:$PATH\"\n";
        command
            .args(["-ec", &format!("{begin}{script}")])
            .current_dir(self.folder.path());
        // Rust is installed for the person, not for the folder that is home here.
        #[expect(clippy::disallowed_methods, reason = "where rustup is")]
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let (None, Some(home)) = (std::env::var_os(variable), std::env::home_dir()) {
                command.env(variable, home.join(folder));
            }
        }
        command
            .env("HOME", self.home())
            .env("KEYRELAY", self.clone())
            .env_remove("CARGO_TARGET_DIR");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, script: &str) -> String {
        let output = tokio::time::timeout(PATIENCE, self.shell(script).output())
            .await
            .expect("not in time")
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{script}\n{printed}");
        printed
    }

    async fn start(&self, script: &str) -> Terminal {
        let mut child = self
            .shell(script)
            .stdout(Stdio::piped())
            .kill_on_drop(false)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line == "Ctrl-C ends everything" {
                    return;
                }
            }
            panic!("it has ended: {script}");
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .expect("not in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Terminal(child)
    }
}

/// The first terminal. `Ctrl-C` in it ends everything, keyrelay-host included.
struct Terminal(Child);

impl Drop for Terminal {
    fn drop(&mut self) {
        let Some(id) = self.0.id() else { return };
        drop(
            std::process::Command::new("kill")
                .args(["-INT", &id.to_string()])
                .status(),
        );
    }
}

/// The first of five free ports.
fn ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (20_000..30_000)
        .step_by(5)
        .find(|&first| (first..first + 5).all(is_free))
        .unwrap()
}

#[tokio::test]
async fn the_quick_start_works_as_it_is_written() {
    let Some(reader) = Reader::new() else { return };
    let made = reader.run(&blocks("\n## 2. ").concat()).await;
    assert!(made.contains("3 cases: 3 as expected, 0 failed"), "{made}");
    assert!(
        made.contains("decision  patch") && made.contains("SecretVersion="),
        "{made}"
    );

    let port = format!("127.0.0.1:{}", ports());
    let here = |block: &str| {
        let block = block
            .replace("127.0.0.1:4001", &port)
            .replace("--port 4001", &port.replace("127.0.0.1:", "--port "));
        block.replace(
            "/path/to/keyrelay ",
            &format!("'{}' ", reader.clone().display()),
        )
    };
    let blocks = blocks("\n## 3. ");
    let (first, others) = blocks.split_first().unwrap();
    // Without the shell in between, so that the program gets the signal.
    let _terminal = reader
        .start(&here(first).replace("keyrelay local", "exec keyrelay local"))
        .await;
    let rotated = reader.run(&here(&others.concat())).await;
    let refreshed = " refreshed (refreshed twice) ";
    assert_eq!(rotated.matches(" verified (").count(), 2, "{rotated}");
    // The run of the event, and that of the timer that has found the verdict.
    assert_eq!(rotated.matches(refreshed).count(), 2, "{rotated}");
}

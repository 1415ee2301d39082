//! `keyrelay local` with the real keyrelay-host: its lines, its errors, its end, and its store in a
//! real blob container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::harness::{Done, done, in_time};

/// The time that all processes have to end.
const END: Duration = Duration::from_secs(30);

/// The new value of a rotated secret.
const VALUE: &str = "planted-value-7";

/// `keyrelay local` while it runs, and its first lines of output.
struct Local {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
    announced: Vec<String>,
    folder: tempfile::TempDir,
}

impl Local {
    async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = function_app(folder.path());
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyrelay"))
            .arg("local")
            .arg("--app")
            .arg(app)
            .args(arguments)
            .current_dir(folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut announced = Vec::new();
        while announced
            .last()
            .is_none_or(|line: &String| !line.starts_with("Ctrl-C"))
        {
            let line = in_time(output.next_line()).await.unwrap();
            announced.push(line.expect("the program has ended"));
        }
        Self {
            child,
            output,
            errors,
            announced,
            folder,
        }
    }

    /// The processes that it has started, by their ids.
    fn children(&self) -> Vec<u32> {
        let pid = self.child.id().unwrap();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")));
        let children: Vec<String> = children.map(Result::unwrap).collect();
        let pids = children.iter().flat_map(|pids| pids.split_whitespace());
        pids.map(|pid| pid.parse().unwrap()).collect()
    }

    /// Sends a signal, and expects that it ends with success, and all its children with it.
    async fn ends_by(mut self, signal: &str) -> tempfile::TempDir {
        let (pid, children) = (self.child.id().unwrap(), self.children());
        assert!(!children.is_empty());
        let started = Instant::now();
        let mut kill = Command::new("kill");
        kill.args(["-s", signal, &pid.to_string()]);
        assert!(in_time(kill.status()).await.unwrap().success());
        // The pipe ends with the last process that can write to it.
        while in_time(self.output.next_line()).await.unwrap().is_some() {}
        let status = in_time(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
        for child in children {
            while Path::new(&format!("/proc/{child}")).exists() {
                assert!(started.elapsed() < END, "process {child} is still there");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        assert!(started.elapsed() < END, "{:?}", started.elapsed());
        self.folder
    }

    /// The variables in the lines that begin with `export`.
    fn exported(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.announced.iter();
        lines.filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("export ")?.split_once('=')?;
            Some((name, value.trim_matches('\'')))
        })
    }

    /// The next line of output with these words in it, and all lines before it.
    async fn line_with(&mut self, words: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        // For all lines together: the timer adds one each minute.
        let found = async {
            loop {
                let line = self.output.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("the program has ended: {before:#?}"));
                if line.contains(words) {
                    return line;
                }
                before.push(line);
            }
        };
        (in_time(found).await, before)
    }

    /// The next line on standard error with these words in it.
    async fn warning_with(&mut self, words: &str) -> String {
        let found = async {
            loop {
                let line = self.errors.next_line().await.unwrap();
                let line = line.expect("the program has ended");
                if line.contains(words) {
                    return line;
                }
            }
        };
        in_time(found).await
    }

    /// Rotates the secret of the default world.
    async fn rotate(&self) {
        let line = self
            .announced
            .iter()
            .find(|line| line.starts_with("Resource Manager"));
        let url = line.unwrap().split_whitespace().nth(2).unwrap();
        let url = format!("{url}local/vaults/contoso-kv/secrets/sql-password");
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60));
        let request = client.build().unwrap().put(url).body(VALUE);
        let response = request.send().await;
        assert!(response.unwrap().status().is_success());
    }
}

/// A function app with the real keyrelay-host and one policy.
fn function_app(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let app = folder.join("app");
    fs::create_dir(&app).unwrap();
    for file in ["host.json", "keyrelay.toml"] {
        fs::copy(root.join(file), app.join(file)).unwrap();
    }
    for function in ["SecretEvent", "Reconcile"] {
        fs::create_dir(app.join(function)).unwrap();
        let file = format!("{function}/function.json");
        fs::copy(root.join(&file), app.join(file)).unwrap();
    }
    fs::create_dir(app.join("policies")).unwrap();
    let policy = "policies/follow.wasm";
    fs::copy(root.join(policy), app.join(policy)).unwrap();
    let host = PathBuf::from(env!("CARGO_BIN_EXE_keyrelay")).with_file_name("keyrelay-host");
    assert!(
        host.is_file(),
        "build it first: cargo build --package keyrelay-host"
    );
    std::os::unix::fs::symlink(host, app.join("keyrelay-host")).unwrap();
    app
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_signal_that_ends_it_ends_keyrelay_host_too() {
    for signal in ["TERM", "HUP", "INT"] {
        Local::start(&[]).await.ends_by(signal).await;
    }
}

/// Runs it with the function app in the folder `app` until it ends by itself.
async fn ended(folder: &Path) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command
        .args(["local", "--app", "app"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    done(command).await
}

#[tokio::test]
async fn a_rotation_is_a_short_line_without_json_and_without_the_value() {
    let mut local = Local::start(&["--profile", "ideal"]).await;
    let app = local.folder.path().join("app");
    let shown = format!("function app      {}", app.display());
    assert!(local.announced.contains(&shown), "{:#?}", local.announced);
    let reload = format!("a change of {}/keyrelay.toml needs", app.display());
    let mut announced = local.announced.iter();
    assert!(announced.any(|it| it.starts_with(&reload)), "{reload}");
    local.rotate().await;
    let (line, mut lines) = local.line_with("  verified  ").await;
    let text = "  verified    orders sql-password: `SQL` is resolved with version ";
    let time = line.split(text).next().unwrap();
    assert!(
        line.contains(text) && time.len() == "16:52:41".len(),
        "{line}"
    );
    lines.push(line);
    // Its end is known by the response, which may be read before the lines on standard output.
    let done = "  done        SecretEvent in ";
    if !lines.iter().any(|it| it.contains(done)) {
        lines.push(local.line_with(done).await.0);
    }
    let ready = "  info        keyrelay-host is ready (mode: Enforce; store: /";
    assert!(lines.iter().any(|it| it.contains(ready)), "{lines:#?}");
    for line in lines {
        assert!(!line.contains('{') && !line.contains(VALUE), "{line}");
    }
}

#[tokio::test]
async fn the_lines_of_the_functions_host_can_be_shown_as_they_are() {
    let mut local = Local::start(&["--profile", "ideal", "--log", "json"]).await;
    local.rotate().await;
    let (line, _) = local.line_with("\"verdict\":\"verified\"").await;
    let (before, json) = line.split_once(": {").unwrap();
    let source = "Z [Information] Host.Function.Console";
    assert!(before.ends_with(source), "{line}");
    let fields: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
    assert_eq!(fields["secret.name"], "sql-password");
    assert!(!line.contains(VALUE), "{line}");
}

#[tokio::test]
async fn a_wrong_configuration_ends_it_with_the_file_the_field_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let app = function_app(folder.path());
    fs::write(app.join("keyrelay.toml"), "mode = \"on\"\n").unwrap();
    let wrong = ended(folder.path()).await;
    assert_eq!(wrong.code, Some(1), "{}{}", wrong.output, wrong.errors);
    let in_folder = format!("the function app in {} cannot be used", app.display());
    assert!(wrong.errors.contains(&in_folder), "{}", wrong.errors);
    let words = "\n  keyrelay.toml: mode: `on` is none of `enforce`, `monitor`, `off`";
    assert!(wrong.errors.contains(words), "{}", wrong.errors);

    fs::write(app.join("keyrelay.toml"), "").unwrap();
    fs::remove_dir_all(app.join("policies")).unwrap();
    let without = ended(folder.path()).await;
    assert_eq!(without.code, Some(1), "{}", without.errors);
    let words = format!("policies: the folder {}/policies does not", app.display());
    assert!(without.errors.contains(&words), "{}", without.errors);
}

#[tokio::test]
async fn it_ends_with_keyrelay_host_and_shows_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let app = function_app(folder.path());
    fs::write(app.join("policies.lock"), "no lock").unwrap();
    let done = ended(folder.path()).await;
    assert_eq!(done.code, Some(1), "{}{}", done.output, done.errors);
    let reason = format!("  error       {}/policies.lock is not valid", app.display());
    assert!(done.output.contains(&reason), "{}", done.output);
    let error = "error: keyrelay-host is stopped: too many crashes";
    assert!(done.errors.contains(error), "{}", done.errors);
}

#[tokio::test]
async fn a_change_of_the_configuration_is_reported_and_not_applied() {
    let mut local = Local::start(&["--profile", "ideal"]).await;
    let file = local.folder.path().join("app/keyrelay.toml");
    fs::write(&file, "mode = \"monitor\"\n").unwrap();
    let warning = local.warning_with("keyrelay.toml has changed").await;
    let start = format!("warning: {} has changed", file.display());
    assert!(warning.starts_with(&start), "{warning}");
    let fix = "start `keyrelay local` again";
    assert!(warning.contains(fix), "{warning}");
    local.rotate().await;
    let (line, _) = local.line_with("orders sql-password: ").await;
    assert!(line.contains("  verified  "), "not monitored: {line}");

    fs::write(&file, "mode = \"on\"\n").unwrap();
    local.warning_with("has changed and cannot be used").await;
    local.warning_with("  keyrelay.toml: mode: `on`").await;
}

#[tokio::test]
async fn an_azurite_that_is_not_there_is_an_error_that_says_how_to_install_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command
        .args(["local", "--azurite"])
        .env_remove("KEYRELAY_AZURITE");
    let without_path = done(command).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command.args(["local", "--azurite", "nowhere/main.js"]);
    let wrong_path = done(command).await;
    for done in [without_path, wrong_path] {
        assert_eq!(done.code, Some(1), "{}", done.errors);
        assert!(
            done.errors.contains("npm install azurite"),
            "{}",
            done.errors
        );
    }
}

/// Runs if `cargo xtask test` has installed Azurite.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn with_azurite_the_runs_are_in_a_blob_container_that_another_terminal_can_read() {
    #[expect(clippy::disallowed_methods, reason = "the one variable of these tests")]
    let Some(script) = std::env::var_os("KEYRELAY_AZURITE") else {
        return;
    };
    let local = Local::start(&["--profile", "ideal", "--azurite"]).await;
    assert_eq!(local.children().len(), 2, "keyrelay-host and {script:?}");
    local.rotate().await;
    let listed = async {
        loop {
            let mut runs = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
            runs.arg("runs")
                .envs(local.exported())
                .current_dir(local.folder.path());
            let runs = done(runs).await;
            if runs.output.contains("sql-password") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    in_time(listed).await;
    let folder = local.ends_by("TERM").await;
    let mut entries: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    entries.sort();
    assert_eq!(
        entries,
        ["app"],
        "the folder of Azurite is deleted, and there is no other store"
    );
}

//! The test binaries of the workspace, as cargo builds them for a full run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::shell;

/// A program with unit tests or integration tests.
pub(crate) struct TestBinary {
    pub(crate) package: String,
    /// The name of the target: the crate, or the file of integration tests.
    pub(crate) target: String,
    pub(crate) is_integration_test: bool,
    executable: PathBuf,
    /// The folder of the package. Tests run in it.
    folder: PathBuf,
}

impl TestBinary {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder);
        command
    }
}

/// Builds the unit tests and the integration tests named `it` of all packages. With `--workspace`,
/// the features of dependencies are those of a full run, so nothing is built twice.
pub(crate) fn build() -> anyhow::Result<Vec<TestBinary>> {
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--workspace", "--lib", "--bins", "--test", "it"])
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cannot run `cargo`")?;
    ensure!(
        output.status.success(),
        "`cargo test --no-run` ended with {}",
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut binaries: Vec<TestBinary> = messages.lines().filter_map(test_binary).collect();
    // Cargo reports them as they are built.
    binaries.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(binaries)
}

/// The test binary that a message of cargo is about, if it is about one.
fn test_binary(message: &str) -> Option<TestBinary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message.pointer("/profile/test")?.as_bool()?;
    let executable = message.get("executable")?.as_str()?;
    let target = message.get("target")?;
    let kinds = target.get("kind")?.as_array()?;
    let manifest = PathBuf::from(message.get("manifest_path")?.as_str()?);
    let folder = manifest.parent()?.to_owned();
    is_test.then(|| TestBinary {
        package: package(message.get("package_id").and_then(Value::as_str)),
        target: target
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        is_integration_test: kinds.iter().any(|kind| kind == "test"),
        executable: executable.into(),
        folder,
    })
}

/// The name in a package id: `path+file:///keyrelay/crates/xtask#0.1.0`, or `...#name@0.1.0` where
/// the folder has another name.
fn package(id: Option<&str>) -> String {
    let (path, version) = id.unwrap_or_default().split_once('#').unwrap_or_default();
    match version.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => path.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_id() {
        let named = |id| package(Some(id));
        assert_eq!(named("path+file:///keyrelay/crates/xtask#0.1.0"), "xtask");
        assert_eq!(
            named("path+file:///keyrelay/crates/azure#keyrelay-azure@0.1.0"),
            "keyrelay-azure"
        );
    }

    #[test]
    fn only_tests_are_test_binaries() {
        let artifact = |test: bool, kind: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///r/crates/store#keyrelay-store@0.1.0",
                "manifest_path":"/r/crates/store/Cargo.toml","target":{{"kind":["{kind}"],"name":"it"}},
                "profile":{{"test":{test}}},"executable":"/r/target/debug/deps/it-0"}}"#
            )
        };
        let binary = test_binary(&artifact(true, "test")).unwrap();
        assert_eq!(
            (binary.package.as_str(), binary.target.as_str()),
            ("keyrelay-store", "it")
        );
        assert!(binary.is_integration_test);
        assert!(
            !test_binary(&artifact(true, "lib"))
                .unwrap()
                .is_integration_test
        );
        assert!(test_binary(&artifact(false, "bin")).is_none());
        assert!(test_binary("not JSON").is_none());
    }
}

//! The package: what goes in, what is refused, and that it works as it is deployed.
//!
//! `cargo xtask test` makes it and says where it is; without that there is no static keyrelay-host
//! to pack.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use zip::{ZipArchive, ZipWriter};

use crate::harness::{Done, done};

/// A folder to build packages in.
struct Desk {
    folder: TempDir,
    package: PathBuf,
}

impl Desk {
    /// None if no package was made.
    fn new() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "how `cargo xtask test` says it")]
        let package = PathBuf::from(std::env::var_os("KEYRELAY_PACKAGE")?);
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            package,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn archive(&self, name: &str) -> ZipArchive<File> {
        ZipArchive::new(File::open(self.path(name)).unwrap()).unwrap()
    }

    /// The released package with one more entry.
    fn add(&self, file: &str, name: &str) {
        fs::copy(&self.package, self.path(file)).unwrap();
        let package = File::options()
            .read(true)
            .write(true)
            .open(self.path(file))
            .unwrap();
        let mut archive = ZipWriter::new_append(package).unwrap();
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(b"{}").unwrap();
        archive.finish().unwrap();
    }

    /// The released package with other files in it.
    fn base(&self, name: &str, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> String {
        let mut from = ZipArchive::new(File::open(&self.package).unwrap()).unwrap();
        let mut to = ZipWriter::new(File::create(self.path(name)).unwrap());
        for number in 0..from.len() {
            let mut entry = from.by_index(number).unwrap();
            let file = entry.name().unwrap().into_owned();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            if let Some(bytes) = change(&file, bytes) {
                to.start_file(file.as_str(), zip::write::SimpleFileOptions::default())
                    .unwrap();
                to.write_all(&bytes).unwrap();
            }
        }
        to.finish().unwrap();
        name.to_owned()
    }

    async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .stdin(Stdio::null());
        done(command).await
    }

    /// Expects that nothing is packed, for this reason.
    async fn refused(&self, arguments: &[&str], reason: &str) {
        self.ends(1, arguments, reason).await;
    }

    async fn ends(&self, code: i32, arguments: &[&str], reason: &str) {
        let refused = self
            .run(&[&["package"], arguments, &["-o", "refused.zip"]].concat())
            .await;
        assert_eq!(
            refused.code,
            Some(code),
            "{arguments:?}: {}",
            refused.errors
        );
        assert!(
            refused.errors.contains(reason),
            "{arguments:?}: {}",
            refused.errors
        );
        assert!(!self.path("refused.zip").exists());
    }

    fn released(&self) -> &str {
        self.package.to_str().unwrap()
    }
}

fn shipped(policy: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../policies/{policy}.wasm")))
        .unwrap()
}

#[tokio::test]
async fn the_package_rotates_a_secret_as_it_is_deployed() {
    let Some(desk) = Desk::new() else { return };
    let app = desk.path("app");
    ZipArchive::new(File::open(&desk.package).unwrap())
        .unwrap()
        .extract(&app)
        .unwrap();
    let mode = fs::metadata(app.join("keyrelay-host"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755, "{mode:o}");
    for file in [
        "host.json",
        "SecretEvent/function.json",
        "Reconcile/function.json",
        "keyrelay.toml",
        "policies.lock",
    ] {
        assert!(app.join(file).is_file(), "{file}");
    }
    let inspected = desk.run(&["inspect", "app"]).await;
    assert!(
        inspected.code == Some(0) && !inspected.output.contains("quarantined"),
        "{}",
        inspected.output
    );
    // Every policy is precompiled for this platform, and locked.
    assert_eq!(
        inspected.output.matches("precompiled").count(),
        5,
        "{}",
        inspected.output
    );

    let shown = desk.run(&["demo", "--app", "app"]).await;
    assert_eq!(shown.code, Some(0), "{}\n{}", shown.output, shown.errors);
    assert!(
        shown.output.contains("steps were observed"),
        "{}",
        shown.output
    );
}

#[tokio::test]
async fn the_same_input_gives_the_same_bytes() {
    let Some(desk) = Desk::new() else { return };
    for name in ["one.zip", "two.zip"] {
        let made = desk
            .run(&["package", desk.released(), "-o", name, "--json"])
            .await;
        assert_eq!(made.code, Some(0), "{}", made.errors);
        let made: Value = serde_json::from_str(&made.output).unwrap();
        assert_eq!(made["policies"].as_array().unwrap().len(), 5);
        // Zip files have times of two seconds.
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }
    let [released, one, two] = [
        desk.package.clone(),
        desk.path("one.zip"),
        desk.path("two.zip"),
    ]
    .map(fs::read);
    assert!(
        one.as_ref().unwrap() == two.as_ref().unwrap(),
        "packed twice, it differs"
    );
    assert!(
        released.unwrap() == one.unwrap(),
        "what is packed of a package is another one"
    );
}

#[tokio::test]
async fn own_policies_and_configuration_go_in() {
    let Some(desk) = Desk::new() else { return };
    fs::create_dir(desk.path("mine")).unwrap();
    fs::write(desk.path("mine/sql.wasm"), shipped("pin")).unwrap();
    fs::write(desk.path("mine/notes.txt"), "not this").unwrap();
    fs::write(desk.path("mine.toml"), "mode = \"monitor\"\n").unwrap();
    let made = desk
        .run(&[
            "package",
            desk.released(),
            "--policies",
            "mine",
            "--config",
            "mine.toml",
        ])
        .await;
    assert_eq!(made.code, Some(0), "{}", made.errors);
    let mut archive = desk.archive("keyrelay.zip");
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    assert!(
        names.contains(&"policies/sql.wasm".to_owned())
            && names.contains(&"policies/sql.cwasm".to_owned())
    );
    assert!(
        !names.iter().any(|name| name.contains("notes")),
        "{names:?}"
    );
    let mut text = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("policies.lock").unwrap(), &mut text)
        .unwrap();
    assert!(text.contains("sql"), "{text}");
}

#[tokio::test]
async fn what_would_not_work_is_not_packed() {
    let Some(desk) = Desk::new() else { return };
    let released = desk.released();
    let write = |name: &str, bytes: &[u8]| {
        let file = desk.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    };
    desk.refused(&["."], "there is no host.json").await;
    desk.ends(2, &["gone.zip"], "there is no gone.zip").await;
    write("text.zip", b"no zip");
    desk.refused(&["text.zip"], "neither a folder nor a package")
        .await;
    let base = desk.base("no-host.zip", |name, bytes| {
        (name != "keyrelay-host").then_some(bytes)
    });
    desk.refused(&[&base], "there is no keyrelay-host").await;
    let base = desk.base("other.zip", |name, bytes| {
        Some(if name == "host.json" {
            b"{}".to_vec()
        } else {
            bytes
        })
    });
    desk.refused(
        &[&base],
        "`customHandler.description.defaultExecutablePath` is null",
    )
    .await;
    let base = desk.base("no-function.zip", |name, bytes| {
        (!name.ends_with("function.json")).then_some(bytes)
    });
    desk.refused(&[&base], "there is no function").await;
    // This program itself is for Linux, and not static.
    desk.refused(
        &[released, "--host", env!("CARGO_BIN_EXE_keyrelay")],
        "it needs a C library",
    )
    .await;
    write("script", b"#!/bin/sh\n");
    desk.refused(
        &[released, "--host", "script"],
        "it is no program for Linux",
    )
    .await;
    write("wrong.toml", b"mode = \"on\"\nscop = 1\n");
    desk.refused(
        &[released, "--config", "wrong.toml"],
        "mode: `on` is none of",
    )
    .await;
    desk.refused(&[released, "--config", "wrong.toml"], "scop")
        .await;
    write(
        "names.toml",
        b"[[rotation]]\nsecret = \"sql\"\npolicy = \"mine\"\n",
    );
    desk.refused(
        &[released, "--config", "names.toml"],
        "not in the package: mine",
    )
    .await;
    write("broken/sql.wasm", b"\0asm");
    desk.refused(&[released, "--policies", "broken"], "sql.wasm is no policy")
        .await;
    write("empty/notes.txt", b"");
    desk.refused(
        &[released, "--policies", "empty"],
        "there is no policy in empty",
    )
    .await;
    desk.ends(2, &[released, "--policies", "gone"], "there is no gone")
        .await;
}

#[tokio::test]
async fn a_policy_that_does_not_match_the_lock_is_not_packed() {
    let Some(desk) = Desk::new() else { return };
    fs::create_dir_all(desk.path("mine/policies")).unwrap();
    fs::write(desk.path("mine/policies/sql.wasm"), shipped("pin")).unwrap();
    assert_eq!(desk.run(&["lock", "mine"]).await.code, Some(0));
    let arguments = ["package", desk.released(), "--policies", "mine/policies"];
    assert_eq!(desk.run(&arguments).await.code, Some(0));
    fs::write(desk.path("mine/policies/sql.wasm"), shipped("unpin")).unwrap();
    desk.refused(
        &[desk.released(), "--policies", "mine/policies"],
        "not the file that policies.lock vouches for",
    )
    .await;
    fs::write(desk.path("mine/policies/sql.wasm"), shipped("pin")).unwrap();
    fs::write(desk.path("mine/policies/other.wasm"), shipped("pin")).unwrap();
    desk.refused(
        &[desk.released(), "--policies", "mine/policies"],
        "does not know the policy other",
    )
    .await;
}

#[tokio::test]
async fn a_package_from_elsewhere_cannot_leave_its_folder() {
    let Some(desk) = Desk::new() else { return };
    for name in [
        "../function.json",
        "policies/../../escaped.wasm",
        "/tmp/escaped/function.json",
        r"policies/a\..\..\..\escaped.wasm",
        "C:/function.json",
    ] {
        desk.add("evil.zip", name);
        let made = desk.run(&["package", "evil.zip"]).await;
        assert_eq!(made.code, Some(1), "{name}: {}", made.output);
        assert!(
            made.errors.contains(&format!("{name:?}")),
            "{}",
            made.errors
        );
        assert!(!desk.path("keyrelay.zip").exists(), "{name}");
    }
    desk.add("other.zip", "policies/.x.wasm");
    let made = desk.run(&["package", "other.zip"]).await;
    assert_eq!(made.code, Some(0), "{}", made.errors);
    assert!(fs::read(desk.path("keyrelay.zip")).unwrap() == fs::read(&desk.package).unwrap());
}

//! From nothing to passing cases in each language, with the language's own tools.
//!
//! A language whose tools are not installed is skipped, and `cargo xtask test` reports that at its
//! end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

/// The first build downloads what it needs.
const PATIENCE: Duration = Duration::from_secs(600);

struct Project(TempDir);

impl Project {
    async fn run(&self, folder: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .args(arguments)
            .current_dir(self.0.path().join(folder))
            .kill_on_drop(true)
            .stdin(Stdio::null());
        // Cargo uses the project's own target folder, as for an author.
        command.env_remove("CARGO_TARGET_DIR");
        let output = tokio::time::timeout(PATIENCE, command.output())
            .await
            .expect("not in time")
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    }

    async fn good(&self, folder: &str, arguments: &[&str]) -> String {
        let (code, output) = self.run(folder, arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}\n{output}");
        output
    }
}

async fn is_there(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version")).await
}

/// Some systems have Python in parts.
async fn is_python_whole() -> bool {
    succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])).await
}

async fn succeeds(command: &mut Command) -> bool {
    command
        .output()
        .await
        .is_ok_and(|output| output.status.success())
}

/// Makes a project, builds it, and runs its cases, which are the same in all languages.
async fn check(lang: &str) {
    let project = Project(tempfile::tempdir().unwrap());
    project.good("", &["new", "pin-it", "--lang", lang]).await;
    let (code, output) = project.run("pin-it", &["test"]).await;
    assert!(
        code == Some(1) && output.contains("keyrelay build"),
        "{output}"
    );
    let built = project.good("pin-it", &["build", "--json"]).await;
    assert!(
        built
            .lines()
            .any(|line| line.starts_with("{\"bytes\":") && line.contains("pin-it.wasm")),
        "{built}"
    );
    let output = project.good("pin-it", &["test"]).await;
    assert!(output.contains("3 cases: 3 as expected"), "{output}");
    let described = project.good("pin-it", &["inspect"]).await;
    assert!(
        described.contains("pin-it 0.1.0: Pins every reference"),
        "{described}"
    );
    assert!(
        project
            .0
            .path()
            .join("pin-it/policies/pin-it.wasm")
            .is_file()
    );
}

#[tokio::test]
async fn a_policy_in_rust() {
    check("rust").await;
}

#[tokio::test]
async fn a_policy_in_javascript() {
    if is_there("node").await && is_there("npm").await {
        check("js").await;
    }
}

#[tokio::test]
async fn a_policy_in_python() {
    if is_python_whole().await {
        check("python").await;
    }
}

/// A project of the folder `examples`, copied with what its links lead to and without what was
/// built.
fn example(name: &str) -> Project {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .canonicalize()
        .unwrap();
    let project = Project(tempfile::tempdir().unwrap());
    copy(&examples.join(name), &project.0.path().join(name));
    let manifest = project.0.path().join(name).join("Cargo.toml");
    if let Ok(text) = std::fs::read_to_string(&manifest) {
        let crates = examples.with_file_name("crates");
        std::fs::write(
            &manifest,
            text.replace("../../../crates", crates.to_str().unwrap()),
        )
        .unwrap();
    }
    project
}

fn copy(from: &Path, to: &Path) {
    const BUILT: [&str; 5] = ["policies", "target", "node_modules", ".venv", "__pycache__"];
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        if path.is_file() {
            std::fs::copy(&path, to.join(name)).unwrap();
        } else if !BUILT.iter().any(|built| name == *built) {
            copy(&path, &to.join(name));
        }
    }
}

/// Builds an example and runs its cases.
async fn passes(name: &str, cases: usize) {
    let project = example(name);
    project.good(name, &["build"]).await;
    let output = project.good(name, &["test"]).await;
    assert!(
        output.contains(&format!("{cases} cases: {cases} as expected")),
        "{output}"
    );
}

/// The inline code of a Logic App, as it is in the repository, by the commands of the guide.
#[tokio::test]
async fn the_migrated_logic_app() {
    const GUIDE: &str = include_str!("../../../../docs/migrate-from-logic-app.md");
    if is_there("node").await && is_there("npm").await {
        let project = example("from-logic-app");
        let commands = GUIDE
            .split("```sh\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let mut output = String::new();
        for command in commands.lines() {
            let words = command.strip_prefix("keyrelay ").unwrap().split(' ');
            let arguments: Vec<&str> = words
                .map(|word| word.trim_start_matches("examples/"))
                .collect();
            output = project.good("", &arguments).await;
        }
        assert!(output.contains("4 cases: 4 as expected"), "{output}");
    }
}

/// Every case names the whole decision, so languages that pass the same cases decide the same.
#[tokio::test]
async fn one_rule_in_three_languages() {
    const CASES: usize = 19;
    passes("three-languages/rust", CASES).await;
    if is_there("node").await && is_there("npm").await {
        passes("three-languages/js", CASES).await;
    }
    if is_python_whole().await {
        passes("three-languages/python", CASES).await;
    }
}

#[tokio::test]
async fn a_project_is_not_made_over_another() {
    let project = Project(tempfile::tempdir().unwrap());
    project.good("", &["new", "one", "--lang", "js"]).await;
    let (code, output) = project.run("", &["new", "one", "--lang", "rust"]).await;
    assert!(
        code == Some(2) && output.contains("exists already"),
        "{output}"
    );
    assert!(!project.0.path().join("one/Cargo.toml").exists());
}

#[tokio::test]
async fn what_cannot_be_built_is_said() {
    let project = Project(tempfile::tempdir().unwrap());
    let (code, output) = project.run("", &["build"]).await;
    assert!(
        code == Some(2) && output.contains("neither Cargo.toml"),
        "{output}"
    );
    let (code, output) = project.run("", &["build", "gone"]).await;
    assert!(code == Some(2) && output.contains("gone"), "{output}");
    project.good("", &["new", "one", "--lang", "python"]).await;
    std::fs::remove_file(project.0.path().join("one/policy.py")).unwrap();
    if is_there("python3").await {
        let (code, output) = project.run("", &["build", "one"]).await;
        assert!(code == Some(1) && output.contains("policy.py"), "{output}");
    }
    assert!(!Path::new("policies/one.wasm").exists());
}

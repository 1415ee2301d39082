//! Policies on disk: a file, a project, or a folder of either.

use std::path::{self, Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use keyrelay_sandbox::{LOCK_FILE, Policy, Sandbox, policy_files};

use crate::out;
use crate::usage_error::OrUsageError;

/// The files that make a folder a project.
const PROJECTS: [&str; 3] = ["Cargo.toml", "package.json", "pyproject.toml"];

/// The files that make a folder a function app.
const APP: [&str; 3] = ["host.json", "keyrelay.toml", LOCK_FILE];

/// The extensions of source files.
const SOURCES: [&str; 5] = ["rs", "js", "py", "json", "wit"];

/// A policy on disk, built or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyFile {
    pub(crate) name: String,
    pub(crate) wasm: PathBuf,
    /// The default folder of its cases.
    pub(crate) cases: PathBuf,
}

impl PolicyFile {
    /// The policy of a project. The project `policies/<name>` builds `policies/<name>.wasm`; any
    /// other project has a folder `policies` with `<name>.wasm` in it.
    pub(crate) fn of_project(folder: &Path) -> anyhow::Result<Self> {
        let absolute = folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", folder.display()))?;
        let name = absolute
            .file_name()
            .context("the root is no project")?
            .to_string_lossy()
            .into_owned();
        // Messages show the path as it was given, unless it has no name (`.`).
        let folder = if folder.file_name().is_some() {
            folder
        } else {
            &absolute
        };
        let is_beside = absolute
            .parent()
            .is_some_and(|parent| parent.file_name().is_some_and(|it| it == "policies"));
        let wasm = match is_beside {
            true => folder.with_file_name(format!("{name}.wasm")),
            false => folder.join("policies").join(format!("{name}.wasm")),
        };
        Ok(Self {
            name,
            wasm,
            cases: folder.join("cases"),
        })
    }

    fn of_file(wasm: &Path) -> Self {
        let name = wasm
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let beside = wasm.with_extension("").join("cases");
        // In the `policies/` of a project, the cases are in the project.
        let above = wasm
            .parent()
            .and_then(Path::parent)
            .map(|folder| folder.join("cases"));
        let cases = if beside.is_dir() {
            beside
        } else {
            above.filter(|it| it.is_dir()).unwrap_or(beside)
        };
        Self {
            name,
            wasm: wasm.to_owned(),
            cases,
        }
    }

    /// A source file that is newer than the policy.
    fn newer_source(&self) -> Option<PathBuf> {
        let project = self.cases.parent().filter(|project| is_project(project))?;
        let changed = |file: &Path| {
            file.metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
        };
        let built = changed(&self.wasm)?;
        let folders = [project.to_owned(), project.join("src"), project.join("wit")];
        let entries = folders
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten();
        let is_source = |file: &PathBuf| {
            let extension = file
                .extension()
                .and_then(|extension| extension.to_str())
                .unwrap_or_default();
            SOURCES.contains(&extension)
        };
        let mut sources = entries.map(|entry| entry.path()).filter(is_source);
        sources.find(|file| changed(file).is_some_and(|changed| changed > built))
    }

    /// The default folder of keyrelay.toml and policies.lock: the function app that the policy is
    /// in, or the current folder.
    pub(crate) fn home(&self) -> PathBuf {
        let app = self.wasm.parent().and_then(app_around);
        let is_app = |app: &PathBuf| APP.iter().any(|file| app.join(file).is_file());
        app.filter(is_app).unwrap_or_else(|| PathBuf::from("."))
    }

    /// Loads the policy. Prints a warning if its source is newer.
    pub(crate) async fn load(&self, sandbox: &Sandbox) -> anyhow::Result<Policy> {
        ensure!(
            self.wasm.exists(),
            "there is no {}: make it with `keyrelay build`, in the folder of the project",
            self.wasm.display()
        );
        if let Some(source) = self.newer_source() {
            let (wasm, source) = (self.wasm.display(), source.display());
            out::warning(&format!(
                "{wasm} is older than {source}: make it again with `keyrelay build`"
            ));
        }
        sandbox
            .load_file(&self.wasm)
            .await
            .with_context(|| format!("{} is no policy", self.wasm.display()))
    }
}

/// The parent of a folder `policies`; none for any other folder.
pub(crate) fn app_around(policies: &Path) -> Option<PathBuf> {
    // `.` and the empty path have no name.
    let policies = path::absolute(Path::new(".").join(policies)).ok()?;
    if policies.file_name()? != "policies" {
        return None;
    }
    policies.parent().map(Path::to_owned)
}

/// Whether a folder is a project of a policy.
pub(crate) fn is_project(folder: &Path) -> bool {
    PROJECTS.iter().any(|file| folder.join(file).is_file())
}

/// The policies at the path in an argument: a `.wasm`, a project, or a folder of either.
pub(crate) fn find_all(path: &Path) -> anyhow::Result<Vec<PolicyFile>> {
    find(path).or_usage_error()
}

/// The only policy at the path in an argument.
pub(crate) fn find_one(path: &Path) -> anyhow::Result<PolicyFile> {
    let one = match <[PolicyFile; 1]>::try_from(find_all(path)?) {
        Ok([policy]) => Ok(policy),
        Err(many) => Err(anyhow!(
            "{} has {} policies: name one of them",
            path.display(),
            many.len()
        )),
    };
    one.or_usage_error()
}

fn find(path: &Path) -> anyhow::Result<Vec<PolicyFile>> {
    if path
        .extension()
        .is_some_and(|extension| extension == "wasm")
    {
        ensure!(
            path.exists(),
            "there is no {}: make it with `keyrelay build`, in the folder of its project",
            path.display()
        );
        return Ok(vec![PolicyFile::of_file(path)]);
    }
    ensure!(
        path.is_dir(),
        "there is no policy {}: name a `.wasm`, a project, or a folder",
        path.display()
    );
    // A function app may have a project file for all its policies.
    if is_project(path) && !path.join("host.json").is_file() {
        return Ok(vec![PolicyFile::of_project(path)?]);
    }
    let folder = if path.join("policies").is_dir() {
        path.join("policies")
    } else {
        path.to_owned()
    };
    let mut found: Vec<PolicyFile> = policy_files(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .into_iter()
        .map(|(_, wasm)| PolicyFile::of_file(&wasm))
        .collect();
    for entry in folder
        .read_dir()
        .with_context(|| format!("cannot read {}", folder.display()))?
    {
        let project = entry?.path();
        if is_project(&project) {
            let project = PolicyFile::of_project(&project)?;
            if found.iter().all(|known| known.name != project.name) {
                found.push(project);
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if found.is_empty() {
        bail!(
            "there is no policy in {}: neither a `.wasm` nor a project",
            folder.display()
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        root
    }

    #[track_caller]
    fn check(files: &[&str], path: &str, expected: &[(&str, &str, &str)]) {
        let root = folder_with(files);
        let found = find_all(&root.path().join(path)).unwrap();
        let below = |path: &Path| {
            path.strip_prefix(root.path())
                .unwrap()
                .display()
                .to_string()
        };
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.name.clone(), below(&it.wasm), below(&it.cases)))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, wasm, cases)| {
                ((*name).to_owned(), (*wasm).to_owned(), (*cases).to_owned())
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_project_of_its_own_has_its_policy_in_it() {
        check(
            &["hello/Cargo.toml"],
            "hello",
            &[("hello", "hello/policies/hello.wasm", "hello/cases")],
        );
        let file = &[("hello", "hello/policies/hello.wasm", "hello/cases")];
        check(
            &["hello/cases/a.toml", "hello/policies/hello.wasm"],
            "hello/policies/hello.wasm",
            file,
        );
    }

    #[test]
    fn a_project_in_policies_has_its_policy_beside_it() {
        check(
            &["policies/pin/package.json"],
            "policies/pin",
            &[("pin", "policies/pin.wasm", "policies/pin/cases")],
        );
        let file = &[("pin", "policies/pin.wasm", "policies/pin/cases")];
        check(
            &["policies/pin/cases/a.toml", "policies/pin.wasm"],
            "policies/pin.wasm",
            file,
        );
    }

    #[test]
    fn a_folder_has_all_its_policies_built_or_not() {
        let files = [
            "host.json",
            "Cargo.toml",
            "policies/a.wasm",
            "policies/b/pyproject.toml",
            "policies/a/Cargo.toml",
        ];
        let all = [
            ("a", "policies/a.wasm", "policies/a/cases"),
            ("b", "policies/b.wasm", "policies/b/cases"),
        ];
        check(&files, "", &all);
        check(&files, "policies", &all);
    }

    #[track_caller]
    fn check_home(files: &[&str], wasm: &str, expected: Option<&str>) {
        let root = folder_with(files);
        let expected = expected.map_or_else(|| PathBuf::from("."), |app| root.path().join(app));
        assert_eq!(
            PolicyFile::of_file(&root.path().join(wasm)).home(),
            expected
        );
    }

    #[test]
    fn the_home_of_a_policy_is_its_function_app() {
        for file in APP {
            check_home(
                &[&format!("app/{file}")],
                "app/policies/a.wasm",
                Some("app"),
            );
        }
        check_home(&["app/host.json"], "app/others/a.wasm", None);
        check_home(&["a/Cargo.toml"], "a/policies/a.wasm", None);
    }

    #[test]
    fn a_folder_without_a_policy_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert!(
            find_all(root.path())
                .unwrap_err()
                .to_string()
                .contains("neither a `.wasm` nor a project")
        );
        assert!(find_all(&root.path().join("gone")).is_err());
    }
}

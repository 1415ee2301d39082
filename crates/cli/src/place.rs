//! Where policies are: a file, a project, or a folder of either.

use std::path::{self, Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use keyrelay_sandbox::{LOCK_FILE, Policy, Sandbox, policy_files};

use crate::misuse::OrMisuse;
use crate::out;

/// The files by which a project is known.
const PROJECTS: [&str; 3] = ["Cargo.toml", "package.json", "pyproject.toml"];

/// The files by which a function app is known.
const APP: [&str; 3] = ["host.json", "keyrelay.toml", LOCK_FILE];

/// How files of a source end.
const SOURCES: [&str; 5] = ["rs", "js", "py", "json", "wit"];

/// A policy that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) wasm: PathBuf,
    /// Where its cases lie, if nobody says otherwise.
    pub(crate) cases: PathBuf,
}

impl Place {
    /// The policy of a project: `policies/<name>` makes `policies/<name>.wasm`, and any other folder its own
    /// `policies/<name>.wasm`.
    pub(crate) fn of_project(folder: &Path) -> anyhow::Result<Self> {
        let absolute = folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", folder.display()))?;
        let name = absolute
            .file_name()
            .context("the root is no project")?
            .to_string_lossy()
            .into_owned();
        // As it was written, so that messages say it as it was written, unless that says nothing (`.`).
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
        // A project's own `policies/`: the cases are in the project.
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

    /// A file of the source that is newer than the policy: what is tested is not what was written.
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

    /// Where keyrelay.toml and policies.lock of the policy are, if nobody says otherwise: in the function app that it
    /// lies in, or else in the current folder.
    pub(crate) fn home(&self) -> PathBuf {
        let app = self.wasm.parent().and_then(app_around);
        let is_app = |app: &PathBuf| APP.iter().any(|file| app.join(file).is_file());
        app.filter(is_app).unwrap_or_else(|| PathBuf::from("."))
    }

    /// Loads the policy. Says so if its source is newer.
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

/// The folder around a `policies/`; nothing, if the folder is none.
pub(crate) fn app_around(policies: &Path) -> Option<PathBuf> {
    // As `.` and nothing at all are written, they have no name.
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

/// The policies at a place that an argument names: a `.wasm`, a project, or a folder with either in it.
pub(crate) fn policies(place: &Path) -> anyhow::Result<Vec<Place>> {
    find(place).or_misuse()
}

/// The one policy at a place that an argument names.
pub(crate) fn policy(place: &Path) -> anyhow::Result<Place> {
    let one = match <[Place; 1]>::try_from(policies(place)?) {
        Ok([policy]) => Ok(policy),
        Err(many) => Err(anyhow!(
            "{} has {} policies: name one of them",
            place.display(),
            many.len()
        )),
    };
    one.or_misuse()
}

fn find(place: &Path) -> anyhow::Result<Vec<Place>> {
    if place
        .extension()
        .is_some_and(|extension| extension == "wasm")
    {
        ensure!(
            place.exists(),
            "there is no {}: make it with `keyrelay build`, in the folder of its project",
            place.display()
        );
        return Ok(vec![Place::of_file(place)]);
    }
    ensure!(
        place.is_dir(),
        "there is no policy {}: name a `.wasm`, a project, or a folder",
        place.display()
    );
    // The function app is a project, too: of all its policies.
    if is_project(place) && !place.join("host.json").is_file() {
        return Ok(vec![Place::of_project(place)?]);
    }
    let folder = if place.join("policies").is_dir() {
        place.join("policies")
    } else {
        place.to_owned()
    };
    let mut found: Vec<Place> = policy_files(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .into_iter()
        .map(|(_, wasm)| Place::of_file(&wasm))
        .collect();
    for entry in folder
        .read_dir()
        .with_context(|| format!("cannot read {}", folder.display()))?
    {
        let project = entry?.path();
        if is_project(&project) {
            let project = Place::of_project(&project)?;
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
    fn check(files: &[&str], place: &str, expected: &[(&str, &str, &str)]) {
        let root = folder_with(files);
        let found = policies(&root.path().join(place)).unwrap();
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
        assert_eq!(Place::of_file(&root.path().join(wasm)).home(), expected);
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
    fn a_place_without_a_policy_is_said() {
        let root = tempfile::tempdir().unwrap();
        assert!(
            policies(root.path())
                .unwrap_err()
                .to_string()
                .contains("neither a `.wasm` nor a project")
        );
        assert!(policies(&root.path().join("gone")).is_err());
    }
}

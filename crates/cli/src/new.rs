//! `keyrelay new`: a new project for a policy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::out;
use crate::usage_error::OrUsageError;

/// Create a project for a policy, with cases that pass
///
/// The project does not need keyrelay's repository. Next, run `keyrelay build` and `keyrelay test`
/// in its folder.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The name of the policy, its folder and its `.wasm`
    #[arg(value_parser = name)]
    name: String,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
    /// The parent folder of the project
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Print the created files as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Js,
    Python,
}

/// A file of a project: its path and its content.
type File = (&'static str, &'static str);

const CASES: [File; 3] = [
    (
        "cases/pins.toml",
        include_str!("../templates/common/pins.toml"),
    ),
    (
        "cases/skips.toml",
        include_str!("../templates/common/skips.toml"),
    ),
    (
        "cases/refuses.toml",
        include_str!("../templates/common/refuses.toml"),
    ),
];

const COMMON: [File; 3] = [
    (".gitignore", include_str!("../templates/common/gitignore")),
    (
        ".editorconfig",
        include_str!("../templates/common/editorconfig"),
    ),
    ("README.md", include_str!("../templates/common/README.md")),
];

const WIT: File = (
    "wit/policy.wit",
    include_str!("../../policy-sdk/wit/policy.wit"),
);

/// The crate that policies in Rust depend on.
const GUEST_CRATE_NAME: &str = "keyrelay-policy";

/// The guest crate. A project gets a copy, because the crate is not published.
const GUEST_CRATE: [File; 10] = [
    (
        "keyrelay-policy/Cargo.toml",
        include_str!("../templates/rust/guest-crate.toml"),
    ),
    (
        "keyrelay-policy/README.md",
        include_str!("../../policy-sdk/README.md"),
    ),
    (
        "keyrelay-policy/wit/policy.wit",
        include_str!("../../policy-sdk/wit/policy.wit"),
    ),
    (
        "keyrelay-policy/src/lib.rs",
        include_str!("../../policy-sdk/src/lib.rs"),
    ),
    (
        "keyrelay-policy/src/app.rs",
        include_str!("../../policy-sdk/src/app.rs"),
    ),
    (
        "keyrelay-policy/src/decision.rs",
        include_str!("../../policy-sdk/src/decision.rs"),
    ),
    (
        "keyrelay-policy/src/event.rs",
        include_str!("../../policy-sdk/src/event.rs"),
    ),
    (
        "keyrelay-policy/src/export.rs",
        include_str!("../../policy-sdk/src/export.rs"),
    ),
    (
        "keyrelay-policy/src/policy.rs",
        include_str!("../../policy-sdk/src/policy.rs"),
    ),
    (
        "keyrelay-policy/src/reference.rs",
        include_str!("../../policy-sdk/src/reference.rs"),
    ),
];

impl Language {
    /// The files that depend on the language.
    fn files(self) -> Vec<File> {
        match self {
            Self::Rust => [
                (
                    "Cargo.toml",
                    include_str!("../templates/rust/Cargo.toml.template"),
                ),
                ("src/lib.rs", include_str!("../templates/rust/src/lib.rs")),
                (
                    ".vscode/extensions.json",
                    "{ \"recommendations\": [\"rust-lang.rust-analyzer\"] }\n",
                ),
                (
                    ".vscode/settings.json",
                    "{ \"rust-analyzer.cargo.target\": \"wasm32-unknown-unknown\" }\n",
                ),
            ]
            .into_iter()
            .chain(GUEST_CRATE)
            .collect(),
            Self::Js => vec![
                ("package.json", include_str!("../templates/js/package.json")),
                ("policy.js", include_str!("../templates/js/policy.js")),
                (
                    ".vscode/extensions.json",
                    "{ \"recommendations\": [\"BytecodeAlliance.wit-idl\"] }\n",
                ),
                (
                    ".vscode/settings.json",
                    "{ \"js/ts.implicitProjectConfig.checkJs\": true }\n",
                ),
                WIT,
            ],
            Self::Python => vec![
                (
                    "pyproject.toml",
                    include_str!("../templates/python/pyproject.toml"),
                ),
                ("policy.py", include_str!("../templates/python/policy.py")),
                (
                    ".vscode/extensions.json",
                    "{ \"recommendations\": [\"ms-python.python\"] }\n",
                ),
                (
                    ".vscode/settings.json",
                    "{ \"python.defaultInterpreterPath\": \".venv/bin/python\" }\n",
                ),
                WIT,
            ],
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Js => "policy.js",
            Self::Python => "policy.py",
        }
    }

    /// Further lines of the README.
    fn more(self) -> &'static str {
        match self {
            Self::Rust => {
                "\n`cargo test` runs the unit tests, without WebAssembly.\n`keyrelay-policy/` is a copy of keyrelay's guest crate."
            }
            Self::Js => {
                "\n`keyrelay build` installs its tools into `node_modules/`. There is no `console` in a policy."
            }
            Self::Python => {
                "\n`keyrelay build` installs its tools into `.venv/`. The output of the policy goes to the log."
            }
        }
    }
}

impl New {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let folder = self.folder.join(&self.name);
        if folder.exists() {
            let words = anyhow!(
                "{} exists already: choose another name, or remove it",
                folder.display()
            );
            return Err(words).or_usage_error();
        }
        let files: Vec<File> = COMMON
            .into_iter()
            .chain(CASES)
            .chain(self.lang.files())
            .collect();
        for (file, text) in &files {
            let text = text
                .replace("{{name}}", &self.name)
                .replace("{{source}}", self.lang.source())
                .replace("{{more}}\n", &format!("{}\n", self.lang.more()));
            write(&folder.join(file), &text)?;
        }
        if self.json {
            let files: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
            out::line(
                &json!({ "policy": self.name, "folder": folder, "files": files }).to_string(),
            );
            return Ok(());
        }
        out::note(&format!("created {}; next:", folder.display()));
        for next in [
            format!("cd {}", folder.display()),
            "keyrelay build".to_owned(),
            "keyrelay test".to_owned(),
        ] {
            out::note(&format!("  {next}"));
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(file, text).with_context(failed)
}

/// Parses a name that is valid as a package in every language, and as a file on every system.
fn name(text: &str) -> Result<String, anyhow::Error> {
    let is_good = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.ends_with('-')
        && text.len() <= 60;
    if !is_good {
        bail!("write small letters, digits and dashes, beginning with a letter");
    }
    if text == GUEST_CRATE_NAME {
        bail!("the guest crate has that name: choose another");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_of_the_guest_crate_is_whole() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-sdk/src");
        for entry in fs::read_dir(source).unwrap() {
            let file = format!(
                "keyrelay-policy/src/{}",
                entry.unwrap().file_name().to_string_lossy()
            );
            assert!(
                GUEST_CRATE.iter().any(|(name, _)| *name == file),
                "{file} is missing in `GUEST_CRATE`"
            );
        }
    }

    #[test]
    fn the_copy_is_built_with_the_same_generator() {
        let workspace = include_str!("../../../Cargo.toml");
        let version = |text: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with("wit-bindgen"))
                .unwrap();
            line.to_owned()
        };
        assert_eq!(
            version(workspace),
            version(include_str!("../templates/rust/guest-crate.toml"))
        );
    }

    #[test]
    fn a_name_is_one_in_every_language() {
        assert!(name("pin-2").is_ok());
        for bad in [
            "",
            "Pin",
            "2",
            "-a",
            "a-",
            "a_b",
            "a/b",
            "é",
            "keyrelay-policy",
            &"a".repeat(61),
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}

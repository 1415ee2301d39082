//! Microsoft's published contracts: the `OpenAPI` files of azure-rest-api-specs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::python::Environment;
use crate::shell;

const SCRIPT: &str = "crates/local-azure/tests/contracts.py";

/// The absolute path of a checkout of azure-rest-api-specs.
pub(super) fn checkout(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot find the specs in `{}`", folder.display()))?;
    if !folder.join("specification").is_dir() {
        bail!(
            "`{}` is no checkout of azure-rest-api-specs, because it has no folder `specification`: see `cargo xtask clients --help`",
            folder.display()
        );
    }
    Ok(folder)
}

/// Validates the recorded exchanges.
pub(super) fn check(
    python: &Environment,
    specs: Option<&Path>,
    record: &Path,
) -> anyhow::Result<()> {
    let Some(specs) = specs else {
        shell::step(
            "the contracts were not checked: that needs `--specs FOLDER`, see `cargo xtask clients --help`",
        );
        return Ok(());
    };
    shell::step("comparing the traffic with Microsoft's contracts");
    shell::run(python.command().arg(SCRIPT).arg(specs).arg(record))
}

//! The pictures of the pages, which the tests in a browser make.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::{browser, policies, shell};

/// The pictures that the documentation shows.
const SHOWN: [&str; 4] = ["overview", "secret", "run", "dark-fleet"];

/// The folder in which the tests leave their pictures.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let folder = policies::target_folder().join("pictures");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Runs the tests in a browser, and copies the pictures that the documentation shows to `docs/pictures`.
pub(crate) fn update() -> anyhow::Result<()> {
    if let Err(missing) = browser::install() {
        bail!(missing);
    }
    let folder = folder()?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "keyrelay-ui", "--test", "browser"]);
    shell::run(cargo.env("KEYRELAY_PICTURES", &folder))?;
    for name in SHOWN {
        let (from, to) = (
            folder.join(format!("{name}.png")),
            shell::root().join(format!("docs/pictures/{name}.png")),
        );
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

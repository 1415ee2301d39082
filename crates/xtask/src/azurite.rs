//! Azurite, Microsoft's storage emulator, for the tests that need a real blob container.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use crate::{policies, shell};

/// The version that the tests were written against.
const VERSION: &str = "3.35.0";

/// Returns the script of Azurite's blob service, and installs it first if needed. The error names
/// the missing tool.
pub(crate) fn script() -> Result<PathBuf, String> {
    let folder = policies::target_folder().join(format!("azurite-{VERSION}"));
    let script = folder.join("node_modules/azurite/dist/src/blob/main.js");
    let finished = folder.join("installed");
    if !shell::succeeds("node", &["--version"]) {
        return Err("`node` is not installed: install Node.js 20 or newer, with npm".to_owned());
    }
    if finished.is_file() && script.is_file() {
        return Ok(script);
    }
    if !shell::succeeds("npm", &["--version"]) {
        return Err("`npm` is not installed: it comes with Node.js".to_owned());
    }
    shell::step(&format!(
        "installing Azurite {VERSION} with npm (half a minute, once)"
    ));
    fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut npm = shell::command("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--loglevel",
        "error",
        "--prefix",
    ])
    .arg(&folder);
    // Standard output is for the results of the tests.
    npm.arg(format!("azurite@{VERSION}")).stdout(Stdio::null());
    shell::run(&mut npm).map_err(|error| format!("{error:#}"))?;
    if !script.is_file() {
        return Err(format!(
            "npm has installed Azurite {VERSION}, but there is no {}",
            script.display()
        ));
    }
    // Written last: without this file, an installation is incomplete.
    fs::write(&finished, VERSION)
        .map_err(|error| format!("cannot write {}: {error}", finished.display()))?;
    Ok(script)
}

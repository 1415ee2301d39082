//! Chromium and its driver, for the tests of the pages in a real browser.

use std::process::Stdio;

use crate::shell;

/// The packages of Debian and Ubuntu that have them.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

/// Installs the browser if it is missing. The error says why there is none, and what is to be installed.
pub(crate) fn install() -> Result<(), String> {
    let is_installed = || shell::succeeds("chromedriver", &["--version"]);
    if is_installed() {
        return Ok(());
    }
    let advice = "install Chromium and chromedriver (the packages `chromium` and `chromium-driver` of Debian)";
    let is_root = shell::succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]);
    if !is_root || !shell::succeeds("apt-get", &["--version"]) {
        return Err(format!("`chromedriver` is not installed: {advice}"));
    }
    shell::step("installing Chromium with apt-get (a minute, once)");
    let install = ["install", "-qq", "-y", "--no-install-recommends"];
    for arguments in [vec!["update", "-qq"], [&install[..], &PACKAGES].concat()] {
        let mut command = shell::command("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Standard output is for the results of the tests.
            .stdout(Stdio::null());
        shell::run(&mut command).map_err(|error| format!("{error:#}: {advice}"))?;
    }
    match is_installed() {
        true => Ok(()),
        false => Err(format!("apt-get has installed no `chromedriver`: {advice}")),
    }
}

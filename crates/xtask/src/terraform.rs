//! The checks of the Terraform module: formatting, names, and its own tests if the provider can be
//! downloaded.

use std::path::PathBuf;

use crate::{policies, shell};

/// The folder of the module.
const FOLDER: &str = "terraform";

/// Runs every check that is possible here. Returns a message for each that is not.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let mut left_out = Vec::new();
    if shell::succeeds("npm", &["--version"]) {
        shell::step("checking the names in the Terraform module against those of its provider");
        let cache: PathBuf = policies::target_folder().join("azurerm");
        shell::run(
            shell::command("node")
                .arg("terraform/check/check.mjs")
                .arg(&cache),
        )?;
        shell::run(
            shell::command("node")
                .args(["--test", "terraform/check/"])
                .env("CACHE", &cache),
        )?;
    } else {
        left_out
            .push("no name in the Terraform module was checked: `npm` is not installed".to_owned());
    }
    if !shell::succeeds("terraform", &["version"]) {
        left_out.push(
            "the Terraform module was neither validated nor tested: `terraform` is not installed"
                .to_owned(),
        );
        return Ok(left_out);
    }
    shell::run(shell::command("terraform").args(["fmt", "-check", "-recursive", FOLDER]))?;
    let folder = format!("-chdir={FOLDER}");
    // Some machines cannot reach the registry of providers.
    if shell::succeeds(
        "terraform",
        &[&folder, "init", "-backend=false", "-input=false"],
    ) {
        shell::run(shell::command("terraform").args([&folder, "validate"]))?;
        shell::run(shell::command("terraform").args([&folder, "test"]))?;
    } else {
        let words = "the Terraform module was neither validated nor tested: its provider cannot be downloaded here";
        left_out.push(words.to_owned());
    }
    Ok(left_out)
}

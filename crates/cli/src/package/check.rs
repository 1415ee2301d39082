//! Checks of a package's contents that do not need Azure.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use keyrelay_config::Config;
use keyrelay_package::HOST;
use object::Endianness;
use object::elf::{EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use serde_json::Value;

use super::contents::Contents;
use crate::out;

/// Whether this machine has the platform of a function app on Flex Consumption.
pub(super) const IS_THIS_MACHINE: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

pub(super) fn all(contents: &Contents) -> anyhow::Result<()> {
    host_json(contents.get("host.json").unwrap_or_default())?;
    let mut functions = contents.ending("/function.json").peekable();
    ensure!(
        functions.peek().is_some(),
        "there is no function: a folder with a function.json, such as SecretEvent"
    );
    for (name, bytes) in functions {
        let function: Value = serde_json::from_slice(bytes)
            .with_context(|| format!("{name}/function.json is no JSON"))?;
        ensure!(
            function.get("bindings").is_some_and(Value::is_array),
            "{name}/function.json has no `bindings`"
        );
    }
    let host = contents
        .get(HOST)
        .context("there is no keyrelay-host: name it with --host")?;
    executable(host).with_context(|| format!("{HOST} cannot run in Azure"))?;
    let policies: Vec<&str> = contents
        .ending(".wasm")
        .filter_map(|(path, _)| path.strip_prefix("policies/"))
        .collect();
    ensure!(
        !policies.is_empty(),
        "there is no policy: name a folder with --policies"
    );
    if !policies.contains(&"follow") {
        out::warning(
            "there is no policy `follow`: events of secrets without a policy will not be handled",
        );
    }
    configuration(contents.get("keyrelay.toml").unwrap_or_default(), &policies)
}

fn host_json(bytes: &[u8]) -> anyhow::Result<()> {
    let host: Value = serde_json::from_slice(bytes).context("host.json is no JSON")?;
    let path = host
        .pointer("/customHandler/description/defaultExecutablePath")
        .unwrap_or(&Value::Null);
    ensure!(
        path == HOST,
        "host.json: `customHandler.description.defaultExecutablePath` is {path}, not \"{HOST}\""
    );
    Ok(())
}

/// Checks the configuration as keyrelay-host does when it starts.
fn configuration(bytes: &[u8], policies: &[&str]) -> anyhow::Result<()> {
    let text = std::str::from_utf8(bytes).context("keyrelay.toml is no text")?;
    let config = match Config::read(text, &BTreeMap::new()) {
        Ok(config) => config,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("keyrelay.toml cannot be used:\n{}", lines.join("\n"));
        }
    };
    let named = config
        .rules
        .iter()
        .filter_map(|rule| rule.policy.as_deref());
    let missing: Vec<&str> = named.filter(|name| !policies.contains(name)).collect();
    ensure!(
        missing.is_empty(),
        "keyrelay.toml names policies that are not in the package: {}",
        missing.join(", ")
    );
    Ok(())
}

/// Checks that the handler is statically linked, because Azure does not document the C library of a
/// function app.
fn executable(bytes: &[u8]) -> anyhow::Result<()> {
    const FIX: &str = "take one for x86_64-unknown-linux-musl, such as `cargo xtask package` makes";
    let header = FileHeader64::<Endianness>::parse(bytes).ok();
    let header =
        header.with_context(|| format!("it is no program for Linux with 64 bits: {FIX}"))?;
    let endian = header.endian().context("it is damaged")?;
    ensure!(
        header.e_machine(endian) == EM_X86_64,
        "it is for another processor than x86-64: {FIX}"
    );
    let segments = header
        .program_headers(endian, bytes)
        .context("it is damaged")?;
    let is_dynamic = segments
        .iter()
        .any(|segment| segment.p_type(endian) == PT_INTERP);
    ensure!(!is_dynamic, "it needs a C library: {FIX}");
    Ok(())
}

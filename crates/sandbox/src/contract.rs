//! Checks a component against the contract of `policy.wit`.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use crate::bindings::PolicyPre;
use crate::compiler::Compiler;
use crate::error::LoadError;
use crate::redaction::truncated;
use crate::store_data::StoreData;

/// The version of the contract in `policy.wit`.
pub(crate) const VERSION: &str = "0.1.0";
/// The prefix of imports from keyrelay's own package. A policy imports the types of the contract by
/// such a name.
const PACKAGE: &str = "keyrelay:policy/";
/// The functions that the world exports.
const EXPORTS: [&str; 3] = ["describe", "check-parameters", "decide"];
/// The packages of WASI 0.2 that are linked.
const LINKED: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Checks that a component is a policy and links it.
pub(crate) fn bind(
    compiler: &Compiler,
    component: &Component,
) -> Result<PolicyPre<StoreData>, LoadError> {
    let engine = compiler.engine();
    let component_type = component.component_type();
    let imports: Vec<&str> = component_type
        .imports(engine)
        .map(|(name, _)| name)
        .collect();
    let wanted = imports
        .iter()
        .find_map(|import| Some(import.strip_prefix(PACKAGE)?.split_once('@')?.1));
    if let Some(wanted) = wanted.filter(|wanted| !is_supported(wanted)) {
        return Err(LoadError::OtherVersion {
            wanted: truncated(wanted),
            supported: VERSION,
        });
    }
    let is_exported = |name: &&str| {
        component_type
            .get_export(engine, name)
            .is_some_and(|export| matches!(export.ty, ComponentItem::ComponentFunc(_)))
    };
    if let Some(export) = EXPORTS.into_iter().find(|name| !is_exported(name)) {
        return Err(LoadError::OtherWorld { export });
    }
    let is_linked = |name: &str| {
        name.starts_with(PACKAGE) || LINKED.iter().any(|package| name.starts_with(package))
    };
    if let Some(import) = imports.iter().find(|name| !is_linked(name)) {
        return Err(LoadError::Import(truncated(import)));
    }
    let other_types = |error: wasmtime::Error| LoadError::OtherTypes {
        supported: VERSION,
        reason: truncated(&format!("{error:#}")),
    };
    let linked = if imports.iter().any(|name| !name.starts_with(PACKAGE)) {
        compiler.wasi()?.instantiate_pre(component)
    } else {
        Linker::new(engine).instantiate_pre(component)
    };
    let linked = linked.map_err(other_types)?;
    PolicyPre::new(linked).map_err(other_types)
}

/// Whether a policy of this contract version can be run. Before 1.0, incompatible changes raise the
/// minor version.
fn is_supported(version: &str) -> bool {
    let start = |version: &str| {
        version
            .split('.')
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    start(version) == start(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_wit() {
        let wit = include_str!("../../policy-sdk/wit/policy.wit");
        assert!(wit.contains(&format!("package keyrelay:policy@{VERSION};")));
    }

    #[test]
    fn a_patch_release_of_the_contract_is_supported() {
        assert!(is_supported("0.1.0"));
        assert!(is_supported("0.1.7"));
        assert!(!is_supported("0.2.0"));
        assert!(!is_supported("1.1.0"));
    }
}

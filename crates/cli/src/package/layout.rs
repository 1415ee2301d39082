//! The layout of a package: the files that it may have.

/// The name of the custom handler.
pub(super) const HOST: &str = "keyrelay-host";

/// Whether a file is copied into a package. Compiled policies and the lock are not: they are
/// generated.
pub(super) fn belongs(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["host.json" | "keyrelay.toml" | HOST] => true,
        [function, "function.json"] => !function.starts_with('.'),
        ["policies", policy] => policy.ends_with(".wasm") && !policy.starts_with('.'),
        _ => false,
    }
}

//! The layout of a package: the files that it may have.

/// The name of the custom handler.
pub const HOST: &str = "keyrelay-host";

/// A name that could be written outside of the folder of the package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name {0:?} could lead out of the folder on some system: a name is relative, with `/` between \
     its parts, and has no `..`, no backslash and no colon"
)]
pub struct UnsafeName(pub(crate) String);

/// Whether a file is copied into a package. Compiled policies and the lock are not: they are
/// generated.
pub fn belongs(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["host.json" | "keyrelay.toml" | HOST] => true,
        [function, "function.json"] => !function.starts_with('.'),
        ["policies", policy] => policy.ends_with(".wasm") && !policy.starts_with('.'),
        _ => false,
    }
}

/// Checks that a name is the same relative path on every system. Windows also separates with a
/// backslash, has drives and streams with a colon, and ignores dots and spaces at the end of a part.
pub fn check_name(name: &str) -> Result<(), UnsafeName> {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.ends_with(['.', ' '])
            && !part.contains(|c: char| c == '\\' || c == ':' || c.is_control())
    };
    // A folder ends with the separator.
    let path = name.strip_suffix('/').unwrap_or(name);
    match path.split('/').all(is_plain) {
        true => Ok(()),
        false => Err(UnsafeName(name.to_owned())),
    }
}

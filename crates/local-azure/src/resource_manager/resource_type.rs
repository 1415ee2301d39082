//! The resource type in a path, where types and names alternate.

/// The last resource type of a path, in lower case.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResourceType<'a> {
    /// The namespace of the provider: `microsoft.web`.
    pub(super) provider: &'a str,
    /// The path after the namespace.
    pub(super) parts: &'a [&'a str],
}

impl<'a> ResourceType<'a> {
    /// The resource type of the path after a resource group or subscription. `None` if the path has
    /// no provider.
    pub(super) fn of_path(path: &'a [&'a str]) -> Option<Self> {
        let at = path.iter().rposition(|part| *part == "providers")?;
        let (provider, parts) = path.get(at + 1..)?.split_first()?;
        Some(Self { provider, parts })
    }

    /// The types without the namespace: `sites/slots/config`.
    pub(super) fn types(self) -> String {
        let types: Vec<&str> = self.parts.iter().step_by(2).copied().collect();
        types.join("/")
    }
}

//! The two places of an app that can hold references.

/// The place of a reference in an app's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// The value of an app setting.
    AppSetting,
    /// A connection string.
    ConnectionString,
}

impl ReferenceKind {
    /// The name of the collection in the paths of Resource Manager.
    pub(crate) fn collection(self) -> &'static str {
        match self {
            Self::AppSetting => "appsettings",
            Self::ConnectionString => "connectionstrings",
        }
    }

    /// The kind with this name of its collection.
    pub(crate) fn of_collection(name: &str) -> Option<Self> {
        [Self::AppSetting, Self::ConnectionString]
            .into_iter()
            .find(|kind| kind.collection().eq_ignore_ascii_case(name))
    }

    /// The name in error messages.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::AppSetting => "AppSetting",
            Self::ConnectionString => "ConnectionString",
        }
    }
}

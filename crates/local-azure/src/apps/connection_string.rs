//! Connection strings.

use std::collections::BTreeMap;

use crate::hidden::Hidden;

/// Connection strings by name.
pub(crate) type ConnectionStrings = BTreeMap<String, ConnectionString>;

/// A connection string, which may be a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionString {
    pub(crate) value: Hidden,
    /// The type, as in [`TYPES`].
    kind: &'static str,
}

/// The types of connection strings, each with the prefix of its environment variables.
const TYPES: [(&str, &str); 11] = [
    ("Custom", "CUSTOMCONNSTR_"),
    ("MySql", "MYSQLCONNSTR_"),
    ("SQLServer", "SQLCONNSTR_"),
    ("SQLAzure", "SQLAZURECONNSTR_"),
    ("NotificationHub", "NOTIFICATIONHUBCONNSTR_"),
    ("ServiceBus", "SERVICEBUSCONNSTR_"),
    ("EventHub", "EVENTHUBCONNSTR_"),
    ("ApiHub", "APIHUBCONNSTR_"),
    ("DocDb", "DOCDBCONNSTR_"),
    ("RedisCache", "REDISCACHECONNSTR_"),
    ("PostgreSQL", "POSTGRESQLCONNSTR_"),
];

impl ConnectionString {
    /// A connection string of the type `Custom`.
    pub(crate) fn custom(value: Hidden) -> Self {
        Self {
            value,
            kind: "Custom",
        }
    }

    /// A connection string of a type, compared case-insensitively. `None` if there is no such type.
    pub(crate) fn of_type(name: &str, value: Hidden) -> Option<Self> {
        let (kind, _) = TYPES
            .iter()
            .find(|(kind, _)| kind.eq_ignore_ascii_case(name))?;
        Some(Self { value, kind })
    }

    /// The type, as Resource Manager writes it.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The name of the environment variable of a connection string.
    pub(crate) fn variable(&self, name: &str) -> String {
        let prefix = TYPES
            .iter()
            .find(|(kind, _)| *kind == self.kind)
            .map_or("", |(_, prefix)| prefix);
        format!("{prefix}{name}")
    }
}

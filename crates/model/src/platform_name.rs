//! The readings of a setting's name: the environment variables that an app may get for it.

use crate::names::SettingName;

/// The readings of a name by the platform, in lower case.
///
/// App Service on Linux replaces characters that the name of a variable cannot have, such as `.`,
/// by `_`. .NET reads `:` and `__` alike. Windows and .NET compare without case. A name is read as
/// each of them does, because keyrelay does not know the platform of an app.
pub(crate) fn readings(name: &SettingName) -> [String; 2] {
    ["_", "__"].map(|colon| {
        let mut reading = String::with_capacity(name.as_str().len());
        for c in name.as_str().chars() {
            match c {
                c if c.is_ascii_alphanumeric() => reading.push(c.to_ascii_lowercase()),
                ':' => reading.push_str(colon),
                _ => reading.push('_'),
            }
        }
        reading
    })
}

impl SettingName {
    /// Whether a platform may treat two names as one setting.
    pub fn same_to_platform(&self, other: &Self) -> bool {
        let theirs = readings(other);
        readings(self)
            .iter()
            .any(|reading| theirs.contains(reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_each_platform_reads_them() {
        let same = |one: &str, other: &str| {
            SettingName::listed(one).same_to_platform(&SettingName::listed(other))
        };
        for (one, other) in [
            ("SQL", "sql"),
            ("LD.PRELOAD", "LD_PRELOAD"),
            ("Sql-User", "sql_user"),
            ("Sql:User", "SQL__USER"),
            ("Sql:User", "Sql_User"),
            ("Sql..User", "Sql:User"),
            ("a:b:c", "A__B__C"),
            ("a b", "a_b"),
            ("ä", "_"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("SQL", "SQL_"),
            ("Sql_User", "Sql__User"),
            ("a", "b"),
            ("ab", "a.b"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}

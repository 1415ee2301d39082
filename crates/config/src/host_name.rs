//! The name of a host, as the header `Host` has it.

use std::str::FromStr;

/// A host name without scheme, port and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if text.is_empty() || !text.chars().all(is_allowed) {
            return Err(format!(
                "`{text}` is not the name of a host alone, such as `keyrelay.contoso.com`"
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_alone() {
        let host: HostName = "Keyrelay.contoso.com".parse().unwrap();
        assert_eq!(host.as_str(), "keyrelay.contoso.com");
        for text in ["", "https://a", "a:443", "a/b", "*.a", "é.a"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }
}

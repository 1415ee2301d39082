//! A problem of the configuration.

use std::fmt;

/// A problem of the configuration: its location, the mistake, and the correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `keyrelay.toml: rotation[0].grant.set`, or `app setting KEYRELAY_MODE`.
    pub location: String,
    /// The mistake, and the correction.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

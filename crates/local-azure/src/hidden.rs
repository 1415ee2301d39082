//! Text that must not be printed: the values of secrets and settings.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value that `Debug` hides and that has no `Display`. It leaves only through [`expose`](Self::expose) and into the
/// bodies that a service answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Hidden {
    fn from(value: T) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

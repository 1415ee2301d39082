//! Values of secrets and settings, which must not be printed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value that `Debug` hides and that has no `Display`. It is exposed only by
/// [`expose`](Self::expose) and in the bodies of responses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Returns the value.
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

//! Usage errors, as opposed to a policy or a check that fails.

use std::path::Path;

use anyhow::anyhow;

/// An argument, or a file that it names, does not exist or cannot be parsed. The program exits with
/// 2, as with arguments that clap refuses.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct UsageError(anyhow::Error);

/// Marks an error as a [`UsageError`].
pub(crate) trait OrUsageError<T> {
    fn or_usage_error(self) -> anyhow::Result<T>;
}

impl<T> OrUsageError<T> for anyhow::Result<T> {
    fn or_usage_error(self) -> anyhow::Result<T> {
        self.map_err(|error| UsageError(error).into())
    }
}

/// Checks that the path in an argument exists.
pub(crate) fn require_exists(path: &Path) -> anyhow::Result<()> {
    let there = if path.exists() {
        Ok(())
    } else {
        Err(anyhow!("there is no {}", path.display()))
    };
    there.or_usage_error()
}

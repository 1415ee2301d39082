//! Mistakes of whoever calls the program, told apart from a rule or a check that fails.

use std::path::Path;

use anyhow::anyhow;

/// The program was called wrongly: an argument, or a file that it names, is not there or cannot be understood. It ends
/// with 2, as with arguments that clap refuses.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Misuse(anyhow::Error);

/// Says that an error is a [Misuse].
pub(crate) trait OrMisuse<T> {
    fn or_misuse(self) -> anyhow::Result<T>;
}

impl<T> OrMisuse<T> for anyhow::Result<T> {
    fn or_misuse(self) -> anyhow::Result<T> {
        self.map_err(|error| Misuse(error).into())
    }
}

/// What an argument names has to be there.
pub(crate) fn is_there(path: &Path) -> anyhow::Result<()> {
    let there = if path.exists() {
        Ok(())
    } else {
        Err(anyhow!("there is no {}", path.display()))
    };
    there.or_misuse()
}

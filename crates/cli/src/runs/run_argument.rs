//! A run as the arguments name it: by its id, by the beginning of its id, or as the latest one.

use std::str::FromStr;

use anyhow::{anyhow, bail};
use keyrelay_records::history::History;
use keyrelay_records::run_id::{RunId, RunIdError};
use keyrelay_store::{Store, StoreError};

use super::read::failed;
use crate::usage_error::OrUsageError;

/// The length of the day in an id, with the letter behind it.
const DAY: usize = 9;

/// A run of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunArgument {
    /// The newest run.
    Latest,
    /// The run with this id.
    Id(RunId),
    /// The only run whose id begins so.
    Beginning(String),
}

impl FromStr for RunArgument {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let is_beginning = text.len() >= DAY
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                0..18 => byte.is_ascii_digit(),
                18 => byte == b'Z',
                19 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) if is_beginning => Ok(Self::Beginning(text.to_owned())),
            Err(error) => Err(error),
        }
    }
}

impl RunArgument {
    /// The id of the run. The error says that there is none, or lists those that there are.
    pub(super) async fn find(self, store: &Store) -> anyhow::Result<RunId> {
        let history = History::new(store.clone());
        let unlisted = |error: StoreError| failed("list the runs in", store, error);
        match self {
            Self::Id(id) => Ok(id),
            Self::Latest => {
                for day in history.days().await.map_err(unlisted)? {
                    let mut runs = history.of_day(&day).await.map_err(unlisted)?.into_iter();
                    if let Some(latest) = runs.next() {
                        return Ok(latest);
                    }
                }
                bail!("there are no runs in the store {store}")
            }
            Self::Beginning(beginning) => {
                let part = |range| beginning.get(range).unwrap_or_default();
                let day = format!("{}-{}-{}", part(0..4), part(4..6), part(6..8));
                let mut runs = history.of_day(&day).await.map_err(unlisted)?;
                runs.retain(|id| id.as_str().starts_with(&beginning));
                match runs.as_slice() {
                    [id] => Ok(id.clone()),
                    [] => {
                        bail!("no run in the store {store} has an id that begins with {beginning}")
                    }
                    [first, second, ..] => {
                        let several = anyhow!(
                            "{} runs have ids that begin with {beginning}, among them {first} and {second}: \
                             write more of the id",
                            runs.len()
                        );
                        Err(several).or_usage_error()
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_its_beginning_and_the_latest_are_told_apart() {
        let id = "20261123T054539123Z-1f3a9c2d";
        let parsed = |text: &str| text.parse::<RunArgument>();
        assert_eq!(parsed("latest").unwrap(), RunArgument::Latest);
        assert_eq!(parsed(id).unwrap(), RunArgument::Id(id.parse().unwrap()));
        for length in [9, 15, 19, 20, 24] {
            let beginning = &id[..length];
            assert_eq!(
                parsed(beginning).unwrap(),
                RunArgument::Beginning(beginning.to_owned())
            );
        }
        for text in [
            "",
            "20261123",
            "../../x",
            "20261123Tx",
            "last",
            "20261123T054539123Z_",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}

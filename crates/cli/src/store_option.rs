//! The option `--store`.

use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Args;
use keyrelay_config::StoreLocation;
use keyrelay_records::store;
use keyrelay_store::Store;

use crate::azure_account::{AzureAccount, configuration};
use crate::usage_error::OrUsageError;

/// The location of the store.
#[derive(Debug, Args)]
pub(crate) struct StoreOption {
    /// The store: a folder, or the URL of a blob container
    ///
    /// The default is `store` in ./keyrelay.toml, or else the folder .keyrelay/store below the
    /// current one. A container is read with the managed identity in Azure, and elsewhere with the
    /// account of `az login`. This needs the role `Storage Blob Data Reader`, and
    /// `Storage Blob Data Contributor` to resubmit.
    #[arg(long, env = "KEYRELAY_STORE", value_name = "FOLDER|URL", value_parser = parse)]
    store: Option<StoreLocation>,
}

impl StoreOption {
    /// Opens the store. A folder has to exist: reading does not create it.
    pub(crate) fn open(self) -> anyhow::Result<Store> {
        // The empty path stands for the current folder.
        let here = Path::new("");
        if let Some(StoreLocation::Folder(folder)) = &self.store {
            return open_folder(folder);
        }
        let config = configuration(here)?;
        match self.store.unwrap_or_else(|| config.store.clone()) {
            StoreLocation::Folder(folder) => open_folder(&folder),
            container @ StoreLocation::Container(_) => {
                let AzureAccount { http, credential } = AzureAccount::of(&config)?;
                store::open(&container, here, &config.cloud, &credential, &http)
            }
        }
    }
}

fn parse(text: &str) -> Result<StoreLocation, String> {
    match text {
        "" => Err("write a folder, or the URL of a blob container".to_owned()),
        url if url.contains("://") => url
            .parse()
            .map(StoreLocation::Container)
            .map_err(|error| format!("{error}")),
        folder => Ok(StoreLocation::Folder(folder.into())),
    }
}

fn open_folder(folder: &Path) -> anyhow::Result<Store> {
    if !folder.is_dir() {
        let none = anyhow!(
            "there is no store in the folder `{}`: name it with `--store`, KEYRELAY_STORE, or `store` in ./keyrelay.toml \
             (keyrelay-host makes it when it handles its first event)",
            folder.display()
        );
        return Err(none).or_usage_error();
    }
    Store::folder(folder).with_context(|| format!("cannot use the folder `{}`", folder.display()))
}

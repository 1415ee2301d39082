//! Where the store is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use keyrelay_azure::Cloud;
use keyrelay_store::ContainerUrl;
use url::Url;

use super::read::Table;

/// Where leases, pending work and the run history are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// In a blob container.
    Container(ContainerUrl),
    /// In a folder; a relative one is below the app's folder.
    Folder(PathBuf),
}

/// The container in the storage account that the function app has anyway.
const CONTAINER: &str = "keyrelay";

/// The folder that is taken outside of Azure, in the app's folder.
const FOLDER: &str = ".keyrelay/store";

/// The variables by which the Functions host itself finds its storage account with an identity: the blob service's URL,
/// or the account's name.
const SERVICE_URI: &str = "AzureWebJobsStorage__blobServiceUri";
const ACCOUNT_NAME: &str = "AzureWebJobsStorage__accountName";

/// Reads `store`: a URL of a container, or a folder. Left out, it is in the function app's own storage account, and
/// outside of Azure in a folder.
pub(super) fn read(
    table: &mut Table,
    environment: &BTreeMap<String, String>,
    cloud: &Cloud,
) -> StorePlace {
    if let Some(text) = table.text("store") {
        if !text.contains("://") {
            return StorePlace::Folder(text.into());
        }
        match text.parse() {
            Ok(url) => return StorePlace::Container(url),
            Err(error) => table.problem(
                "store",
                format!("{error}: write a folder, or a URL of a container"),
            ),
        }
        return StorePlace::Folder(FOLDER.into());
    }
    let service = match (environment.get(SERVICE_URI), environment.get(ACCOUNT_NAME)) {
        (Some(uri), _) => uri.clone(),
        (None, Some(account)) => format!("https://{account}.blob.{}", cloud.storage_suffix),
        (None, None) => {
            if environment.contains_key("WEBSITE_SITE_NAME") {
                let message = format!(
                    "where to keep leases and runs is not known: set `store` to the URL of a blob container, or {ACCOUNT_NAME}"
                );
                table.problem("store", message);
            }
            return StorePlace::Folder(FOLDER.into());
        }
    };
    let container = service.parse::<Url>().map_err(|error| error.to_string());
    let container = container.and_then(|url| {
        ContainerUrl::in_service(&url, CONTAINER).map_err(|error| error.to_string())
    });
    match container {
        Ok(url) => StorePlace::Container(url),
        Err(error) => {
            table.problem(
                "store",
                format!(
                    "app setting {SERVICE_URI} or {ACCOUNT_NAME} does not lead to one: {error}"
                ),
            );
            StorePlace::Folder(FOLDER.into())
        }
    }
}

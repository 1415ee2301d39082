//! The key `store`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use keyrelay_azure::Cloud;
use keyrelay_store::ContainerUrl;
use url::Url;

use crate::table::Table;

/// The location of leases, pending work and the run history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A blob container.
    Container(ContainerUrl),
    /// A folder. A relative one is below the app's folder.
    Folder(PathBuf),
}

/// The default container, in the storage account of the function app.
const CONTAINER: &str = "keyrelay";

/// The default folder outside of Azure, below the app's folder.
const FOLDER: &str = ".keyrelay/store";

/// The variables in which the Functions host finds its own storage account with an identity: the
/// URL of the blob service, or the name of the account.
const SERVICE_URI: &str = "AzureWebJobsStorage__blobServiceUri";
const ACCOUNT_NAME: &str = "AzureWebJobsStorage__accountName";

/// Reads the URL of a container, or a folder. The default is a container in the function app's own
/// storage account, and a folder outside of Azure.
pub(crate) fn read(
    table: &mut Table,
    environment: &BTreeMap<String, String>,
    cloud: &Cloud,
) -> StoreLocation {
    if let Some(text) = table.text("store") {
        if !text.contains("://") {
            return StoreLocation::Folder(text.into());
        }
        match text.parse() {
            Ok(url) => return StoreLocation::Container(url),
            Err(error) => table.problem(
                "store",
                format!("{error}: write a folder, or a URL of a container"),
            ),
        }
        return StoreLocation::Folder(FOLDER.into());
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
            return StoreLocation::Folder(FOLDER.into());
        }
    };
    let container = service.parse::<Url>().map_err(|error| error.to_string());
    let container = container.and_then(|url| {
        ContainerUrl::in_service(&url, CONTAINER).map_err(|error| error.to_string())
    });
    match container {
        Ok(url) => StoreLocation::Container(url),
        Err(error) => {
            table.problem(
                "store",
                format!(
                    "app setting {SERVICE_URI} or {ACCOUNT_NAME} does not lead to one: {error}"
                ),
            );
            StoreLocation::Folder(FOLDER.into())
        }
    }
}

//! The key `cloud`.

use keyrelay_azure::Cloud;
use url::Url;

use crate::keys::CLOUD;
use crate::table::Table;

/// Reads the name of a cloud, or a table of endpoints.
pub(crate) fn read_cloud(table: &mut Table) -> Cloud {
    type Make = fn() -> Cloud;
    const CLOUDS: [(&str, Make); 3] = [
        ("public", Cloud::public),
        ("usgov", Cloud::us_gov),
        ("china", Cloud::china),
    ];
    let Some(mut custom) = table.table_if("cloud", CLOUD) else {
        return table
            .word("cloud", &CLOUDS)
            .map_or_else(Cloud::public, |cloud| cloud());
    };
    let mut cloud = Cloud::public();
    if let Some(url) = custom.parsed::<Url>("resource_manager") {
        cloud.resource_manager = url;
    }
    if let Some(audience) = custom.text("resource_manager_audience") {
        cloud.resource_manager_audience = audience;
    }
    if let Some(suffix) = custom.text("vault_suffix") {
        cloud.vault_suffix = suffix;
    }
    if let Some(audience) = custom.text("vault_audience") {
        cloud.vault_audience = audience;
    }
    if let Some(suffix) = custom.text("storage_suffix") {
        cloud.storage_suffix = suffix;
    }
    if let Some(audience) = custom.text("storage_audience") {
        cloud.storage_audience = audience;
    }
    if let Some(endpoint) = custom.text("vault_endpoint") {
        cloud.vault_endpoint = endpoint;
    }
    if let Some(url) = custom.parsed::<Url>("login") {
        cloud.login = url;
    }
    if let Some(url) = custom.parsed::<Url>("token_issuer") {
        cloud.token_issuer = url;
    }
    if let Some(url) = custom.parsed::<Url>("log_analytics") {
        cloud.log_analytics = url;
    }
    if let Some(audience) = custom.text("log_analytics_audience") {
        cloud.log_analytics_audience = audience;
    }
    if let Some(version) = custom.text("web_api_version") {
        cloud.web_api_version = version;
    }
    if let Err(error) = cloud.check() {
        custom.problem("", error.to_string());
    }
    table.absorb(custom);
    cloud
}

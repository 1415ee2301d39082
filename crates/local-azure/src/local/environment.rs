//! The environment of the handler: settings, identity, endpoints.

use std::path::Path;

use crate::apps::{ConnectionString, twin};
use crate::cloud::{Cloud, CloudError};
use crate::profile::Profile;
use crate::world::World;

/// The app settings that locate keyrelay's store: its own, and those of the Functions host's
/// storage account.
const STORES: [&str; 3] = [
    "KEYRELAY_STORE",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__accountName",
];

/// The prefixes of the variables that hold endpoints and identities.
const ENDPOINT_PREFIXES: [&str; 4] = [
    "KEYRELAY_",
    "AzureWebJobsStorage__",
    "WEBSITE_",
    "IDENTITY_",
];

/// The default store of an app without a storage account: a folder below the app's folder.
const STORE_FOLDER: &str = ".keyrelay/store";

/// The setting that names keyrelay's own app, for hosts without `WEBSITE_RESOURCE_GROUP`.
const OWN_APP: &str = "KEYRELAY_OWN_APP";

/// The prefixes of the variables that are no settings: those of the platform and of connection
/// strings.
const PLATFORM_PREFIXES: [&str; 3] = ["WEBSITE_", "IDENTITY_", "CUSTOMCONNSTR_"];

/// Variables by name, in order of precedence: the last one of a name counts.
type Variables = Vec<(String, String)>;

/// The sources of the handler's environment.
#[derive(Debug)]
pub(super) struct HandlerEnvironment<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) profile: &'a Profile,
    /// The site that the handler runs as.
    pub(super) site: Option<&'a str>,
    pub(super) vault_suffix: &'a str,
}

impl HandlerEnvironment<'_> {
    /// All variables: those of the site, its identity, the endpoints, and then `added`.
    pub(super) fn variables(
        &self,
        of_site: Variables,
        added: Variables,
    ) -> Result<Variables, CloudError> {
        let cloud = self.cloud;
        let mut environment = of_site;
        environment.extend(match self.site {
            Some(site) => cloud.environment_of(site)?,
            None => cloud.environment(),
        });
        let endpoints = endpoints(cloud, self.vault_suffix);
        environment.push(("KEYRELAY_CLOUD".to_owned(), endpoints));
        environment.extend(added);
        environment.extend(default_store(cloud, &environment));
        if let Some(site) = self.site
            && !self.profile.names_resource_group
            && !environment.iter().any(|(name, _)| name == OWN_APP)
        {
            environment.push((OWN_APP.to_owned(), cloud.app_id(site)?));
        }
        if self.profile.doubles_settings {
            let is_setting = |name: &str| !PLATFORM_PREFIXES.iter().any(|it| name.starts_with(it));
            let twins: Variables = environment
                .iter()
                .filter(|(name, _)| is_setting(name))
                .map(|(name, value)| (twin(name), value.clone()))
                .collect();
            environment.extend(twins);
        }
        Ok(environment)
    }
}

/// The environment that App Service gives a site: its settings, its connection strings and its
/// `WEBSITE_` variables.
pub(super) fn of_site(world: &World, site: &str, profile: &Profile) -> Variables {
    let Some(site) = world
        .sites
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case(site))
    else {
        return Vec::new();
    };
    let settings = site
        .settings
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let connection_strings = site.connection_strings.iter().map(|(name, value)| {
        let variable = ConnectionString::custom(value.clone()).variable(name);
        (variable, value.expose().to_owned())
    });
    // Only the subscription in this value is read. The group and region after it follow Azure's
    // form.
    let webspace = format!(
        "{}+{}-{}webspace",
        world.subscription, site.resource_group, site.location
    );
    let own = [
        ("WEBSITE_SITE_NAME", Some(site.name.clone())),
        (
            "WEBSITE_RESOURCE_GROUP",
            profile
                .names_resource_group
                .then(|| site.resource_group.clone()),
        ),
        ("WEBSITE_OWNER_NAME", Some(webspace)),
    ];
    settings
        .chain(connection_strings)
        .chain(
            own.into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        )
        .collect()
}

/// The setting of the default store, unless the environment names a store.
fn default_store(cloud: &Cloud, environment: &[(String, String)]) -> Option<(String, String)> {
    let [folder, blob_service, _] = STORES;
    let is_store = |(name, _): &(String, String)| STORES.contains(&name.as_str());
    if environment.iter().any(is_store) {
        return None;
    }
    Some(match cloud.storage_url() {
        Some(url) => (blob_service.to_owned(), url.to_string()),
        None => (folder.to_owned(), STORE_FOLDER.to_owned()),
    })
}

/// Makes the folder of the store absolute, for programs that run in other folders.
pub(super) fn make_store_absolute(environment: &mut Variables, app_root: &Path) {
    let [folder, ..] = STORES;
    let store = environment.iter_mut().find(|(name, _)| name == folder);
    if let Some((_, store)) = store.filter(|(_, store)| !store.contains("://"))
        && let Ok(absolute) = std::path::absolute(app_root.join(&*store))
    {
        *store = absolute.display().to_string();
    }
}

/// Whether a variable holds an endpoint or an identity.
pub(super) fn is_endpoint(variable: &str) -> bool {
    ENDPOINT_PREFIXES
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

/// The value of `KEYRELAY_CLOUD`, which directs keyrelay to this cloud.
fn endpoints(cloud: &Cloud, vault_suffix: &str) -> String {
    let (resource_manager, vaults) = (cloud.resource_manager_url(), cloud.key_vault_url());
    let log_analytics = if cloud.is_audited() {
        format!(", log_analytics = \"{}\"", cloud.log_analytics_url())
    } else {
        String::new()
    };
    format!(
        "{{ resource_manager = \"{resource_manager}\", vault_endpoint = \"{vaults}vaults/{{vault}}\", \
         vault_suffix = \"{vault_suffix}\"{log_analytics} }}"
    )
}

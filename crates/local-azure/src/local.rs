//! Everything together: the cloud, Event Grid, and the Functions host with a function app in it.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::backend::Subscribed;
use crate::cloud::{Cloud, CloudError, CloudOptions};
use crate::event_grid::{
    EventGrid, EventGridError, EventGridOptions, EventSubscription, SubscribeError,
};
use crate::functions_host::{FunctionsHost, FunctionsHostError, FunctionsHostOptions};
use crate::world::{Vault, World};

/// The function that the events of all vaults go to.
const FUNCTION: &str = "SecretEvent";

/// The app settings by which keyrelay finds its store: its own, and those of the Functions host's storage account.
const STORES: [&str; 3] = [
    "KEYRELAY_STORE",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__accountName",
];

/// What the variables begin with that say where something is, or who somebody is.
const SURROUNDINGS: [&str; 4] = [
    "KEYRELAY_",
    "AzureWebJobsStorage__",
    "WEBSITE_",
    "IDENTITY_",
];

/// The store of an app that is not told of another one: a folder below the app's, because there is no storage account.
const STORE_FOLDER: &str = ".keyrelay/store";

/// What to start, and how it behaves.
#[derive(Debug)]
pub struct LocalAzureOptions {
    /// What exists.
    pub world: World,
    /// The site of the world that the function app is: its settings and its identity are the handler's. None: the
    /// handler has no settings, and an identity that no vault denies.
    pub site: Option<String>,
    /// How the cloud behaves.
    pub cloud: CloudOptions,
    /// How Event Grid behaves.
    pub event_grid: EventGridOptions,
    /// How the Functions host behaves, and in which folder the function app is. Its environment is added to what the
    /// site gives.
    pub functions_host: FunctionsHostOptions,
    /// How many events are delivered together at most.
    pub max_events_per_batch: usize,
}

impl LocalAzureOptions {
    /// The function app in a folder, in a world, with everything else as in Azure.
    pub fn new(world: World, app_root: impl Into<PathBuf>) -> Self {
        Self {
            world,
            site: None,
            cloud: CloudOptions::default(),
            event_grid: EventGridOptions::default(),
            functions_host: FunctionsHostOptions::new(app_root),
            max_events_per_batch: 1,
        }
    }
}

/// A running stand-in for Azure. Everything ends when this is dropped, the handler and the apps included.
#[derive(Debug)]
pub struct LocalAzure {
    /// Identity, Key Vault and Resource Manager.
    pub cloud: Cloud,
    /// Event Grid, with an event subscription for each vault.
    pub event_grid: EventGrid,
    /// The Functions host.
    pub functions_host: FunctionsHost,
    /// Where the function app finds everything, and who it is: its environment without settings of any other purpose.
    pub environment: Vec<(String, String)>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum LocalAzureError {
    /// The cloud does not.
    #[error("the cloud does not start")]
    Cloud(#[from] CloudError),
    /// Event Grid does not.
    #[error("Event Grid does not start")]
    EventGrid(#[from] EventGridError),
    /// The Functions host does not.
    #[error("the Functions host does not start")]
    FunctionsHost(#[from] FunctionsHostError),
    /// An event subscription is not possible.
    #[error("the events of a vault cannot be subscribed to")]
    Subscribe(#[from] SubscribeError),
}

impl LocalAzure {
    /// Starts everything, and returns when events are delivered and the handler is ready, or has ended.
    pub async fn start(options: LocalAzureOptions) -> Result<Self, LocalAzureError> {
        let LocalAzureOptions {
            world,
            site,
            cloud,
            event_grid,
            mut functions_host,
            max_events_per_batch,
        } = options;
        let (publish, published) = mpsc::unbounded_channel();
        let mut environment = site
            .as_ref()
            .map(|site| settings_of(&world, site))
            .unwrap_or_default();
        let topics: Vec<(Vault, String)> = world
            .vaults
            .iter()
            .filter(|vault| vault.subscribed)
            .map(|vault| (vault.clone(), topic(&world.subscription, vault)))
            .collect();
        let function = function_id(&world, site.as_deref());
        let has_dead_letter = event_grid.dead_letter.is_some();
        let vault_suffix = world.cloud.vault_suffix();
        let cloud = Cloud::start(world, cloud, publish).await?;
        environment.extend(match &site {
            Some(site) => cloud.environment_of(site)?,
            None => cloud.environment(),
        });
        environment.push(("KEYRELAY_CLOUD".to_owned(), endpoints(&cloud, vault_suffix)));
        environment.append(&mut functions_host.environment);
        if !environment
            .iter()
            .any(|(name, _)| STORES.contains(&name.as_str()))
        {
            environment.push(match cloud.storage_url() {
                Some(url) => (STORES[1].to_owned(), url.to_string()),
                None => (STORES[0].to_owned(), STORE_FOLDER.to_owned()),
            });
        }
        let is_surrounding = |name: &str| {
            SURROUNDINGS
                .iter()
                .any(|beginning| name.starts_with(beginning))
        };
        let surroundings = environment
            .iter()
            .filter(|(name, _)| is_surrounding(name))
            .cloned()
            .collect();
        functions_host.environment = environment;

        let event_grid = EventGrid::start(event_grid, published)?;
        let functions_host = FunctionsHost::start(functions_host).await?;
        for (vault, topic) in topics {
            let endpoint = functions_host.event_grid_endpoint(FUNCTION);
            let name = format!("keyrelay-{}", vault.name);
            let mut subscription = EventSubscription::new(&name, &topic, endpoint);
            subscription.max_events_per_batch = max_events_per_batch;
            subscription
                .included_event_types
                .clone_from(&vault.event_types);
            subscription
                .subject_begins_with
                .clone_from(&vault.subject_begins_with);
            event_grid.subscribe(subscription).await?;
            let Vault {
                name: vault,
                event_types,
                subject_begins_with,
                ..
            } = vault;
            let function = function.clone();
            cloud.show(Subscribed {
                name,
                vault,
                topic,
                function,
                event_types,
                subject_begins_with,
                has_dead_letter,
            });
        }
        // One that never gets ready is a state like any other: the caller may want to see it.
        functions_host.wait_while_starting().await;
        Ok(Self {
            cloud,
            event_grid,
            functions_host,
            environment: surroundings,
        })
    }
}

/// The app setting by which keyrelay finds this cloud instead of Azure's.
fn endpoints(cloud: &Cloud, vault_suffix: &str) -> String {
    let (resource_manager, vaults) = (cloud.resource_manager_url(), cloud.key_vault_url());
    format!(
        "{{ resource_manager = \"{resource_manager}\", vault_endpoint = \"{vaults}vaults/{{vault}}\", \
         vault_suffix = \"{vault_suffix}\" }}"
    )
}

/// A vault's Resource Manager id, which is the topic of its events.
fn topic(subscription: &str, vault: &Vault) -> String {
    let Vault {
        name,
        resource_group: group,
        ..
    } = vault;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}"
    )
}

/// The id of the function that events go to.
fn function_id(world: &World, site: Option<&str>) -> String {
    let site = site.unwrap_or("outsider");
    let found = world
        .sites
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case(site));
    let group = found.map_or("local", |it| it.resource_group.as_str());
    let subscription = &world.subscription;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{site}/functions/{FUNCTION}"
    )
}

/// What App Service puts into the environment of a site: its settings, and who it is.
fn settings_of(world: &World, site: &str) -> Vec<(String, String)> {
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
    // The webspace after the subscription has the group and the region in it; nothing here reads that part.
    let webspace = format!(
        "{}+{}-{}webspace",
        world.subscription, site.resource_group, site.location
    );
    let own = [
        ("WEBSITE_SITE_NAME", site.name.clone()),
        ("WEBSITE_RESOURCE_GROUP", site.resource_group.clone()),
        ("WEBSITE_OWNER_NAME", webspace),
    ];
    settings
        .chain(own.map(|(name, value)| (name.to_owned(), value)))
        .collect()
}

//! The whole stand-in: the cloud, Event Grid, and the Functions host with a function app.

mod environment;

use std::path::PathBuf;

use tokio::sync::mpsc;
use url::Url;

use crate::apps::news;
use crate::cloud::{Cloud, CloudError, CloudOptions};
use crate::event_grid::{
    EventGrid, EventGridError, EventGridOptions, EventSubscription, SubscribeError,
};
use crate::functions_host::{FunctionsHost, FunctionsHostError, FunctionsHostOptions};
use crate::resource_manager::ListedSubscription;
use crate::world::{Vault, World};
use environment::HandlerEnvironment;

/// The function that receives the events of all vaults.
const FUNCTION: &str = "SecretEvent";

/// The options of a stand-in.
#[derive(Debug)]
pub struct LocalAzureOptions {
    /// The world.
    pub world: World,
    /// The site of the function app. The handler gets its settings and its identity. `None` means
    /// no settings, and an identity that every vault accepts.
    pub site: Option<String>,
    /// The options of the cloud.
    pub cloud: CloudOptions,
    /// The options of Event Grid.
    pub event_grid: EventGridOptions,
    /// The options of the Functions host, with the folder of the function app. Its environment is
    /// added to that of the site.
    pub functions_host: FunctionsHostOptions,
    /// The maximum number of events in a batch.
    pub max_events_per_batch: usize,
}

impl LocalAzureOptions {
    /// Azure's defaults for a world and the function app in a folder.
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

/// A running stand-in for Azure. Dropping it stops everything, including the handler and the apps.
#[derive(Debug)]
pub struct LocalAzure {
    /// Identity, Key Vault, Resource Manager and Log Analytics.
    pub cloud: Cloud,
    /// Event Grid, with one event subscription per vault, and one for early news.
    pub event_grid: EventGrid,
    /// The Functions host.
    pub functions_host: FunctionsHost,
    /// The part of the function app's environment that holds endpoints and identities.
    pub environment: Vec<(String, String)>,
}

/// The reason that the stand-in cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LocalAzureError {
    /// The cloud cannot start.
    #[error("the cloud cannot start")]
    Cloud(#[from] CloudError),
    /// Event Grid cannot start.
    #[error("Event Grid cannot start")]
    EventGrid(#[from] EventGridError),
    /// The Functions host cannot start.
    #[error("the Functions host cannot start")]
    FunctionsHost(#[from] FunctionsHostError),
    /// An event subscription was not created.
    #[error("cannot subscribe to the events of a vault")]
    Subscribe(#[from] SubscribeError),
}

impl LocalAzure {
    /// Starts everything. Returns when events are delivered and the handler is ready or has ended.
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
        let profile = cloud.profile.clone();
        let settings = site
            .as_ref()
            .map(|site| environment::of_site(&world, site, &profile))
            .unwrap_or_default();
        let subscribed = subscribed_vaults(&world);
        let news = world.early_news.then(|| news::topic(&world.subscription));
        let function = function_id(&world, site.as_deref());
        let has_dead_letter = event_grid.dead_letter.is_some();
        let vault_suffix = world.cloud.vault_suffix();
        let cloud = Cloud::start(world, cloud, publish).await?;
        let handler = HandlerEnvironment {
            cloud: &cloud,
            profile: &profile,
            site: site.as_deref(),
            vault_suffix,
        };
        let added = std::mem::take(&mut functions_host.environment);
        let mut environment = handler.variables(settings, added)?;
        functions_host.environment = environment.clone();
        environment.retain(|(name, _)| environment::is_endpoint(name));
        environment::make_store_absolute(&mut environment, &functions_host.app_root);

        let event_grid = EventGrid::start(event_grid, published)?;
        let functions_host = FunctionsHost::start(functions_host).await?;
        for (vault, topic) in subscribed {
            let endpoint = functions_host.event_grid_endpoint(FUNCTION);
            let mut subscription = event_subscription(&vault, &topic, endpoint);
            subscription.max_events_per_batch = max_events_per_batch;
            let name = subscription.name.clone();
            event_grid.subscribe(subscription).await?;
            cloud.list_event_subscription(ListedSubscription {
                function: function.clone(),
                has_dead_letter,
                ..listed(name, vault, topic)
            });
        }
        if let Some(topic) = news {
            let endpoint = functions_host.event_grid_endpoint(FUNCTION);
            let mut subscription = EventSubscription::new("keyrelay-news", topic, endpoint);
            subscription.included_event_types = vec![news::EVENT_TYPE.to_owned()];
            event_grid.subscribe(subscription).await?;
        }
        // A handler that never becomes ready is no error: a test may want to observe it.
        functions_host.wait_while_starting().await;
        Ok(Self {
            cloud,
            event_grid,
            functions_host,
            environment,
        })
    }
}

/// The vaults whose events are delivered, each with its topic.
fn subscribed_vaults(world: &World) -> Vec<(Vault, String)> {
    let subscribed = world.vaults.iter().filter(|vault| vault.subscribed);
    subscribed
        .map(|vault| (vault.clone(), topic(&world.subscription, vault)))
        .collect()
}

/// The listing of a vault's event subscription, without the function that receives the events.
fn listed(name: String, vault: Vault, topic: String) -> ListedSubscription {
    ListedSubscription {
        name,
        vault: vault.name,
        topic,
        function: String::new(),
        event_types: vault.event_types,
        subject_begins_with: vault.subject_begins_with,
        has_dead_letter: false,
    }
}

/// The event subscription of a vault, with the filters of the world.
fn event_subscription(vault: &Vault, topic: &str, endpoint: Url) -> EventSubscription {
    let name = format!("keyrelay-{}", vault.name);
    let mut subscription = EventSubscription::new(name, topic, endpoint);
    subscription
        .included_event_types
        .clone_from(&vault.event_types);
    subscription
        .subject_begins_with
        .clone_from(&vault.subject_begins_with);
    subscription
}

/// The topic of a vault's events, which is its Resource Manager id.
fn topic(subscription: &str, vault: &Vault) -> String {
    let Vault {
        name,
        resource_group: group,
        ..
    } = vault;
    let subscription = vault.subscription.as_deref().unwrap_or(subscription);
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}"
    )
}

/// The id of the function that receives the events.
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

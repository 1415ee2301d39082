//! The world: the resources that exist when the stand-in starts, as TOML or plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::azure_cloud::AzureCloud;
use crate::hidden::Hidden;
use crate::sku::Sku;

/// One subscription with its vaults and sites. In TOML these are the tables `[[vault]]`,
/// `[[site]]`, `[[site.slot]]` and `[[identity]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The subscription's id.
    pub subscription: String,
    /// The id of the tenant that the subscription belongs to.
    #[serde(default = "any_tenant")]
    pub tenant: String,
    /// The cloud, which determines the vaults' hosts and the audiences of tokens.
    #[serde(default)]
    pub cloud: AzureCloud,
    /// Whether writes of apps are reported to the function app: it is subscribed to the events of the
    /// subscription about written resources.
    #[serde(default)]
    pub early_news: bool,
    /// The vaults.
    #[serde(default, rename = "vault")]
    pub vaults: Vec<Vault>,
    /// The function apps and web apps.
    #[serde(default, rename = "site")]
    pub sites: Vec<Site>,
    /// The user-assigned identities, which every app may use by client id.
    #[serde(default, rename = "identity")]
    pub identities: Vec<UserAssignedIdentity>,
    /// The roles of identities in Resource Manager. An identity without a role is allowed
    /// everything.
    #[serde(default, rename = "role")]
    pub roles: Vec<Role>,
}

/// A role together with its assignment to an identity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The identity: `site`, `site/slot`, or the name of a user-assigned identity.
    pub identity: String,
    /// The scope: the prefix of a resource id. Default: everywhere.
    #[serde(default)]
    pub scope: String,
    /// The allowed actions, with `*` as the wildcard.
    pub actions: Vec<String>,
    /// The exceptions from the allowed actions.
    #[serde(default)]
    pub not_actions: Vec<String>,
}

/// A vault with its secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// The vault's name.
    pub name: String,
    /// The name of its resource group.
    pub resource_group: String,
    /// The id of its subscription. Default: that of the world.
    pub subscription: Option<String>,
    /// Whether access policies decide who may use the vault, and not roles. An identity without a
    /// policy has no access then.
    #[serde(default)]
    pub access_policies: bool,
    /// The access policies.
    #[serde(default, rename = "access_policy")]
    pub policies: Vec<AccessPolicy>,
    /// The secrets with their initial values.
    #[serde(default)]
    pub secrets: BTreeMap<String, Hidden>,
    /// The identities without access to the vault: `site`, `site/slot`, or the name of a
    /// user-assigned identity.
    #[serde(default)]
    pub denies: Vec<String>,
    /// Whether the events of the vault are delivered to the function app.
    #[serde(default = "yes")]
    pub subscribed: bool,
    /// The event types to deliver. An empty list means all.
    #[serde(default)]
    pub event_types: Vec<String>,
    /// The prefix of the names of secrets whose events are delivered. An empty text means all.
    #[serde(default)]
    pub subject_begins_with: String,
}

/// An access policy of a vault. In TOML: `[[vault.access_policy]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessPolicy {
    /// The identity: `site`, `site/slot`, or the name of a user-assigned identity.
    pub identity: String,
    /// The permissions for secrets, such as `List`.
    pub secrets: Vec<String>,
}

/// A function app or web app.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The site's name.
    pub name: String,
    /// The name of its resource group.
    pub resource_group: String,
    /// The region.
    #[serde(default = "any_location")]
    pub location: String,
    /// The kind, as Resource Manager writes it: `functionapp,linux` or `app,linux`.
    #[serde(default = "function_app")]
    pub kind: String,
    /// The SKU, which decides whether there may be slots. Default: `ElasticPremium` for a function
    /// app, `PremiumV3` for a web app.
    pub sku: Option<Sku>,
    /// Whether the site has a system-assigned identity.
    #[serde(default = "yes")]
    pub identity: bool,
    /// The app settings.
    #[serde(default)]
    pub settings: BTreeMap<String, Hidden>,
    /// The connection strings, all of the type `Custom`.
    #[serde(default)]
    pub connection_strings: BTreeMap<String, Hidden>,
    /// The command line of the app's process. An empty list runs no process.
    #[serde(default)]
    pub command: Vec<String>,
    /// The slots other than the production slot.
    #[serde(default, rename = "slot")]
    pub slots: Vec<Slot>,
}

/// A slot of a site: an app with its own settings and identity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The slot's name.
    pub name: String,
    /// Whether the slot has a system-assigned identity.
    #[serde(default = "yes")]
    pub identity: bool,
    /// The app settings.
    #[serde(default)]
    pub settings: BTreeMap<String, Hidden>,
    /// The connection strings, all of the type `Custom`.
    #[serde(default)]
    pub connection_strings: BTreeMap<String, Hidden>,
    /// The command line of the app's process. An empty list runs no process.
    #[serde(default)]
    pub command: Vec<String>,
}

/// A user-assigned identity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserAssignedIdentity {
    /// The identity's name.
    pub name: String,
    /// The name of its resource group.
    pub resource_group: String,
    /// The client id that apps refer to.
    pub client_id: String,
}

/// The reason that a world is invalid.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The text is not TOML of the right form. The error gives the line and not its content, which
    /// may be a secret.
    #[error("the world cannot be read, line {line}: {reason}")]
    Unreadable {
        /// The number of the line, counted from 1.
        line: usize,
        /// The problem.
        reason: String,
    },
    /// The world is inconsistent.
    #[error("the world is inconsistent: {}", .0.join("; "))]
    Contradictory(Vec<String>),
}

impl World {
    /// Parses a world from TOML. Unknown keys are an error.
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        let world: Self = toml::from_str(text).map_err(|error| WorldError::Unreadable {
            line: error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1),
            reason: error.message().to_owned(),
        })?;
        world.check()?;
        Ok(world)
    }

    /// Checks the world for inconsistencies, such as two vaults of one name.
    /// [`Cloud::start`](crate::Cloud::start) includes this check.
    pub fn check(&self) -> Result<(), WorldError> {
        let mut problems = Vec::new();
        let mut apps = BTreeSet::new();
        for name in self.apps().map(|app| app.short_name()) {
            if !apps.insert(name.to_lowercase()) {
                problems.push(format!("there are two apps `{name}`"));
            }
        }
        for site in &self.sites {
            if !site.slots.is_empty() && !site.sku().has_slots() {
                let (name, sku) = (&site.name, site.sku());
                problems.push(format!("`{name}` has slots, and {sku:?} allows none"));
            }
        }
        let identities: Vec<&str> = self.identities.iter().map(|it| it.name.as_str()).collect();
        let mut vaults = BTreeSet::new();
        for vault in &self.vaults {
            if !is_name(&vault.name, 24) {
                problems.push(format!("`{}` is not a valid name of a vault", vault.name));
            }
            if !vaults.insert(vault.name.to_lowercase()) {
                problems.push(format!("there are two vaults `{}`", vault.name));
            }
            for secret in vault.secrets.keys().filter(|it| !is_name(it, 127)) {
                problems.push(format!(
                    "`{secret}` in vault `{}` is not a valid name of a secret",
                    vault.name
                ));
            }
            let is_there = |identity: &str| {
                apps.contains(&identity.to_lowercase()) || identities.contains(&identity)
            };
            for denied in vault.denies.iter().filter(|it| !is_there(it)) {
                problems.push(format!(
                    "vault `{}` denies `{denied}`, which does not exist",
                    vault.name
                ));
            }
            let policies = vault.policies.iter().map(|policy| &policy.identity);
            for identity in policies.filter(|it| !is_there(it)) {
                problems.push(format!(
                    "vault `{}` has an access policy for `{identity}`, which does not exist",
                    vault.name
                ));
            }
            if !vault.access_policies && !vault.policies.is_empty() {
                problems.push(format!(
                    "vault `{}` has access policies, and `access_policies` is false",
                    vault.name
                ));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(WorldError::Contradictory(problems))
        }
    }

    /// All apps: every site, each followed by its slots.
    pub(crate) fn apps(&self) -> impl Iterator<Item = AppFields<'_>> {
        self.sites.iter().flat_map(|site| {
            let Site {
                identity,
                settings,
                connection_strings,
                command,
                ..
            } = site;
            let slots = site.slots.iter().map(move |slot| {
                let Slot {
                    name,
                    identity,
                    settings,
                    connection_strings,
                    command,
                } = slot;
                AppFields {
                    site,
                    slot: Some(name),
                    identity: *identity,
                    settings,
                    connection_strings,
                    command,
                }
            });
            std::iter::once(AppFields {
                site,
                slot: None,
                identity: *identity,
                settings,
                connection_strings,
                command,
            })
            .chain(slots)
        })
    }
}

impl Site {
    /// The SKU, which may be the default.
    pub(crate) fn sku(&self) -> Sku {
        self.sku.unwrap_or_else(|| Sku::of_kind(&self.kind))
    }
}

/// The fields that sites and slots share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppFields<'a> {
    pub(crate) site: &'a Site,
    pub(crate) slot: Option<&'a String>,
    pub(crate) identity: bool,
    pub(crate) settings: &'a BTreeMap<String, Hidden>,
    pub(crate) connection_strings: &'a BTreeMap<String, Hidden>,
    pub(crate) command: &'a Vec<String>,
}

impl AppFields<'_> {
    /// The Resource Manager id.
    pub(crate) fn id(&self, world: &World) -> String {
        let id = format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Web/sites/{}",
            world.subscription, self.site.resource_group, self.site.name
        );
        match self.slot {
            Some(slot) => format!("{id}/slots/{slot}"),
            None => id,
        }
    }

    /// `site`, or `site/slot`.
    pub(crate) fn short_name(&self) -> String {
        match self.slot {
            Some(slot) => format!("{}/{slot}", self.site.name),
            None => self.site.name.clone(),
        }
    }
}

/// Whether a name is valid in Key Vault: letters, digits and hyphens, at most `longest` characters.
pub(crate) fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn any_tenant() -> String {
    "00000000-0000-0000-0000-00000000aaaa".into()
}

fn any_location() -> String {
    "West Europe".into()
}

fn function_app() -> String {
    "functionapp,linux".into()
}

fn yes() -> bool {
    true
}

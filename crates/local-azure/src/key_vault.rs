//! The data plane of Key Vault, by its published contract.

mod bodies;
mod refusal;

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::azure_cloud::{Audience, AzureCloud};
use crate::call::ServiceCall;
use crate::identity::Identities;
use crate::paging::{Keyed, page};
use crate::response::{self, Response};
use crate::vaults::{AccessRefusal, DeletedSecret, LocalVault, Secret, Vaults};
use crate::world::World;
use bodies::{SetSecret, UpdateSecret};
use refusal::KeyVaultRefusal;

/// The page size of a list: both the default and the maximum.
const MAX_RESULTS: usize = 25;

/// The api-versions of Microsoft's client libraries and of keyrelay. They are the same on all routes.
const API_VERSIONS: [&str; 14] = [
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5-preview.1",
    "7.5",
    "7.6-preview.1",
    "7.6-preview.2",
    "7.6",
    "2025-06-01-preview",
    "2025-07-01",
    NEWEST,
];

/// The newest api-version.
const NEWEST: &str = "2026-04-01";

/// The data plane of all vaults.
pub(crate) struct KeyVaultService {
    cloud: AzureCloud,
    tenant: String,
    vaults: Arc<Vaults>,
    identities: Arc<Identities>,
}

impl KeyVaultService {
    pub(crate) fn new(world: &World, vaults: Arc<Vaults>, identities: Arc<Identities>) -> Self {
        Self {
            cloud: world.cloud,
            tenant: world.tenant.clone(),
            vaults,
            identities,
        }
    }

    /// Authenticates the caller. The error is the challenge that names the authority for tokens.
    pub(crate) fn caller(
        &self,
        call: &ServiceCall,
        now: Timestamp,
    ) -> Result<String, Box<Response>> {
        self.identities
            .owner(call, Audience::KeyVault, now)
            .map_err(|reason| Box::new(refusal::challenge(self.cloud, &self.tenant, reason)))
    }

    /// Executes a request.
    pub(crate) fn respond(&self, call: &ServiceCall, caller: &str, now: Timestamp) -> Response {
        self.execute(call, caller, now)
            .unwrap_or_else(KeyVaultRefusal::into_response)
    }

    fn execute(
        &self,
        call: &ServiceCall,
        caller: &str,
        now: Timestamp,
    ) -> Result<Response, KeyVaultRefusal> {
        check_api_version(call)?;
        let segments = call.segments();
        let mut path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let vault = if let ["vaults", name, ..] = path.as_slice() {
            let vault = self.vaults.named(name);
            path.drain(..2);
            vault
        } else {
            self.vault_of_host(call)
        };
        let vault = vault.ok_or(KeyVaultRefusal::NoVault)?;
        let permission = permission(&call.method, &path);
        match vault.refusal(caller, permission) {
            Some(AccessRefusal::ByRole) => {
                return Err(KeyVaultRefusal::Denied {
                    caller: caller.to_owned(),
                    resource: vault.id.clone(),
                });
            }
            Some(AccessRefusal::ByPolicy) => {
                return Err(KeyVaultRefusal::NoPolicy {
                    caller: caller.to_owned(),
                    permission,
                    vault: vault.name.clone(),
                });
            }
            None => {}
        }
        match path.as_slice() {
            ["secrets", rest @ ..] => self.secrets(vault, call, rest, now),
            ["deletedsecrets", rest @ ..] => deleted_secrets(vault, call, rest),
            _ => Err(KeyVaultRefusal::NotFound),
        }
    }

    /// The vault in the first label of a host such as `{vault}.vault.azure.net` or
    /// `{vault}.localhost`, or the only vault.
    fn vault_of_host(&self, call: &ServiceCall) -> Option<&LocalVault> {
        let host = call.header("host").unwrap_or_default().to_lowercase();
        let host = host.split(':').next().unwrap_or_default();
        match host.split_once('.') {
            Some((name, suffix)) if ["localhost", self.cloud.vault_suffix()].contains(&suffix) => {
                self.vaults.named(name)
            }
            _ => self.vaults.only(),
        }
    }

    fn secrets(
        &self,
        vault: &LocalVault,
        call: &ServiceCall,
        path: &[&str],
        now: Timestamp,
    ) -> Result<Response, KeyVaultRefusal> {
        match (&call.method, path) {
            (&Method::GET, []) => {
                let item =
                    |it: &Secret| (it.name.to_lowercase(), bodies::item_of_newest(vault, it));
                list(call, vault.all().iter().map(item).collect())
            }
            (&Method::PUT, [name]) => {
                let wanted: SetSecret = call.json().map_err(KeyVaultRefusal::unreadable)?;
                let (secret, version) =
                    self.vaults
                        .set_secret(vault, name, wanted.into_version()?, now)?;
                Ok(response::ok(&bodies::bundle(vault, &secret, &version)))
            }
            (&Method::GET, [name]) => get(vault, name, None),
            (&Method::GET, [name, "versions"]) => {
                // For an unknown secret the service returns an empty list instead of an error.
                let secret = vault.secret(name).ok();
                let versions = secret.iter().flat_map(|secret| {
                    secret.versions().map(|version| {
                        (
                            version.id.clone(),
                            bodies::without_value(vault, secret, version),
                        )
                    })
                });
                list(call, versions.collect())
            }
            (&Method::GET, [name, version]) => get(vault, name, Some(version)),
            (&Method::PATCH, [name, rest @ ..]) if rest.len() < 2 => {
                let wanted: UpdateSecret = call.json().map_err(KeyVaultRefusal::unreadable)?;
                wanted.check()?;
                let (secret, version) =
                    vault.update(name, rest.first().copied(), now, |version| {
                        wanted.apply_to(version)
                    })?;
                Ok(response::ok(&bodies::without_value(
                    vault, &secret, &version,
                )))
            }
            (&Method::DELETE, [name]) => Ok(response::ok(&bodies::deleted(
                vault,
                &vault.delete(name, now)?,
            ))),
            _ => Err(KeyVaultRefusal::NotFound),
        }
    }
}

/// The permission that an operation needs in a vault with access policies.
fn permission(method: &Method, path: &[&str]) -> &'static str {
    match (method, path) {
        (&Method::GET, [_] | [_, _, "versions"]) => "list",
        (&Method::GET, _) => "get",
        (&Method::DELETE, ["deletedsecrets", ..]) => "purge",
        (&Method::DELETE, _) => "delete",
        (&Method::POST, ["deletedsecrets", ..]) => "recover",
        _ => "set",
    }
}

/// Checks the api-version.
fn check_api_version(call: &ServiceCall) -> Result<(), KeyVaultRefusal> {
    let version = call
        .query
        .get("api-version")
        .filter(|it| !it.is_empty())
        .ok_or(KeyVaultRefusal::NoApiVersion)?;
    if API_VERSIONS.contains(&version) {
        return Ok(());
    }
    Err(KeyVaultRefusal::BadParameter(format!(
        "The specified version ({version}) is not recognized. Consider using the latest supported version ({NEWEST})."
    )))
}

fn get(vault: &LocalVault, name: &str, version: Option<&str>) -> Result<Response, KeyVaultRefusal> {
    let (secret, version) = vault.version(name, version)?;
    if version.attributes.enabled {
        Ok(response::ok(&bodies::bundle(vault, &secret, &version)))
    } else {
        Err(KeyVaultRefusal::Disabled)
    }
}

fn deleted_secrets(
    vault: &LocalVault,
    call: &ServiceCall,
    path: &[&str],
) -> Result<Response, KeyVaultRefusal> {
    match (&call.method, path) {
        (&Method::GET, []) => {
            let item = |it: &DeletedSecret| {
                (
                    it.secret.name.to_lowercase(),
                    bodies::deleted_item(vault, it),
                )
            };
            list(call, vault.all_deleted().iter().map(item).collect())
        }
        (&Method::GET, [name]) => Ok(response::ok(&bodies::deleted(vault, &vault.deleted(name)?))),
        (&Method::DELETE, [name]) => {
            vault.purge(name)?;
            Ok(response::empty(StatusCode::NO_CONTENT))
        }
        (&Method::POST, [name, "recover"]) => {
            let secret = vault.recover(name)?;
            Ok(response::ok(&bodies::without_value(
                vault,
                &secret,
                &secret.newest,
            )))
        }
        _ => Err(KeyVaultRefusal::NotFound),
    }
}

/// A list of ids and attributes. Versions are sorted by id, not by creation.
fn list(call: &ServiceCall, items: Vec<Keyed>) -> Result<Response, KeyVaultRefusal> {
    let size = match call.query.get("maxresults") {
        None => MAX_RESULTS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|size| (1..=MAX_RESULTS).contains(size))
            .ok_or_else(|| {
                KeyVaultRefusal::BadParameter(format!(
                    "maxresults must be between 1 and {MAX_RESULTS}, not `{text}`."
                ))
            })?,
    };
    let body: Value = page(call, items, size);
    Ok(response::ok(&body))
}

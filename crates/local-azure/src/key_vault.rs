//! The data plane of Key Vault, as its published contract (versions 7.0 and up) says.

mod bodies;
mod refusal;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::answer::{self, Response};
use crate::azure_cloud::Audience;
use crate::backend::Backend;
use crate::call::Call;
use crate::paging::{Keyed, page};
use crate::vaults::{Deleted, Secret, Vault};
use bodies::{SetSecret, UpdateSecret};
use refusal::Refusal;

/// The most items of a list that a client may ask for at once, and what it gets if it does not ask.
const MAX_RESULTS: usize = 25;

/// Who asks. The error is the challenge that tells a client where to get a token.
pub(crate) fn caller(
    backend: &Backend,
    call: &Call,
    now: Timestamp,
) -> Result<String, Box<Response>> {
    let owner = backend.identities.owner(call, Audience::KeyVault, now);
    owner.map_err(|reason| Box::new(refusal::challenge(backend, reason)))
}

/// Carries a request out.
pub(crate) fn answer(backend: &Backend, call: &Call, caller: &str, now: Timestamp) -> Response {
    carry_out(backend, call, caller, now).unwrap_or_else(Refusal::into_response)
}

fn carry_out(
    backend: &Backend,
    call: &Call,
    caller: &str,
    now: Timestamp,
) -> Result<Response, Refusal> {
    check_api_version(call)?;
    let segments = call.segments();
    let mut path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let vault = if let ["vaults", name, ..] = path.as_slice() {
        let vault = backend.vaults.named(name);
        path.drain(..2);
        vault
    } else {
        vault_of_host(backend, call)
    };
    let vault = vault.ok_or(Refusal::NoVault)?;
    if vault.denies(caller) {
        return Err(Refusal::Denied {
            caller: caller.to_owned(),
            resource: vault.id.clone(),
        });
    }
    match path.as_slice() {
        ["secrets", rest @ ..] => secrets(backend, vault, call, rest, now),
        ["deletedsecrets", rest @ ..] => deleted_secrets(vault, call, rest),
        _ => Err(Refusal::NotFound),
    }
}

/// The vault of the first label of a host like `{vault}.vault.azure.net` or `{vault}.localhost`, or the only one.
fn vault_of_host<'a>(backend: &'a Backend, call: &Call) -> Option<&'a Vault> {
    let host = call.header("host").unwrap_or_default().to_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    match host.split_once('.') {
        Some((name, suffix)) if ["localhost", backend.cloud.vault_suffix()].contains(&suffix) => {
            backend.vaults.named(name)
        }
        _ => backend.vaults.only(),
    }
}

/// Versions are numbers from 7.0 on, and dates since 2025.
fn check_api_version(call: &Call) -> Result<(), Refusal> {
    let version = call
        .query
        .get("api-version")
        .filter(|it| !it.is_empty())
        .ok_or(Refusal::NoApiVersion)?;
    let number = version.strip_suffix("-preview").unwrap_or(version);
    let major = number
        .split(['.', '-'])
        .next()
        .and_then(|it| it.parse::<u32>().ok());
    match major {
        Some(7..=99) | Some(2025..) => Ok(()),
        _ => Err(Refusal::BadParameter(format!(
            "The specified version ({version}) is not recognized."
        ))),
    }
}

fn secrets(
    backend: &Backend,
    vault: &Vault,
    call: &Call,
    path: &[&str],
    now: Timestamp,
) -> Result<Response, Refusal> {
    match (&call.method, path) {
        (&Method::GET, []) => {
            let item = |it: &Secret| (it.name.to_lowercase(), bodies::item_of_newest(vault, it));
            list(call, vault.all().iter().map(item).collect())
        }
        (&Method::PUT, [name]) => {
            let wanted: SetSecret = call.json().map_err(Refusal::unreadable)?;
            let (secret, version) = backend.set_secret(vault, name, wanted.into_version()?, now)?;
            Ok(answer::ok(&bodies::bundle(vault, &secret, &version)))
        }
        (&Method::GET, [name]) => get(vault, name, None),
        (&Method::GET, [name, "versions"]) => {
            // An unknown secret has no versions, which the service is said not to call an error.
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
            let wanted: UpdateSecret = call.json().map_err(Refusal::unreadable)?;
            wanted.check()?;
            let (secret, version) = vault.update(name, rest.first().copied(), now, |version| {
                wanted.apply_to(version)
            })?;
            Ok(answer::ok(&bodies::without_value(vault, &secret, &version)))
        }
        (&Method::DELETE, [name]) => Ok(answer::ok(&bodies::deleted(
            vault,
            &vault.delete(name, now)?,
        ))),
        _ => Err(Refusal::NotFound),
    }
}

fn get(vault: &Vault, name: &str, version: Option<&str>) -> Result<Response, Refusal> {
    let (secret, version) = vault.version(name, version)?;
    if version.attributes.enabled {
        Ok(answer::ok(&bodies::bundle(vault, &secret, &version)))
    } else {
        Err(Refusal::Disabled)
    }
}

fn deleted_secrets(vault: &Vault, call: &Call, path: &[&str]) -> Result<Response, Refusal> {
    match (&call.method, path) {
        (&Method::GET, []) => {
            let item = |it: &Deleted| {
                (
                    it.secret.name.to_lowercase(),
                    bodies::deleted_item(vault, it),
                )
            };
            list(call, vault.all_deleted().iter().map(item).collect())
        }
        (&Method::GET, [name]) => Ok(answer::ok(&bodies::deleted(vault, &vault.deleted(name)?))),
        (&Method::DELETE, [name]) => {
            vault.purge(name)?;
            Ok(answer::empty(StatusCode::NO_CONTENT))
        }
        (&Method::POST, [name, "recover"]) => {
            let secret = vault.recover(name)?;
            Ok(answer::ok(&bodies::without_value(
                vault,
                &secret,
                &secret.newest,
            )))
        }
        _ => Err(Refusal::NotFound),
    }
}

/// A list of ids and attributes. Versions come in the order of their ids, which is not the order of their creation.
fn list(call: &Call, items: Vec<Keyed>) -> Result<Response, Refusal> {
    let size = match call.query.get("maxresults") {
        None => MAX_RESULTS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|size| (1..=MAX_RESULTS).contains(size))
            .ok_or_else(|| {
                Refusal::BadParameter(format!(
                    "maxresults must be between 1 and {MAX_RESULTS}, not `{text}`."
                ))
            })?,
    };
    let body: Value = page(call, items, size);
    Ok(answer::ok(&body))
}

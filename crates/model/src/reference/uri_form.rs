//! The form `@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/version)`.

use std::fmt;

use super::syntax::{CLOUD_SUFFIXES, PREFIX};
use crate::names::{SecretVersion, VaultHost};
use crate::reference_error::ReferenceError;
use crate::target::Target;

/// The text of the reference, split at the parts that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UriForm {
    /// `@Microsoft.KeyVault(SecretUri=https://`
    before_host: String,
    host: String,
    /// `/secrets/`, after the port if there is one
    before_secret: String,
    secret: String,
    /// Empty, `/`, `/version` or `/version/`
    tail: String,
    /// `)`, with the spaces before it
    end: String,
}

impl UriForm {
    pub(super) fn parse(
        prefix: &str,
        inner: &str,
        vault_suffix: &str,
    ) -> Result<(Self, Target), ReferenceError> {
        let invalid = ReferenceError::Invalid;
        let (parameter, value) = inner.split_once('=').ok_or(invalid("it has no `=`"))?;
        let uri = value.trim();
        let (scheme, rest) = uri
            .split_once("://")
            .ok_or(invalid("its SecretUri is no URL"))?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(invalid("its SecretUri is not an https URL"));
        }
        let (authority, path) = rest
            .split_once('/')
            .ok_or(invalid("its SecretUri names no secret"))?;
        let (host, port) =
            authority.split_at(authority.strip_suffix(":443").unwrap_or(authority).len());
        let vault_host: VaultHost = host
            .parse()
            .map_err(|_| invalid("its SecretUri has no valid host"))?;
        if !CLOUD_SUFFIXES.contains(&vault_host.suffix()) && vault_host.suffix() != vault_suffix {
            return Err(invalid("its SecretUri is not of a Key Vault"));
        }
        let (collection, path) = path
            .split_once('/')
            .ok_or(invalid("its SecretUri names no secret"))?;
        if !collection.eq_ignore_ascii_case("secrets") {
            return Err(invalid("its SecretUri is not of a secret"));
        }
        let (secret, tail) = path.split_at(path.find('/').unwrap_or(path.len()));
        let target = Target {
            vault_host,
            secret: secret
                .parse()
                .map_err(|_| invalid("its SecretUri has no valid secret name"))?,
            version: parse_tail(tail)?,
        };
        let (spaces_before, spaces_after) = value.split_once(uri).unwrap_or_default();
        let form = Self {
            before_host: format!("{prefix}{parameter}={spaces_before}{scheme}://"),
            host: host.to_owned(),
            before_secret: format!("{port}/{collection}/"),
            secret: secret.to_owned(),
            tail: tail.to_owned(),
            end: format!("{spaces_after})"),
        };
        Ok((form, target))
    }

    pub(super) fn documented(target: &Target) -> Self {
        Self {
            before_host: format!("{PREFIX}SecretUri=https://"),
            host: target.vault_host.to_string(),
            before_secret: "/secrets/".to_owned(),
            secret: target.secret.to_string(),
            tail: format!(
                "/{}",
                target
                    .version
                    .as_ref()
                    .map(SecretVersion::as_str)
                    .unwrap_or_default()
            ),
            end: ")".to_owned(),
        }
    }

    pub(super) fn with_target(self, old: &Target, new: &Target) -> Self {
        let mut form = self;
        if new.vault_host != old.vault_host {
            form.host = new.vault_host.to_string();
        }
        if new.secret != old.secret {
            form.secret = new.secret.to_string();
        }
        if new.version != old.version {
            form.tail = match &new.version {
                Some(version) if old.version.is_some() && form.tail.ends_with('/') => {
                    format!("/{version}/")
                }
                Some(version) => format!("/{version}"),
                None => "/".to_owned(),
            };
        }
        form
    }
}

/// Parses the text after the secret's name: empty, `/`, `/version` or `/version/`.
fn parse_tail(tail: &str) -> Result<Option<SecretVersion>, ReferenceError> {
    let version = tail.strip_prefix('/').unwrap_or(tail);
    let version = version.strip_suffix('/').unwrap_or(version);
    let invalid = ReferenceError::Invalid("its SecretUri has no valid secret version");
    match (tail, version) {
        ("" | "/", _) => Ok(None),
        (_, version) => version.parse().map(Some).map_err(|_| invalid),
    }
}

impl fmt::Display for UriForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before_host,
            host,
            before_secret,
            secret,
            tail,
            end,
        } = self;
        write!(f, "{before_host}{host}{before_secret}{secret}{tail}{end}")
    }
}

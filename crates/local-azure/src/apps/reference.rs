//! The parser of `@Microsoft.KeyVault(...)`.

use crate::azure_cloud::AzureCloud;
use crate::world::is_name;

/// The secret that a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretTarget {
    pub(crate) vault: String,
    /// The cloud of the vault's host. `None` means the app's own.
    pub(crate) cloud: Option<AzureCloud>,
    pub(crate) secret: String,
    pub(crate) version: Option<String>,
}

/// A parsed reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedReference {
    pub(super) target: SecretTarget,
}

const PREFIX: &str = "@Microsoft.KeyVault(";

impl ParsedReference {
    /// Whether App Service treats a setting's value as a reference, valid or not.
    pub(super) fn is_reference(value: &str) -> bool {
        value
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Parses a value. The error describes the problem.
    pub(super) fn parse(value: &str) -> Result<Self, &'static str> {
        let inner = value
            .get(PREFIX.len()..)
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or("it does not end in `)`")?;
        let mut parameters = Parameters::default();
        for part in inner.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) = part.split_once('=').ok_or("a parameter has no `=`")?;
            parameters.set(name.trim(), value.trim())?;
        }
        let target = parameters.into_target()?;
        let names_are_valid = is_name(&target.vault, 24)
            && is_name(&target.secret, 127)
            && target
                .version
                .as_ref()
                .is_none_or(|version| is_name(version, 127));
        if names_are_valid {
            Ok(Self { target })
        } else {
            Err("a name has invalid characters")
        }
    }
}

#[derive(Default)]
struct Parameters<'a> {
    secret_uri: Option<&'a str>,
    vault_name: Option<&'a str>,
    secret_name: Option<&'a str>,
    secret_version: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn set(&mut self, name: &str, value: &'a str) -> Result<(), &'static str> {
        let slot = match name.to_ascii_lowercase().as_str() {
            "secreturi" => &mut self.secret_uri,
            "vaultname" => &mut self.vault_name,
            "secretname" => &mut self.secret_name,
            "secretversion" => &mut self.secret_version,
            _ => return Err("a parameter is unknown"),
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err("a parameter occurs twice"),
        }
    }

    fn into_target(self) -> Result<SecretTarget, &'static str> {
        // Tools write `SecretVersion=` without a version.
        let version = self
            .secret_version
            .filter(|version| !version.is_empty())
            .map(str::to_owned);
        match (self.secret_uri, self.vault_name, self.secret_name) {
            (Some(uri), None, None) if version.is_none() => target_of_uri(uri),
            (None, Some(vault), Some(secret)) => Ok(SecretTarget {
                vault: vault.to_owned(),
                cloud: None,
                secret: secret.to_owned(),
                version,
            }),
            _ => Err("it needs either SecretUri, or VaultName and SecretName"),
        }
    }
}

/// Parses `https://{vault}.{suffix}/secrets/{secret}[/{version}]`, with or without a trailing
/// slash.
fn target_of_uri(uri: &str) -> Result<SecretTarget, &'static str> {
    let scheme_end = "https://".len();
    let (scheme, rest) = uri
        .split_at_checked(scheme_end)
        .ok_or("the URI is not https")?;
    if !scheme.eq_ignore_ascii_case("https://") {
        return Err("the URI is not https");
    }
    let (host, path) = rest.split_once('/').ok_or("the URI has no path")?;
    let (vault, suffix) = host
        .split_once('.')
        .ok_or("the URI's host is not a vault")?;
    let suffix = suffix.strip_suffix(":443").unwrap_or(suffix);
    let cloud = AzureCloud::with_vault_suffix(suffix).ok_or("the URI's host is not a vault")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let (kind, name) = path.split_once('/').ok_or("the URI names no secret")?;
    if !kind.eq_ignore_ascii_case("secrets") {
        return Err("the URI does not name a secret");
    }
    let (secret, version) = match name.split_once('/') {
        Some((secret, version)) => (secret, Some(version.to_owned())),
        None => (name, None),
    };
    Ok(SecretTarget {
        vault: vault.to_owned(),
        cloud: Some(cloud),
        secret: secret.to_owned(),
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: (&str, Option<AzureCloud>, &str, Option<&str>)) {
        assert!(ParsedReference::is_reference(value), "{value}");
        let target = ParsedReference::parse(value).unwrap().target;
        let found = (
            target.vault.as_str(),
            target.cloud,
            target.secret.as_str(),
            target.version.as_deref(),
        );
        assert_eq!(found, expected, "{value}");
    }

    fn reject(value: &str) {
        assert!(ParsedReference::is_reference(value), "{value}");
        assert!(ParsedReference::parse(value).is_err(), "{value}");
    }

    #[test]
    fn reads_a_uri() {
        let public = Some(AzureCloud::Public);
        check(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s)",
            ("kv", public, "s", None),
        );
        check(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/)",
            ("kv", public, "s", None),
        );
        check(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/1)",
            ("kv", public, "s", Some("1")),
        );
        check(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/1/)",
            ("kv", public, "s", Some("1")),
        );
    }

    #[test]
    fn reads_the_hosts_of_all_clouds() {
        let us_gov = Some(AzureCloud::UsGov);
        check(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.usgovcloudapi.net/secrets/s)",
            ("kv", us_gov, "s", None),
        );
        let china = Some(AzureCloud::China);
        check(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.cn/secrets/s)",
            ("kv", china, "s", None),
        );
    }

    #[test]
    fn reads_names() {
        check(
            "@Microsoft.KeyVault(VaultName=kv;SecretName=s)",
            ("kv", None, "s", None),
        );
        check(
            "@Microsoft.KeyVault(SecretName=s; VaultName=kv; SecretVersion=1)",
            ("kv", None, "s", Some("1")),
        );
        check(
            "@microsoft.keyvault(vaultname=kv;secretname=s;SecretVersion=)",
            ("kv", None, "s", None),
        );
    }

    #[test]
    fn rejects_incomplete_references() {
        reject("@Microsoft.KeyVault(");
        reject("@Microsoft.KeyVault()");
        reject("@Microsoft.KeyVault(VaultName=kv;SecretName=s");
        reject("@Microsoft.KeyVault(VaultName=kv)");
        reject("@Microsoft.KeyVault(SecretName=s)");
        reject("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/)");
        reject("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net)");
    }

    #[test]
    fn rejects_anything_but_a_secret_of_a_vault() {
        reject("@Microsoft.KeyVault(SecretUri=http://kv.vault.azure.net/secrets/s)");
        reject("@Microsoft.KeyVault(SecretUri=https://kv.example.org/secrets/s)");
        reject("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/keys/s)");
        reject("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/1/2)");
        reject("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s?x)");
    }

    #[test]
    fn rejects_conflicting_parameters() {
        reject("@Microsoft.KeyVault(VaultName=kv;VaultName=other;SecretName=s)");
        reject(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s;VaultName=kv;SecretName=s)",
        );
        reject("@Microsoft.KeyVault(VaultName=kv;SecretName=s;Colour=red)");
    }

    #[test]
    fn other_values_are_no_references() {
        for value in [
            "",
            "text",
            "Microsoft.KeyVault(VaultName=kv;SecretName=s)",
            " @Microsoft.KeyVault(x)",
            "@Microsoft.Key",
        ] {
            assert!(!ParsedReference::is_reference(value), "{value}");
        }
    }
}

//! Reads `@Microsoft.KeyVault(...)`.

use crate::azure_cloud::AzureCloud;
use crate::world::is_name;

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) vault: String,
    /// The cloud that the vault's host belongs to. None: the app's own.
    pub(crate) cloud: Option<AzureCloud>,
    pub(crate) secret: String,
    pub(crate) version: Option<String>,
}

/// A reference that could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) target: Target,
}

const PREFIX: &str = "@Microsoft.KeyVault(";

impl Reference {
    /// Whether App Service takes a setting's value for a reference, readable or not.
    pub(super) fn is_meant_by(value: &str) -> bool {
        value
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Reads a value. The error says what is wrong with it.
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
        let names_are_good = is_name(&target.vault, 24)
            && is_name(&target.secret, 127)
            && target
                .version
                .as_ref()
                .is_none_or(|version| is_name(version, 127));
        if names_are_good {
            Ok(Self { target })
        } else {
            Err("a name has characters that names cannot have")
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
        let place = match name.to_ascii_lowercase().as_str() {
            "secreturi" => &mut self.secret_uri,
            "vaultname" => &mut self.vault_name,
            "secretname" => &mut self.secret_name,
            "secretversion" => &mut self.secret_version,
            _ => return Err("a parameter is not known"),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err("a parameter is there twice"),
        }
    }

    fn into_target(self) -> Result<Target, &'static str> {
        // An empty version is none: tools write `SecretVersion=` for it.
        let version = self
            .secret_version
            .filter(|version| !version.is_empty())
            .map(str::to_owned);
        match (self.secret_uri, self.vault_name, self.secret_name) {
            (Some(uri), None, None) if version.is_none() => target_of_uri(uri),
            (None, Some(vault), Some(secret)) => Ok(Target {
                vault: vault.to_owned(),
                cloud: None,
                secret: secret.to_owned(),
                version,
            }),
            _ => Err("it needs either SecretUri, or VaultName and SecretName"),
        }
    }
}

/// `https://{vault}.{suffix}/secrets/{secret}[/{version}]`, with or without a slash at the end.
fn target_of_uri(uri: &str) -> Result<Target, &'static str> {
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
    Ok(Target {
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
        assert!(Reference::is_meant_by(value), "{value}");
        let target = Reference::parse(value).unwrap().target;
        let found = (
            target.vault.as_str(),
            target.cloud,
            target.secret.as_str(),
            target.version.as_deref(),
        );
        assert_eq!(found, expected, "{value}");
    }

    fn refuse(value: &str) {
        assert!(Reference::is_meant_by(value), "{value}");
        assert!(Reference::parse(value).is_err(), "{value}");
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
    fn refuses_what_is_incomplete() {
        refuse("@Microsoft.KeyVault(");
        refuse("@Microsoft.KeyVault()");
        refuse("@Microsoft.KeyVault(VaultName=kv;SecretName=s");
        refuse("@Microsoft.KeyVault(VaultName=kv)");
        refuse("@Microsoft.KeyVault(SecretName=s)");
        refuse("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/)");
        refuse("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net)");
    }

    #[test]
    fn refuses_what_is_not_a_secret_of_a_vault() {
        refuse("@Microsoft.KeyVault(SecretUri=http://kv.vault.azure.net/secrets/s)");
        refuse("@Microsoft.KeyVault(SecretUri=https://kv.example.org/secrets/s)");
        refuse("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/keys/s)");
        refuse("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/1/2)");
        refuse("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s?x)");
    }

    #[test]
    fn refuses_parameters_that_contradict_each_other() {
        refuse("@Microsoft.KeyVault(VaultName=kv;VaultName=other;SecretName=s)");
        refuse(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s;VaultName=kv;SecretName=s)",
        );
        refuse("@Microsoft.KeyVault(VaultName=kv;SecretName=s;Colour=red)");
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
            assert!(!Reference::is_meant_by(value), "{value}");
        }
    }
}

//! Vaults in the configuration: their names, and secrets that may name their vault.

use std::str::FromStr;

use keyrelay_model::{GrantedSecret, SecretName, VaultHost};

/// A vault's name in lower case, valid by Key Vault's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VaultName(pub(crate) String);

impl FromStr for VaultName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = VaultHost::from_name(text, "example");
        let host = host.ok().filter(|_| (3..=24).contains(&text.len()));
        match host {
            Some(host) => Ok(Self(host.vault().to_owned())),
            None => Err(format!(
                "`{text}` is not a vault name: it has 3 to 24 letters, digits and dashes, like \
                 `contoso-kv`"
            )),
        }
    }
}

/// A secret as the file has it: `name`, or `vault/name`. `S` is the type of the name.
#[derive(Debug, Clone)]
pub(crate) struct InVault<S> {
    pub(crate) vault: Option<String>,
    pub(crate) secret: S,
}

impl<S: FromStr<Err: ToString>> FromStr for InVault<S> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (vault, secret) = match text.split_once('/') {
            Some((vault, secret)) => (Some(vault.parse::<VaultName>()), secret),
            None => (None, text),
        };
        let vault = vault.transpose()?;
        Ok(Self {
            vault: vault.map(|VaultName(name)| name),
            secret: secret.parse().map_err(|error: S::Err| error.to_string())?,
        })
    }
}

impl InVault<SecretName> {
    /// The secret in its own vault, or else in the vault of the rule. None if there is neither.
    pub(crate) fn granted(self, vault_of_rule: Option<&str>) -> Option<GrantedSecret> {
        let vault = self.vault.as_deref().or(vault_of_rule)?;
        GrantedSecret::new(vault, self.secret).ok()
    }
}

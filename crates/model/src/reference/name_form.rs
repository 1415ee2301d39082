//! The form `@Microsoft.KeyVault(VaultName=v;SecretName=s;SecretVersion=version)`.

use std::fmt;

use crate::names::{SecretVersion, VaultHost};
use crate::reference_error::ReferenceError;
use crate::target::Target;

/// The parameters of the reference, with their order and spacing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameForm {
    /// `@Microsoft.KeyVault(`
    prefix: String,
    parameters: Vec<Parameter>,
}

/// One `key=value` between the semicolons.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    /// `None` for an empty piece, as after a trailing semicolon.
    key: Option<ParameterKey>,
    /// The text before the value: the key as written, the `=` and all spaces.
    before_value: String,
    value: String,
    after_value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParameterKey {
    VaultName,
    SecretName,
    SecretVersion,
}

impl NameForm {
    pub(super) fn parse(
        prefix: &str,
        inner: &str,
        vault_suffix: &str,
    ) -> Result<(Self, Target), ReferenceError> {
        let invalid = ReferenceError::Invalid;
        let parameters = inner
            .split(';')
            .map(Parameter::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let form = Self {
            prefix: prefix.to_owned(),
            parameters,
        };
        for key in [
            ParameterKey::VaultName,
            ParameterKey::SecretName,
            ParameterKey::SecretVersion,
        ] {
            if form
                .parameters
                .iter()
                .filter(|parameter| parameter.key == Some(key))
                .count()
                > 1
            {
                return Err(invalid("it gives a parameter twice"));
            }
        }
        let vault = form
            .value(ParameterKey::VaultName)
            .ok_or(invalid("it has neither SecretUri nor VaultName"))?;
        let secret = form
            .value(ParameterKey::SecretName)
            .ok_or(invalid("it has no SecretName"))?;
        let version = form
            .value(ParameterKey::SecretVersion)
            .filter(|version| !version.is_empty());
        let target = Target {
            vault_host: VaultHost::from_name(vault, vault_suffix)
                .map_err(|_| invalid("its VaultName is not valid"))?,
            secret: secret
                .parse()
                .map_err(|_| invalid("its SecretName is not valid"))?,
            version: version
                .map(str::parse)
                .transpose()
                .map_err(|_| invalid("its SecretVersion is not valid"))?,
        };
        Ok((form, target))
    }

    pub(super) fn with_target(self, old: &Target, new: &Target) -> Self {
        let mut form = self;
        if new.vault_host != old.vault_host {
            form.set(ParameterKey::VaultName, new.vault_host.vault());
        }
        if new.secret != old.secret {
            form.set(ParameterKey::SecretName, new.secret.as_str());
        }
        match &new.version {
            _ if new.version == old.version => {}
            Some(version) if form.value(ParameterKey::SecretVersion).is_some() => {
                form.set(ParameterKey::SecretVersion, version.as_str());
            }
            Some(version) => form.add_version(version),
            None => form
                .parameters
                .retain(|parameter| parameter.key != Some(ParameterKey::SecretVersion)),
        }
        form
    }

    fn value(&self, key: ParameterKey) -> Option<&str> {
        let parameter = self
            .parameters
            .iter()
            .find(|parameter| parameter.key == Some(key))?;
        Some(&parameter.value)
    }

    fn set(&mut self, key: ParameterKey, value: &str) {
        for parameter in self
            .parameters
            .iter_mut()
            .filter(|parameter| parameter.key == Some(key))
        {
            value.clone_into(&mut parameter.value);
        }
    }

    /// Adds a version after the last parameter, before a trailing semicolon.
    fn add_version(&mut self, version: &SecretVersion) {
        let last = self
            .parameters
            .iter()
            .rposition(|parameter| parameter.key.is_some());
        let position = last.map_or(self.parameters.len(), |last| last + 1);
        let parameter = Parameter {
            key: Some(ParameterKey::SecretVersion),
            before_value: "SecretVersion=".to_owned(),
            value: version.to_string(),
            after_value: String::new(),
        };
        self.parameters.insert(position, parameter);
    }
}

impl Parameter {
    fn parse(piece: &str) -> Result<Self, ReferenceError> {
        if piece.trim().is_empty() {
            let before_value = piece.to_owned();
            return Ok(Self {
                key: None,
                before_value,
                value: String::new(),
                after_value: String::new(),
            });
        }
        let (key, value) = piece
            .split_once('=')
            .ok_or(ReferenceError::Invalid("it has a parameter without `=`"))?;
        let known = match key.trim() {
            key if key.eq_ignore_ascii_case("VaultName") => ParameterKey::VaultName,
            key if key.eq_ignore_ascii_case("SecretName") => ParameterKey::SecretName,
            key if key.eq_ignore_ascii_case("SecretVersion") => ParameterKey::SecretVersion,
            _ => return Err(ReferenceError::Invalid("it has an unknown parameter")),
        };
        // The key, the `=` and spaces.
        let (before_value, rest) = piece.split_at(piece.len() - value.trim_start().len());
        let (value, after) = rest.split_at(rest.trim_end().len());
        Ok(Self {
            key: Some(known),
            before_value: before_value.to_owned(),
            value: value.to_owned(),
            after_value: after.to_owned(),
        })
    }
}

impl fmt::Display for NameForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)?;
        for (
            index,
            Parameter {
                before_value,
                value,
                after_value,
                ..
            },
        ) in self.parameters.iter().enumerate()
        {
            let separator = if index == 0 { "" } else { ";" };
            for part in [separator, before_value, value, after_value] {
                f.write_str(part)?;
            }
        }
        f.write_str(")")
    }
}

//! Key Vault references: the setting values of the form `@Microsoft.KeyVault(...)`.

mod name_form;
mod uri_form;

use std::fmt;

use crate::event::Event;
use crate::names::{SecretName, SecretVersion, VaultHost};
use name_form::NameForm;
use uri_form::UriForm;

/// What a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The vault's host.
    pub vault_host: VaultHost,
    /// The secret's name.
    pub secret: SecretName,
    /// The pinned version. None: Azure takes the newest, up to 24 hours late.
    pub version: Option<SecretVersion>,
}

impl Target {
    /// Whether two targets are the same secret of the same vault, of whatever version.
    pub fn same_secret(&self, other: &Self) -> bool {
        self.vault_host == other.vault_host && self.secret == other.secret
    }

    /// Whether it is the secret that the event is about.
    pub fn is_of(&self, event: &Event) -> bool {
        event.can_be_referenced()
            && self.vault_host == event.vault_host
            && self.secret == event.name
    }
}

/// A parsed reference that remembers how it was written. It names a secret and never holds one, so it may be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference {
    form: Form,
    target: Target,
}

/// The two documented ways to write a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// `SecretUri=https://v.vault.azure.net/secrets/s/version`
    Uri(UriForm),
    /// `VaultName=v;SecretName=s;SecretVersion=version`
    Name(NameForm),
}

/// Why a value is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The value does not begin with `@Microsoft.KeyVault(`: it is an ordinary value.
    #[error("the value is not a Key Vault reference")]
    NotAReference,
    /// It begins like a reference and goes wrong later. Azure reports such a setting as `InvalidSyntax`.
    #[error("the value begins like a Key Vault reference, but {0}")]
    Invalid(&'static str),
}

/// What every reference begins with. App Service compares it without case.
const PREFIX: &str = "@Microsoft.KeyVault(";

/// How vault hosts end in the public, US Government, China and (closed) German clouds.
const CLOUD_SUFFIXES: [&str; 4] = [
    "vault.azure.net",
    "vault.usgovcloudapi.net",
    "vault.azure.cn",
    "vault.microsoftazure.de",
];

impl Reference {
    /// Parses a setting's value. `vault_suffix` is the one of our cloud (`vault.azure.net`): it completes references
    /// that name their vault without a host, and admits the hosts of a custom cloud.
    pub fn parse(value: &str, vault_suffix: &str) -> Result<Self, ReferenceError> {
        if !value
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        {
            return Err(ReferenceError::NotAReference);
        }
        let (prefix, rest) = value.split_at(PREFIX.len());
        let inner = rest
            .strip_suffix(')')
            .ok_or(ReferenceError::Invalid("it does not end with `)`"))?;
        let parameter = inner.split('=').next().unwrap_or_default().trim();
        let (form, target) = if parameter.eq_ignore_ascii_case("SecretUri") {
            let (form, target) = UriForm::parse(prefix, inner, vault_suffix)?;
            (Form::Uri(form), target)
        } else {
            let (form, target) = NameForm::parse(prefix, inner, vault_suffix)?;
            (Form::Name(form), target)
        };
        Ok(Self { form, target })
    }

    /// A reference to `target`, written the documented way. Without a version it ends in a slash, which works on every
    /// app: on some it is needed, on none does it harm.
    pub fn to(target: Target) -> Self {
        Self {
            form: Form::Uri(UriForm::documented(&target)),
            target,
        }
    }

    /// What the reference points at.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same reference with another target: written as it was, but for the parts that change.
    #[must_use]
    pub fn with_target(&self, target: Target) -> Self {
        let same_cloud = target.vault_host.suffix() == self.target.vault_host.suffix();
        match &self.form {
            _ if target == self.target => self.clone(),
            Form::Uri(form) => Self {
                form: Form::Uri(form.with_target(&self.target, &target)),
                target,
            },
            Form::Name(form) if same_cloud => Self {
                form: Form::Name(form.with_target(&self.target, &target)),
                target,
            },
            // A vault's name alone cannot say that it is in another cloud.
            Form::Name(_) => Self::to(target),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Uri(form) => form.fmt(f),
            Form::Name(form) => form.fmt(f),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

#[cfg(test)]
mod tests;

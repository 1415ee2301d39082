//! Key Vault references: setting values of the form `@Microsoft.KeyVault(...)`.

mod name_form;
mod syntax;
mod uri_form;

use std::fmt;

use crate::reference_error::ReferenceError;
use crate::target::Target;
use name_form::NameForm;
use syntax::PREFIX;
use uri_form::UriForm;

/// A parsed reference that keeps its spelling. It names a secret and does not contain one, so it
/// may be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference {
    form: ReferenceForm,
    target: Target,
}

/// The two documented forms of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReferenceForm {
    /// `SecretUri=https://v.vault.azure.net/secrets/s/version`
    Uri(UriForm),
    /// `VaultName=v;SecretName=s;SecretVersion=version`
    Name(NameForm),
}

impl Reference {
    /// Parses a setting's value. `vault_suffix` is that of our cloud (`vault.azure.net`). It
    /// completes references that name their vault without a host, and allows the hosts of a custom
    /// cloud.
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
            (ReferenceForm::Uri(form), target)
        } else {
            let (form, target) = NameForm::parse(prefix, inner, vault_suffix)?;
            (ReferenceForm::Name(form), target)
        };
        Ok(Self { form, target })
    }

    /// Creates a reference to `target` in the documented form. Without a version it ends in a
    /// slash: some apps need it, and all accept it.
    pub fn to(target: Target) -> Self {
        Self {
            form: ReferenceForm::Uri(UriForm::documented(&target)),
            target,
        }
    }

    /// The secret that the reference names, and its version.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same reference with another target. The spelling of all unchanged parts stays.
    #[must_use]
    pub fn with_target(&self, target: Target) -> Self {
        self.clone().into_target(target)
    }

    /// As [`with_target`](Self::with_target), without a copy.
    #[must_use]
    pub(crate) fn into_target(self, target: Target) -> Self {
        let same_cloud = target.vault_host.suffix() == self.target.vault_host.suffix();
        match self.form {
            _ if target == self.target => self,
            ReferenceForm::Uri(form) => Self {
                form: ReferenceForm::Uri(form.with_target(&self.target, &target)),
                target,
            },
            ReferenceForm::Name(form) if same_cloud => Self {
                form: ReferenceForm::Name(form.with_target(&self.target, &target)),
                target,
            },
            // A vault's name without its host cannot express another cloud.
            ReferenceForm::Name(_) => Self::to(target),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            ReferenceForm::Uri(form) => form.fmt(f),
            ReferenceForm::Name(form) => form.fmt(f),
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

//! The tables `[[rotation]]`: rules for secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use keyrelay_model::{AppId, Grant, RefreshRule, SecretName};
use wildmatch::WildMatch;

use crate::keys::{GRANT, LIMITS, MODE_PREFIX};
use crate::mode::{Mode, REFRESH_WORDS};
use crate::table::Table;
use crate::vault::{InVault, VaultName};

/// A rule for the secrets that a pattern matches.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The name in the app setting that changes the mode. None: the secret, if it is no pattern.
    pub name: Option<String>,
    /// The secrets that it applies to.
    pub secret: SecretPattern,
    /// The vault that it applies to, by name in lower case. None: all vaults whose events are
    /// accepted.
    pub vault: Option<String>,
    /// The policy's name. None: the module named like the secret, else `follow`.
    pub policy: Option<String>,
    /// The apps to handle. Empty: those of the scope that reference the secret.
    pub apps: Vec<AppId>,
    /// The mode. The stricter of this one and the global one applies.
    pub mode: Option<Mode>,
    /// The number of refreshes. None: the global one.
    pub refresh: Option<RefreshRule>,
    /// The parameters of the policy.
    pub parameters: BTreeMap<String, String>,
    /// The rights of the policy beyond the references to its own secret.
    pub grant: Grant,
    /// Limits that differ from the default.
    pub limits: LimitOverrides,
}

/// The limits of a policy that a rule changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitOverrides {
    /// The time that a decision may take.
    pub time: Option<Duration>,
    /// The size to which the policy's memories may grow together, in bytes.
    pub memory: Option<usize>,
}

impl Rule {
    /// Reads a rule. `vaults` are the vaults of the whole configuration.
    pub(crate) fn from_table(table: &mut Table, vaults: &[String]) -> Self {
        let secret = table
            .parsed::<InVault<SecretPattern>>("secret")
            .unwrap_or_else(|| {
                table.problem(
                    "secret",
                    "needs the name of a secret, or a pattern like `sql-*`",
                );
                InVault {
                    vault: None,
                    secret: SecretPattern(WildMatch::new("")),
                }
            });
        let vault = read_vault(table, secret.vault);
        let name = table.text("name");
        if let Some(bad) = name.as_deref().filter(|name| !is_name(name)) {
            table.problem(
                "name",
                format!("`{bad}` is not a name: letters, digits, dashes and underscores"),
            );
        }
        Self {
            name,
            secret: secret.secret,
            policy: table.text("policy"),
            apps: table.parsed_list("apps"),
            mode: table.word("mode", &Mode::WORDS),
            refresh: table.word("refresh", &REFRESH_WORDS),
            parameters: table.texts("parameters").into_iter().collect(),
            grant: read_grant(table, vault.as_deref(), vaults),
            limits: read_limits(table),
            vault,
        }
    }
}

impl Rule {
    /// Whether the rule applies to a secret of a vault. `vault` is the vault's name.
    pub fn matches(&self, vault: &str, secret: &SecretName) -> bool {
        let in_vault = self
            .vault
            .as_deref()
            .is_none_or(|own| own.eq_ignore_ascii_case(vault));
        in_vault && self.secret.matches(secret)
    }

    /// The app setting that changes the mode of this rotation: `KEYRELAY_MODE_SQL_PASSWORD` for
    /// `sql-password`. None if the rotation has no name.
    pub fn mode_setting(&self) -> Option<String> {
        let name = self.name.clone().or_else(|| self.secret.exact())?;
        Some(format!(
            "{}{}",
            MODE_PREFIX,
            name.replace('-', "_").to_uppercase()
        ))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Reads the vault of a rule: the key `vault`, or the vault in `secret`.
fn read_vault(table: &mut Table, of_secret: Option<String>) -> Option<String> {
    let of_key = table.parsed("vault").map(|VaultName(name)| name);
    if let (Some(of_secret), Some(of_key)) = (&of_secret, &of_key)
        && of_secret != of_key
    {
        table.problem(
            "vault",
            format!(
                "`secret` names the vault `{of_secret}`: leave `vault` out, or name the same one"
            ),
        );
    }
    of_key.or(of_secret)
}

/// Reads the grant of a rule, and binds its secrets to vaults.
///
/// A rule with a grant applies to known vaults only: otherwise the owner of any vault could use the
/// grant with a secret of the same name.
fn read_grant(table: &mut Table, vault: Option<&str>, vaults: &[String]) -> Grant {
    let Some(mut grant) = table.table("grant", GRANT) else {
        return Grant::default();
    };
    let secrets: Vec<InVault<SecretName>> = grant.parsed_list("secrets");
    let names_secrets = !secrets.is_empty();
    let is_bound = vault.is_some() || !vaults.is_empty();
    let only = vaults
        .first()
        .filter(|first| vaults.iter().all(|vault| vault == *first));
    let vault_of_rule = vault.or(only.map(String::as_str));
    let mut granted = Vec::new();
    for (index, secret) in secrets.into_iter().enumerate() {
        let name = secret.secret.clone();
        match secret.granted(vault_of_rule) {
            Some(secret) => granted.push(secret),
            None if is_bound => grant.problem(
                &format!("secrets[{index}]"),
                format!(
                    "`{name}` may be in each of `vaults`: write `<vault>/{name}`, or set `vault` in \
                     this rotation"
                ),
            ),
            // Reported for the whole rule below.
            None => {}
        }
    }
    let read = Grant {
        set: grant.parsed_list("set"),
        remove: grant.parsed_list("remove"),
        reveal: grant.parsed_list("reveal"),
        secrets: granted,
        text: grant.flag("text").unwrap_or(false),
    };
    table.absorb(grant);
    if !is_bound && (names_secrets || read != Grant::default()) {
        table.problem(
            "vault",
            "a rotation with a `grant` must name its vault, because events of any other vault could use \
             the grant: set `vault = \"<vault>\"` here, or `vaults = [\"<vault>\"]` at the top",
        );
    }
    read
}

fn read_limits(table: &mut Table) -> LimitOverrides {
    let Some(mut limits) = table.table("limits", LIMITS) else {
        return LimitOverrides::default();
    };
    let read = LimitOverrides {
        // More would leave no time to apply and to verify.
        time: limits
            .integer("time_ms", 1..=10_000)
            .map(Duration::from_millis),
        // The smallest size of a function app's instance is 512 MB.
        memory: limits
            .integer("memory_mb", 1..=256)
            .and_then(|mb| usize::try_from(mb * 1024 * 1024).ok()),
    };
    table.absorb(limits);
    read
}

/// A secret's name, or a pattern with `*` and `?`. Ignores case, as Key Vault does.
#[derive(Clone)]
pub struct SecretPattern(WildMatch);

impl SecretPattern {
    /// Whether the pattern matches a secret.
    pub fn matches(&self, secret: &SecretName) -> bool {
        self.0.matches(&secret.as_str().to_ascii_lowercase())
    }

    /// The secret's name, if this is no pattern.
    fn exact(&self) -> Option<String> {
        let text = self.0.to_string();
        (!text.contains(['*', '?'])).then_some(text)
    }
}

impl FromStr for SecretPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '*' | '?');
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(format!(
                "`{text}` is not a secret's name or pattern: letters, digits, dashes, `*` and `?`"
            ));
        }
        Ok(Self(WildMatch::new(&text.to_ascii_lowercase())))
    }
}

impl fmt::Display for SecretPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for SecretPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretPattern({})", self.0)
    }
}

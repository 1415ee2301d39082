//! The inputs of a plan, from few names that often agree and from arbitrary ones.

use keyrelay_model::{
    Event, Grant, GrantedSecret, NamePattern, NewValue, ObjectKind, Occurrence, Patch, Reference,
    SettingName, SettingValue, Settings, Target,
};

use super::SUFFIX;

use crate::made_of_bytes::{enum_of_bytes, struct_of_bytes};

/// The beginning of some plain texts, which no plan and no refusal may show.
pub(super) const MARKER: &str = "plain-text-";

/// Protected names that the documentation lists, ordinary names, and other spellings of both.
const NAMES: [&str; 24] = [
    "SQL_PASSWORD",
    "SQL.PASSWORD",
    "sql-password",
    "Orders:Key",
    "Orders__Key",
    "Orders_Key",
    "A",
    "a",
    "AB",
    "A:B",
    "A__B",
    "A_B",
    "Payment-Token",
    "AzureWebJobsStorage",
    "azurewebjobsstorage",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage:accountName",
    "FUNCTIONS_WORKER_RUNTIME",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE.RUN.FROM.PACKAGE",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "LD_PRELOAD",
    "LD.PRELOAD",
    "NODE_OPTIONS",
];

const PATTERNS: [&str; 10] = [
    "*",
    "?*",
    "??",
    "SQL*",
    "A*",
    "*Key",
    "WEBSITE_*",
    "L?.PRELOAD",
    "AzureWebJobs*",
    "*_*",
];
const VAULTS: [&str; 2] = ["contoso-kv", "other-kv"];
const SECRETS: [&str; 3] = ["sql-a", "SQL-A", "sql-b"];
const CLOUDS: [&str; 2] = [SUFFIX, "vault.azure.cn"];

fn pick<'a>(from: &[&'a str], index: u8) -> &'a str {
    let index = usize::from(index) % from.len();
    from.get(index).expect("in bounds")
}

struct_of_bytes! {
    #[derive(Debug)]
    pub(super) struct Input {
        kind: u8,
        event: Secret,
        settings: Vec<(Name, Value)>,
        set: Vec<(Name, New)>,
        remove: Vec<Name>,
        grant_set: Vec<Pattern>,
        grant_remove: Vec<Pattern>,
        secrets: Vec<(u8, u8)>,
        text: bool,
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Name {
        Known(u8),
        Any(String),
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Pattern {
        Exact(Name),
        Known(u8),
        Any(String),
    }
}

struct_of_bytes! {
    #[derive(Debug)]
    struct Secret {
        vault: u8,
        /// Mostly our cloud.
        is_of_another_cloud: bool,
        secret: u8,
        version: Option<u8>,
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Value {
        Uri(Secret),
        Names(Secret),
        Marked(String),
        Text(String),
        LikeAReference(String),
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum New {
        Reference(Secret),
        Text(Value),
    }
}

impl Name {
    fn get(&self) -> SettingName {
        SettingName::listed(match self {
            Self::Known(index) => pick(&NAMES, *index),
            Self::Any(text) => text,
        })
    }
}

impl Pattern {
    fn get(&self) -> Option<NamePattern> {
        match self {
            Self::Exact(name) => name.get().as_str().parse().ok(),
            Self::Known(index) => pick(&PATTERNS, *index).parse().ok(),
            Self::Any(text) => text.parse().ok(),
        }
    }
}

impl Secret {
    fn target(&self) -> Target {
        let cloud = pick(&CLOUDS, u8::from(self.is_of_another_cloud));
        let host = format!("{}.{cloud}", pick(&VAULTS, self.vault));
        Target {
            vault_host: host.parse().expect("a valid host"),
            secret: pick(&SECRETS, self.secret).parse().expect("a valid name"),
            version: self
                .version
                .map(|it| format!("v{it}").parse().expect("a valid version")),
        }
    }
}

impl Value {
    fn get(&self) -> SettingValue {
        SettingValue::new(match self {
            Self::Uri(secret) => Reference::to(secret.target()).to_string(),
            Self::Names(secret) => {
                let target = secret.target();
                let (vault, name) = (target.vault_host.vault(), &target.secret);
                format!("@Microsoft.KeyVault(VaultName={vault};SecretName={name})")
            }
            Self::Marked(text) => format!("{MARKER}{text}"),
            Self::Text(text) => text.clone(),
            Self::LikeAReference(text) => format!("@Microsoft.{text}"),
        })
    }
}

/// The arguments of a plan.
pub(super) struct Case {
    pub(super) event: Event,
    pub(super) settings: Settings,
    pub(super) patch: Patch,
    pub(super) grant: Grant,
    /// The secrets of the grant as `vault/name`, in lower case.
    pub(super) secrets: Vec<String>,
}

impl Input {
    pub(super) fn case(&self) -> Case {
        let target = self.event.target();
        let kinds = ObjectKind::ALL;
        let kind = kinds.get(usize::from(self.kind) % kinds.len());
        let event = Event {
            id: "e-1".to_owned(),
            vault_host: target.vault_host,
            kind: *kind.expect("in bounds"),
            name: target.secret,
            occurrence: Occurrence::NewVersionCreated,
            version: target.version,
            time: 0,
            nanoseconds: 0,
            is_time_of_arrival: false,
            not_before: None,
            expires: None,
        };
        let value = |new: &New| match new {
            New::Reference(secret) => NewValue::Reference(secret.target()),
            New::Text(text) => NewValue::Text(text.get()),
        };
        let patterns = |from: &[Pattern]| from.iter().filter_map(Pattern::get).collect();
        let secret = |(vault, secret): &(u8, u8)| {
            let name = pick(&SECRETS, *secret).parse().expect("a valid name");
            GrantedSecret::new(pick(&VAULTS, *vault), name).expect("a valid vault")
        };
        let written = |(vault, secret): &(u8, u8)| {
            format!("{}/{}", pick(&VAULTS, *vault), pick(&SECRETS, *secret)).to_lowercase()
        };
        let settings = self.settings.iter();
        let set = self.set.iter().map(|(name, new)| (name.get(), value(new)));
        Case {
            event,
            settings: settings
                .map(|(name, value)| (name.get(), value.get()))
                .collect(),
            patch: Patch {
                set: set.collect(),
                remove: self.remove.iter().map(Name::get).collect(),
            },
            grant: Grant {
                set: patterns(&self.grant_set),
                remove: patterns(&self.grant_remove),
                reveal: Vec::new(),
                secrets: self.secrets.iter().map(secret).collect(),
                text: self.text,
            },
            secrets: self.secrets.iter().map(written).collect(),
        }
    }
}

impl Case {
    /// All names of settings and patterns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let set = self.patch.set.iter().map(|(name, _)| name.as_str());
        let removed = self.patch.remove.iter().map(SettingName::as_str);
        let patterns = self.grant.set.iter().chain(&self.grant.remove);
        let listed = self.settings.names().map(SettingName::as_str);
        listed
            .chain(set)
            .chain(removed)
            .chain(patterns.map(NamePattern::as_str))
    }
}

impl std::fmt::Debug for Case {
    /// Shows values too: they are made up.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.settings.iter();
        let settings: Vec<_> = settings
            .map(|(name, value)| (name, value.expose()))
            .collect();
        let new = |value: &NewValue| match value {
            NewValue::Reference(target) => format!("{target:?}"),
            NewValue::Text(text) => format!("{:?}", text.expose()),
        };
        let set = self.patch.set.iter();
        let set: Vec<_> = set.map(|(name, value)| (name, new(value))).collect();
        f.debug_struct("Case")
            .field("event", &self.event)
            .field("settings", &settings)
            .field("set", &set)
            .field("remove", &self.patch.remove)
            .field("grant", &self.grant)
            .finish()
    }
}

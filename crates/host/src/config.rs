//! The configuration: `keyrelay.toml` beside `host.json`, and app settings that win over it.
//!
//! It is read in one place, and every problem in it is reported at once.

pub mod keys;
mod place;
mod read;
mod rule;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use keyrelay_azure::{Cloud, Scope};
use keyrelay_model::AppId;
use serde::{Deserialize, Serialize};
use url::Url;

pub use place::StorePlace;
use read::Table;
pub use rule::{LimitOverrides, Rule, SecretPattern};
pub use webhook::Webhook;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What may happen to apps.
    pub mode: Mode,
    /// Where apps are looked for. Empty: the resource group that keyrelay runs in, if it runs in Azure.
    pub scope: Vec<Scope>,
    /// The vaults whose events are taken, by name in lower case. Empty: all vaults of the cloud.
    pub vaults: Vec<String>,
    /// Where Azure's services are.
    pub cloud: Cloud,
    /// The client id of a user-assigned managed identity. None: the system-assigned one.
    pub client_id: Option<String>,
    /// How long an invocation may take. Event Grid waits 30 s and then delivers again.
    pub answer_within: Duration,
    /// How many apps are handled at once for one event.
    pub apps_at_once: usize,
    /// Where leases, pending work and the run history are kept.
    pub store: StorePlace,
    /// How long the lease of an app outlives the instance that held it.
    pub lease: Duration,
    /// How long runs are kept.
    pub keep_runs: Duration,
    /// Whether only the policies of `policies.lock` may run. None: if there is such a file.
    pub locked: Option<bool>,
    /// What is logged of keyrelay itself.
    pub log: LogLevel,
    /// Whether there are traces and metrics.
    pub telemetry: TelemetryMode,
    /// Rules for secrets; the first that matches wins.
    pub rules: Vec<Rule>,
    /// How Event Grid is served without a Functions host. None: it is not.
    pub webhook: Option<Webhook>,
}

/// Whether traces, metrics and logs are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelemetryMode {
    /// To where the environment says.
    Auto,
    /// Nowhere.
    Off,
}

impl TelemetryMode {
    const WORDS: [(&'static str, Self); 2] = [("auto", Self::Auto), ("off", Self::Off)];
}

/// What may happen to apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and apply.
    Enforce,
    /// Decide and record, change nothing.
    Monitor,
    /// The kill switch: events are recorded, nothing is decided.
    Off,
}

impl Mode {
    const WORDS: [(&'static str, Self); 3] = [
        ("enforce", Self::Enforce),
        ("monitor", Self::Monitor),
        ("off", Self::Off),
    ];
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// Also what may need a look.
    Warn,
    /// Also one line for each rotation.
    Info,
    /// Also one line for each request to Azure.
    Debug,
}

impl LogLevel {
    const WORDS: [(&'static str, Self); 4] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
}

/// One thing that is wrong with the configuration: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `keyrelay.toml: rotation[0].grant.set`, or `app setting KEYRELAY_MODE`.
    pub place: String,
    /// What is wrong, and the fix.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The keys at the top of `keyrelay.toml`. Each has an app setting: `KEYRELAY_` and the key in upper case.
const KEYS: [&str; 15] = [
    "mode",
    "scope",
    "vaults",
    "cloud",
    "client_id",
    "answer_within_ms",
    "apps_at_once",
    "store",
    "lease_ms",
    "keep_runs_days",
    "locked",
    "log",
    "telemetry",
    "rotation",
    "webhook",
];

/// What the names of our app settings begin with.
const PREFIX: &str = "KEYRELAY_";

/// What the names of the app settings begin with that change the mode of one rotation: the rotation's name follows.
const MODE_PREFIX: &str = "KEYRELAY_MODE_";

impl Config {
    /// Reads the text of `keyrelay.toml` and the environment. All problems are returned together.
    pub fn read(file: &str, environment: &BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let values = match file.parse::<toml::Table>() {
            Ok(values) => values,
            Err(error) => {
                problems.push(Problem {
                    place: "keyrelay.toml".to_owned(),
                    message: error.to_string(),
                });
                toml::Table::new()
            }
        };
        let mut table = Table::new("keyrelay.toml", values);
        let ours = || {
            environment
                .iter()
                .filter(|(name, _)| name.starts_with(PREFIX))
        };
        for (name, value) in ours().filter(|(name, _)| !name.starts_with(MODE_PREFIX)) {
            override_key(&mut table, name, value, &mut problems);
        }
        let mut config = Self::from_table(&mut table, environment);
        for (name, value) in ours().filter(|(name, _)| name.starts_with(MODE_PREFIX)) {
            if let Err(message) = config.override_mode(name, value) {
                problems.push(Problem {
                    place: format!("app setting {name}"),
                    message,
                });
            }
        }
        problems.extend(table.finish());
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    /// Gives one rotation another mode, by the app setting that names it.
    fn override_mode(&mut self, setting: &str, value: &str) -> Result<(), String> {
        let mode = Mode::WORDS
            .into_iter()
            .find(|(word, _)| value.trim().eq_ignore_ascii_case(word));
        let (_, mode) = mode.ok_or("expected `enforce`, `monitor` or `off`")?;
        let known: Vec<String> = self.rules.iter().filter_map(Rule::mode_setting).collect();
        let mut named = self.rules.iter_mut().filter(|rule| {
            rule.mode_setting()
                .is_some_and(|it| it.eq_ignore_ascii_case(setting))
        });
        let Some(rule) = named.next() else {
            let known = if known.is_empty() {
                "no rotation has a name".to_owned()
            } else {
                known.join(", ")
            };
            return Err(format!(
                "there is no rotation of this name; known are: {known}"
            ));
        };
        rule.mode = Some(mode);
        Ok(())
    }

    fn from_table(table: &mut Table, environment: &BTreeMap<String, String>) -> Self {
        let cloud = read_cloud(table);
        let store = place::read(table, environment, &cloud);
        Self {
            mode: table.word("mode", &Mode::WORDS).unwrap_or(Mode::Enforce),
            scope: table.parsed_list("scope"),
            vaults: table
                .parsed_list::<VaultLabel>("vaults")
                .into_iter()
                .map(|VaultLabel(name)| name)
                .collect(),
            cloud,
            client_id: table.text("client_id"),
            // Event Grid gives up after 30 s, and an answer may come 2 s after its time.
            answer_within: Duration::from_millis(
                table
                    .integer("answer_within_ms", 1_000..=27_000)
                    .unwrap_or(25_000),
            ),
            apps_at_once: usize::try_from(table.integer("apps_at_once", 1..=1_000).unwrap_or(100))
                .unwrap_or(100),
            store,
            // Longer than an invocation, so that it need not be renewed in the middle of one.
            lease: Duration::from_millis(
                table.integer("lease_ms", 1_000..=60_000).unwrap_or(30_000),
            ),
            keep_runs: Duration::from_hours(
                24 * table.integer("keep_runs_days", 1..=3_650).unwrap_or(90),
            ),
            locked: table.flag("locked"),
            log: table
                .word("log", &LogLevel::WORDS)
                .unwrap_or(LogLevel::Info),
            telemetry: table
                .word("telemetry", &TelemetryMode::WORDS)
                .unwrap_or(TelemetryMode::Auto),
            rules: table
                .tables("rotation")
                .into_iter()
                .map(|mut rule| {
                    let read = Rule::from_table(&mut rule);
                    table.absorb(rule);
                    read
                })
                .collect(),
            webhook: webhook::read(table),
        }
    }
}

/// The name of a vault as Key Vault allows it.
struct VaultLabel(String);

impl std::str::FromStr for VaultLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = keyrelay_model::VaultHost::from_name(text, "example")
            .map_err(|error| error.to_string())?;
        Ok(Self(host.vault().to_owned()))
    }
}

/// Puts the value of an app setting in the place of the file's.
fn override_key(table: &mut Table, name: &str, value: &str, problems: &mut Vec<Problem>) {
    let place = format!("app setting {name}");
    let key = KEYS
        .into_iter()
        .find(|key| name == format!("{PREFIX}{}", key.to_uppercase()));
    let Some(key) = key else {
        let known: Vec<String> = KEYS
            .iter()
            .map(|key| format!("{PREFIX}{}", key.to_uppercase()))
            .collect();
        let message = format!("unknown name; known are {}", known.join(", "));
        problems.push(Problem { place, message });
        return;
    };
    match read::value_of_setting(key, value) {
        Ok(value) => table.replace(key, place, value),
        Err(message) => problems.push(Problem { place, message }),
    }
}

/// Reads `cloud`: the name of a cloud, or a table of endpoints.
fn read_cloud(table: &mut Table) -> Cloud {
    type Make = fn() -> Cloud;
    const CLOUDS: [(&str, Make); 3] = [
        ("public", Cloud::public),
        ("usgov", Cloud::us_gov),
        ("china", Cloud::china),
    ];
    let Some(mut custom) = table.table_if("cloud") else {
        return table
            .word("cloud", &CLOUDS)
            .map_or_else(Cloud::public, |cloud| cloud());
    };
    let mut cloud = Cloud::public();
    if let Some(url) = custom.parsed::<Url>("resource_manager") {
        cloud.resource_manager = url;
    }
    if let Some(audience) = custom.text("resource_manager_audience") {
        cloud.resource_manager_audience = audience;
    }
    if let Some(suffix) = custom.text("vault_suffix") {
        cloud.vault_suffix = suffix;
    }
    if let Some(audience) = custom.text("vault_audience") {
        cloud.vault_audience = audience;
    }
    if let Some(suffix) = custom.text("storage_suffix") {
        cloud.storage_suffix = suffix;
    }
    if let Some(audience) = custom.text("storage_audience") {
        cloud.storage_audience = audience;
    }
    if let Some(endpoint) = custom.text("vault_endpoint") {
        cloud.vault_endpoint = endpoint;
    }
    if let Some(url) = custom.parsed::<Url>("login") {
        cloud.login = url;
    }
    if let Some(url) = custom.parsed::<Url>("token_issuer") {
        cloud.token_issuer = url;
    }
    if let Some(version) = custom.text("web_api_version") {
        cloud.web_api_version = version;
    }
    if let Err(error) = cloud.check() {
        custom.problem("", error.to_string());
    }
    table.absorb(custom);
    cloud
}

/// The app that keyrelay runs in, told by the variables that App Service sets. None outside of Azure.
///
/// `WEBSITE_OWNER_NAME` is `<subscription>+<webspace>`.
pub fn own_app(environment: &BTreeMap<String, String>) -> Option<AppId> {
    let (subscription, _) = environment.get("WEBSITE_OWNER_NAME")?.split_once('+')?;
    let group = environment.get("WEBSITE_RESOURCE_GROUP")?;
    let site = environment.get("WEBSITE_SITE_NAME")?;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{site}"
    )
    .parse()
    .ok()
}

#[cfg(test)]
mod tests;

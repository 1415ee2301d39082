//! The configuration as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use keyrelay_azure::{Cloud, Scope};
use keyrelay_model::{AppId, PublicKey, RefreshRule, RefreshTiming};

use crate::audit::read_workspace;
use crate::cloud::read_cloud;
use crate::host_name::HostName;
use crate::keys::{KEYS, Key, MODE_PREFIX, PREFIX, ROTATION};
use crate::mode::{LogLevel, Mode, REFRESH_WORDS, TelemetryMode};
use crate::problem::Problem;
use crate::rule::Rule;
use crate::store_location::{self, StoreLocation};
use crate::table::{self, Table};
use crate::vault::VaultName;
use crate::webhook::{self, Listen, WebhookConfig};

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The mode that applies to all rotations, unless a rule has a stricter one.
    pub mode: Mode,
    /// The subscriptions and resource groups to search for apps. Empty: keyrelay's own resource
    /// group, if it runs in Azure.
    pub scope: Vec<Scope>,
    /// The vaults whose events are accepted, by name in lower case. Empty: all vaults of the cloud.
    pub vaults: Vec<String>,
    /// The endpoints of Azure's services.
    pub cloud: Cloud,
    /// The client ids of user-assigned managed identities. Empty: the system-assigned one.
    pub client_ids: Vec<String>,
    /// The deadline of an invocation. Event Grid waits 30 s and then delivers again.
    pub answer_within: Duration,
    /// The number of refreshes for a version that Azure does not name, unless a rule says otherwise.
    pub refresh: RefreshRule,
    /// The pauses between refreshes.
    pub refresh_timing: RefreshTiming,
    /// The Log Analytics workspace with the audit logs of the vaults. None: the log is not queried.
    pub audit_workspace: Option<String>,
    /// The app that keyrelay runs in, as it is configured.
    pub own_app: Option<AppId>,
    /// Whether references that were pinned to older versions when keyrelay was installed are moved.
    pub adopt: bool,
    /// The number of apps that are handled at once for one event.
    pub apps_at_once: usize,
    /// The location of leases, pending work and the run history.
    pub store: StoreLocation,
    /// The time after which the lease of an app expires, if the instance that holds it dies.
    pub lease: Duration,
    /// The retention of runs.
    pub keep_runs: Duration,
    /// Whether only the policies of `policies.lock` may run. None: if there is such a file.
    pub locked: Option<bool>,
    /// The keys of which one must have signed `policies.lock`. Empty: it needs no signature.
    pub trusted_keys: Vec<PublicKey>,
    /// The level of keyrelay's own log.
    pub log: LogLevel,
    /// Whether there are traces and metrics.
    pub telemetry: TelemetryMode,
    /// Whether the function app has the pages.
    pub ui: bool,
    /// Whether App Service authentication is on. None: App Service tells.
    pub ui_authenticated: Option<bool>,
    /// The host names of the function app beside its own.
    pub ui_hosts: Vec<HostName>,
    /// Rules for secrets. The first that matches applies.
    pub rules: Vec<Rule>,
    /// The webhook that serves Event Grid without a Functions host. None: there is none.
    pub webhook: Option<WebhookConfig>,
    /// The address for the probes of the webhook, on a port of their own. None: they use that of the
    /// webhook.
    pub probe_listen: Option<SocketAddr>,
}

impl Config {
    /// Whether an app is in the scope.
    pub fn is_in_scope(&self, app: &AppId) -> bool {
        self.scope.iter().any(|scope| scope.contains(app))
    }

    /// Whether events of a vault, by its name in lower case, are accepted.
    pub fn accepts_vault(&self, vault: &str) -> bool {
        self.vaults.is_empty() || self.vaults.iter().any(|allowed| allowed == vault)
    }

    /// Whether events may be handled for an app: it is in the scope, or a rule names it.
    pub fn may_handle(&self, app: &AppId) -> bool {
        let mut named = self.rules.iter().flat_map(|rule| &rule.apps);
        self.is_in_scope(app) || named.any(|named| named == app)
    }

    /// Reads `keyrelay.toml` in the folder of the app, and the environment. A file that is missing
    /// is an empty one.
    ///
    /// Returns all problems together.
    pub fn load(
        app_root: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        let file = app_root.join("keyrelay.toml");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(vec![Problem {
                    location: file.display().to_string(),
                    message: format!("cannot be read: {error}"),
                }]);
            }
        };
        Self::read(&text, environment)
    }

    /// Reads the text of `keyrelay.toml`, and the environment. Returns all problems together.
    pub fn read(file: &str, environment: &BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let values = match file.parse::<toml::Table>() {
            Ok(values) => values,
            Err(error) => {
                problems.push(Problem {
                    location: "keyrelay.toml".to_owned(),
                    message: error.to_string(),
                });
                toml::Table::new()
            }
        };
        let mut table = Table::new("keyrelay.toml", values, KEYS);
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
                    location: format!("app setting {name}"),
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

    /// Changes the mode of the rotations that an app setting names.
    fn override_mode(&mut self, setting: &str, value: &str) -> Result<(), String> {
        let mode = Mode::WORDS
            .into_iter()
            .find(|(word, _)| value.trim().eq_ignore_ascii_case(word));
        let (_, mode) = mode.ok_or("expected `enforce`, `monitor` or `off`")?;
        let known: Vec<String> = self.rules.iter().filter_map(Rule::mode_setting).collect();
        let is_named = |rule: &&mut Rule| {
            rule.mode_setting()
                .is_some_and(|it| it.eq_ignore_ascii_case(setting))
        };
        // The same secret of several vaults may have a rotation for each.
        let mut named = self.rules.iter_mut().filter(is_named).peekable();
        if named.peek().is_none() {
            let known = if known.is_empty() {
                "no rotation has a name".to_owned()
            } else {
                known.join(", ")
            };
            return Err(format!(
                "there is no rotation of this name; known are: {known}"
            ));
        }
        for rule in named {
            rule.mode = Some(mode);
        }
        Ok(())
    }

    /// Reads all keys. A value that cannot be read is reported as a problem, and then the fallbacks
    /// here do not matter: the defaults are in the table of keys.
    fn from_table(table: &mut Table, environment: &BTreeMap<String, String>) -> Self {
        let cloud = read_cloud(table);
        let store = store_location::read(table, environment, &cloud);
        let mode = table.word("mode", &Mode::WORDS).unwrap_or(Mode::Off);
        let scope = table.parsed_list("scope");
        let vaults = read_vaults(table);
        let locked = table.flag("locked");
        let trusted_keys = read_trusted_keys(table);
        if locked == Some(false) && !trusted_keys.is_empty() {
            table.problem(
                "locked",
                "`false` contradicts `trusted_keys`, which need a signed policies.lock: remove one of them",
            );
        }
        Self {
            mode,
            scope,
            cloud,
            client_ids: read_client_ids(table),
            // Event Grid gives up after 30 s, and a response may come 2 s after its deadline.
            answer_within: Duration::from_millis(
                table
                    .integer("answer_within_ms", 1_000..=27_000)
                    .unwrap_or_default(),
            ),
            refresh: table.word("refresh", &REFRESH_WORDS).unwrap_or_default(),
            // Below a tenth of a second, polling is all that is left.
            refresh_timing: RefreshTiming::new(Duration::from_millis(
                table
                    .integer("azure_refresh_ms", 100..=300_000)
                    .unwrap_or_default(),
            )),
            audit_workspace: read_workspace(table),
            own_app: table.parsed("own_app"),
            adopt: table.flag("adopt").unwrap_or(false),
            ui: table.flag("ui").unwrap_or(false),
            ui_authenticated: table.flag("ui_authenticated"),
            ui_hosts: table.parsed_list("ui_hosts"),
            apps_at_once: table.size("apps_at_once", 1..=1_000).unwrap_or_default(),
            store,
            // Longer than an invocation, so that a lease need not be renewed during one.
            lease: Duration::from_millis(
                table
                    .integer("lease_ms", 1_000..=60_000)
                    .unwrap_or_default(),
            ),
            keep_runs: Duration::from_hours(
                24 * table
                    .integer("keep_runs_days", 1..=3_650)
                    .unwrap_or_default(),
            ),
            locked,
            trusted_keys,
            log: table
                .word("log", &LogLevel::WORDS)
                .unwrap_or(LogLevel::Info),
            telemetry: table
                .word("telemetry", &TelemetryMode::WORDS)
                .unwrap_or(TelemetryMode::Off),
            rules: read_rules(table, &vaults),
            vaults,
            webhook: webhook::read(table),
            probe_listen: table
                .parsed::<Listen>("probe_listen")
                .map(|Listen(address)| address),
        }
    }
}

/// Reads `client_id` or `client_ids`. A list of none is a problem: keyrelay would act as another
/// identity than the one that has the roles.
fn read_client_ids(table: &mut Table) -> Vec<String> {
    let has_both = table.has("client_id") && table.has("client_ids");
    if has_both {
        table.problem(
            "client_ids",
            "`client_id` and `client_ids` are both set (KEYRELAY_CLIENT_ID, KEYRELAY_CLIENT_IDS): remove one",
        );
    }
    let is_given = table.has("client_ids");
    let before = table.problem_count();
    let ids: Vec<String> = table.parsed_list("client_ids");
    let mut known = BTreeSet::new();
    if is_given && ids.is_empty() && table.problem_count() == before {
        table.problem(
            "client_ids",
            "it names no identity: name one, or leave it out",
        );
    }
    for id in &ids {
        if id.trim().is_empty() {
            table.problem("client_ids", "a client id is empty");
        } else if !known.insert(id.trim().to_lowercase()) {
            table.problem("client_ids", format!("`{id}` is there twice"));
        }
    }
    let ids = match table.text("client_id") {
        Some(id) => vec![id],
        None => ids,
    };
    for id in ids.iter().filter(|id| !id.trim().is_empty()) {
        if uuid::Uuid::try_parse(id.trim()).is_err() {
            let key = if is_given { "client_ids" } else { "client_id" };
            table.problem(
                key,
                format!(
                    "`{id}` is no client id: write the GUID that the portal calls *Client ID*, not \
                     the object id and not the name"
                ),
            );
        }
    }
    ids
}

/// Reads the keys that may sign the lock. A list of none is a problem: an app setting that happens to
/// be blank must not switch the check off that keyrelay.toml asks for.
fn read_trusted_keys(table: &mut Table) -> Vec<PublicKey> {
    let is_given = table.has("trusted_keys");
    let (before, keys) = (table.problem_count(), table.parsed_list("trusted_keys"));
    if is_given && keys.is_empty() && table.problem_count() == before {
        table.problem(
            "trusted_keys",
            "it names no key, and policies would run without a signature: name one, or leave it out",
        );
    }
    keys
}

/// Reads the vaults whose events are handled. A list of none is a problem: an app setting that happens
/// to be blank must not let the events of all vaults in.
fn read_vaults(table: &mut Table) -> Vec<String> {
    let is_given = table.has("vaults");
    let before = table.problem_count();
    let names: Vec<VaultName> = table.parsed_list("vaults");
    if is_given && names.is_empty() && table.problem_count() == before {
        table.problem(
            "vaults",
            "it names no vault, and the events of all vaults would be handled: name one, or leave it out",
        );
    }
    let mut known = BTreeSet::new();
    for VaultName(name) in &names {
        if !known.insert(name) {
            table.problem("vaults", format!("`{name}` is there twice"));
        }
    }
    names.into_iter().map(|VaultName(name)| name).collect()
}

fn read_rules(table: &mut Table, vaults: &[String]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for mut rule in table.tables("rotation", ROTATION) {
        rules.push(Rule::from_table(&mut rule, vaults));
        table.absorb(rule);
    }
    rules
}

/// Replaces the value of the file by that of an app setting.
fn override_key(table: &mut Table, name: &str, value: &str, problems: &mut Vec<Problem>) {
    let location = format!("app setting {name}");
    let Some(key) = KEYS.iter().find(|key| name == key.app_setting()) else {
        let known: Vec<String> = KEYS.iter().map(Key::app_setting).collect();
        let message = format!("unknown name; known are {}", known.join(", "));
        problems.push(Problem { location, message });
        return;
    };
    match table::value_of_setting(key, value) {
        Ok(value) => table.replace(key.name, location, value),
        Err(message) => problems.push(Problem { location, message }),
    }
}

#[cfg(test)]
mod tests;

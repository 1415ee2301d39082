//! The keys of `keyrelay.toml`, as data.
//!
//! Reading, defaults, app settings, the refusal of unknown keys and the reference page are all
//! derived from these tables.

use std::fmt;

/// A key of a table in `keyrelay.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: &'static str,
    /// The form of its value.
    pub form: ValueForm,
    /// The value of a key that is left out.
    pub default: KeyDefault,
    /// The meaning, with the possible values. Markdown.
    pub meaning: &'static str,
}

/// The form of a key's value, and of its app setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueForm {
    /// A string. The app setting is written without quotes.
    Text,
    /// A list of strings. The app setting may separate them by commas.
    List,
    /// A number, a flag, a table or tables. The app setting is a TOML value.
    Value,
    /// A string or a table.
    TextOrTable,
}

/// The default of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDefault {
    /// A TOML value, which is read as if the file had it.
    Value(&'static str),
    /// A description, in Markdown, of a default that depends on other things.
    Described(&'static str),
}

impl fmt::Display for KeyDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "`{value}`"),
            Self::Described(text) => f.write_str(text),
        }
    }
}

/// The prefix of keyrelay's app settings.
pub(crate) const PREFIX: &str = "KEYRELAY_";

/// The prefix of the app settings that change the mode of one rotation. The rotation's name
/// follows.
pub(crate) const MODE_PREFIX: &str = "KEYRELAY_MODE_";

impl Key {
    /// Returns the app setting that overrides a key at the top: `KEYRELAY_LEASE_MS` for `lease_ms`.
    pub fn app_setting(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }
}

const fn key(
    name: &'static str,
    form: ValueForm,
    default: KeyDefault,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        form,
        default,
        meaning,
    }
}

use KeyDefault::{Described, Value};
use ValueForm::{List, Text, TextOrTable, Value as Any};

/// The keys at the top. Each is an app setting too.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("mode", Text, Value("\"enforce\""),
        "`\"monitor\"` decides and records and changes nothing; `\"off\"` is the kill switch"),
    key("scope", List, Described("keyrelay's own resource group"),
        "ids of the subscriptions and resource groups where apps are looked for"),
    key("vaults", List, Described("all"),
        "names of the vaults whose events are handled"),
    key("cloud", TextOrTable, Value("\"public\""),
        "`\"usgov\"`, `\"china\"`, or a table of endpoints"),
    key("client_id", Text, Described("system-assigned"),
        "the client id of a user-assigned managed identity"),
    key("client_ids", List, Described("none"),
        "instead of `client_id`: the client ids of several user-assigned managed identities. The apps are spread over \
         them, because Azure limits the requests of each on its own; each needs the same roles, and the first one also \
         reads lists, vaults, the store and the audit log"),
    key("answer_within_ms", Any, Value("25000"),
        "how long an invocation may take; Event Grid waits 30 s"),
    key("refresh", Text, Value("\"twice\""),
        "how often an app is refreshed for a version that Azure does not name: `\"twice\"`, at once and 20 s \
         later; `\"once\"`, 20 s after the event, for apps that cannot afford a second restart"),
    key("azure_refresh_ms", Any, Value("15000"),
        "how long Azure takes for a refresh, which `keyrelay calibrate` measures; the second refresh follows \
         after 4/3 of it; less than the default is for a stand-in with a faster clock"),
    key("audit", Any, Described("none"),
        "a table with `workspace`, the id of the Log Analytics workspace with the vaults' audit logs: \
         with it, `refreshed` becomes `verified` once the log shows that the app has read the version"),
    key("own_app", Text, Described("App Service's environment"),
        "the Resource Manager id of the app that keyrelay runs in, which it never changes; Flex \
         Consumption does not tell its resource group"),
    key("adopt", Any, Value("false"),
        "whether the hourly comparison also moves references that were pinned to an older version \
         when keyrelay was installed; otherwise only an event moves them"),
    key("apps_at_once", Any, Value("100"),
        "how many apps are handled side by side for one event"),
    key("store", Text, Described("the function app's storage account"),
        "where leases, pending work and runs are kept: the URL of a blob container, or a folder"),
    key("lease_ms", Any, Value("30000"),
        "how long an app stays locked after an instance died"),
    key("keep_runs_days", Any, Value("90"),
        "how long runs, and the actions of operators, are kept"),
    key("locked", Any, Described("`true` if there is a `policies.lock`"),
        "whether only the policies in `policies.lock` may run"),
    key("trusted_keys", List, Described("none"),
        "public keys, as `keyrelay key show` prints them: only policies in a `policies.lock` that one of them has signed \
         run; see [sign-policies.md](../sign-policies.md)"),
    key("log", Text, Value("\"info\""),
        "`\"error\"`, `\"warn\"`, `\"info\"` or `\"debug\"`"),
    key("telemetry", Text, Value("\"auto\""),
        "where the environment says: OTLP, Application Insights, or nowhere; `\"off\"` sends nothing"),
    key("webhook", Any, Described("none"),
        "for `keyrelay-host --webhook`: a table of `tenant`, `audience`, `role`, `senders`, `listen`, \
         `largest_body_bytes`, `at_once`, `a_minute`; see [webhook.md](../webhook.md)"),
    key("probe_listen", Text, Described("none: the probes use `webhook.listen`"),
        "for `keyrelay-host --webhook`: the address of a port for the probes `/healthz` and `/readyz` alone, like \
         `\"0.0.0.0:8081\"`; only the orchestrator should reach it"),
    key("ui", Any, Value("false"),
        "whether the function app has the pages of `keyrelay ui`, for the users of App Service authentication; see \
         [ui.md](../ui.md#in-the-function-app)"),
    key("ui_authenticated", Any, Described("what WEBSITE_AUTH_ENABLED says"),
        "whether App Service authentication is on, where App Service does not tell; only then the header with the user is \
         to be believed, and otherwise all pages are refused"),
    key("ui_hosts", List, Described("none"),
        "the host names of the function app besides its own, such as `[\"keyrelay.contoso.com\"]`: the pages refuse \
         others"),
    key("rotation", Any, Described("none"),
        "rules for secrets, each a table `[[rotation]]`: see below"),
];

/// The keys of a `[[rotation]]`.
#[rustfmt::skip]
pub const ROTATION: &[Key] = &[
    key("secret", Text, Described("required"),
        "the secret's name, with `*` for anything and `?` for one character, or `vault/name`; the first rotation that \
         matches applies"),
    key("vault", Text, Described("each of the global `vaults`"),
        "the name of the vault, if `secret` does not begin with it; a rotation with a `grant` needs it, or the global `vaults`"),
    key("name", Text, Described("the secret, if it is not a pattern"),
        "the app setting `KEYRELAY_MODE_<NAME>` changes this rotation's mode"),
    key("policy", Text, Described("the policy named after the secret, else `follow`"),
        "the policy, by the name of its file without `.wasm`"),
    key("apps", List, Described("those that reference the secret"),
        "ids of the apps, if they are not to be looked for"),
    key("mode", Text, Described("the global mode"),
        "as above; the stricter one applies"),
    key("refresh", Text, Described("the global value"),
        "`\"twice\"` or `\"once\"`, as above"),
    key("parameters", Any, Described("none"),
        "a table of texts for the policy, which checks them at the start"),
    key("grant", Any, Described("nothing"),
        "what the policy may do beyond its own secret's references: `set`, `remove`, `reveal` (names of settings), \
         `secrets` (names, or `vault/name`), `text` (whether it may write plain text)"),
    key("limits", Any, Described("`{ time_ms = 500, memory_mb = 64 }`"),
        "limits of one decision; memory is the total"),
];

/// The keys of `audit`.
#[rustfmt::skip]
pub const AUDIT: &[Key] = &[
    key("workspace", Text, Described("required"),
        "the workspace's id, a GUID: not its resource id"),
];

/// The keys of a rotation's `grant`.
#[rustfmt::skip]
pub const GRANT: &[Key] = &[
    key("set", List, Described("none"), "settings that the policy may write, with `*` and `?`"),
    key("remove", List, Described("none"), "settings that the policy may remove, with `*` and `?`"),
    key("reveal", List, Described("none"), "settings whose plain text the policy may read"),
    key("secrets", List, Described("none"),
        "other secrets that the policy may write references to: `vault/name`, or a name in the rotation's vault"),
    key("text", Any, Value("false"), "whether the policy may write plain text"),
];

/// The keys of a rotation's `limits`.
#[rustfmt::skip]
pub const LIMITS: &[Key] = &[
    key("time_ms", Any, Described("`500`"), "how long a decision may take"),
    key("memory_mb", Any, Described("`64`"), "how large the policy's memories may grow together"),
];

/// The keys of `cloud` as a table. Endpoints that are left out are those of the public cloud.
#[rustfmt::skip]
pub const CLOUD: &[Key] = &[
    key("resource_manager", Text, Described("public"), "the URL of Resource Manager"),
    key("resource_manager_audience", Text, Described("public"), "the audience of its tokens"),
    key("vault_suffix", Text, Described("public"), "the suffix of the vaults' host names"),
    key("vault_audience", Text, Described("public"), "the audience of Key Vault's tokens"),
    key("storage_suffix", Text, Described("public"), "the suffix of the storage accounts' host names"),
    key("storage_audience", Text, Described("public"), "the audience of Blob Storage's tokens"),
    key("vault_endpoint", Text, Described("public"), "the URL of a vault, with `{vault}` for its name"),
    key("login", Text, Described("public"), "the URL of Microsoft Entra"),
    key("token_issuer", Text, Described("public"), "the URL in the issuer of its tokens"),
    key("log_analytics", Text, Described("public"), "the URL of Log Analytics' query API"),
    key("log_analytics_audience", Text, Described("public"), "the audience of its tokens"),
    key("web_api_version", Text, Described("public"), "the API version of `Microsoft.Web`"),
];

/// The keys of `webhook`.
#[rustfmt::skip]
pub const WEBHOOK: &[Key] = &[
    key("tenant", Text, Described("required"), "the id of the Entra tenant whose tokens are accepted"),
    key("audience", List, Described("required"), "the accepted audiences of a token"),
    key("role", Text, Described("none"), "the app role that a sender must have"),
    key("senders", List, Described("none; set `role`, `senders` or both"), "the client ids of the accepted senders"),
    key("listen", Text, Value("\"0.0.0.0:8080\""), "the address to serve plain HTTP on"),
    key("largest_body_bytes", Any, Value("1048576"), "the largest accepted body"),
    key("at_once", Any, Value("100"), "how many deliveries are handled side by side"),
    key("a_minute", Any, Value("6000"), "how many deliveries are accepted in a minute"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Config;

    const TABLES: [&[Key]; 7] = [KEYS, ROTATION, GRANT, LIMITS, AUDIT, CLOUD, WEBHOOK];

    /// The keys that the message about an unknown one names.
    fn known(text: &str) -> Vec<String> {
        let problems = Config::read(text, &BTreeMap::new()).unwrap_err();
        let words = problems
            .iter()
            .find_map(|it| it.message.strip_prefix("unknown key; known are "))
            .unwrap();
        words.split(", ").map(str::to_owned).collect()
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(|key| key.name).collect()
    }

    #[test]
    fn every_table_is_read_and_names_its_keys_when_it_meets_an_unknown_one() {
        for (before, after, keys) in [
            ("", "", KEYS),
            ("[[rotation]]\nsecret = \"a\"\n", "", ROTATION),
            ("[[rotation]]\nsecret = \"a\"\ngrant = { ", " }", GRANT),
            ("[[rotation]]\nsecret = \"a\"\nlimits = { ", " }", LIMITS),
            ("audit = { ", " }", AUDIT),
            ("cloud = { ", " }", CLOUD),
            ("webhook = { ", " }", WEBHOOK),
        ] {
            let text = format!("{before}nothing_of_the_kind = 1{after}");
            assert_eq!(known(&text), names(keys));
        }
    }

    #[test]
    fn every_default_is_a_toml_value() {
        for key in TABLES.into_iter().flatten() {
            if let KeyDefault::Value(value) = key.default {
                let parsed = format!("value = {value}").parse::<toml::Table>();
                assert!(parsed.is_ok(), "{}: {value}", key.name);
            }
        }
    }

    #[test]
    fn the_meaning_of_a_table_names_its_keys() {
        let tables = [
            ("grant", ROTATION, GRANT),
            ("audit", KEYS, AUDIT),
            ("webhook", KEYS, WEBHOOK),
        ];
        for (name, keys, inner) in tables {
            let key = keys.iter().find(|key| key.name == name).unwrap();
            for inner in names(inner) {
                assert!(
                    key.meaning.contains(&format!("`{inner}`")),
                    "{name}.{inner}"
                );
            }
        }
    }
}

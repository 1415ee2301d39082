//! What can be configured, as data: the reference is made of it.

/// A key at the top of `keyrelay.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What holds if it is left out.
    pub default: &'static str,
    /// What it means, and what it can be.
    pub meaning: &'static str,
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        default,
        meaning,
    }
}

/// The keys at the top. A test sees to it that these are the ones that are read.
pub const KEYS: &[Key] = &[
    key(
        "mode",
        "`\"enforce\"`",
        "`\"monitor\"` decides and records and changes nothing; `\"off\"` is the kill switch",
    ),
    key(
        "scope",
        "keyrelay's own resource group",
        "ids of the subscriptions and resource groups where apps are looked for",
    ),
    key(
        "vaults",
        "all",
        "names of the vaults whose events are taken",
    ),
    key(
        "cloud",
        "`\"public\"`",
        "`\"usgov\"`, `\"china\"`, or a table of endpoints",
    ),
    key(
        "client_id",
        "system-assigned",
        "the client id of a user-assigned managed identity",
    ),
    key(
        "answer_within_ms",
        "`25000`",
        "how long an invocation may take; Event Grid waits 30 s",
    ),
    key(
        "apps_at_once",
        "`100`",
        "how many apps are handled side by side for one event",
    ),
    key(
        "store",
        "the function app's storage account",
        "where leases, pending work and runs are kept: the URL of a blob container, or a folder",
    ),
    key(
        "lease_ms",
        "`30000`",
        "how long an app stays locked after an instance died",
    ),
    key("keep_runs_days", "`90`", "how long runs are kept"),
    key(
        "locked",
        "`true` if there is a `policies.lock`",
        "whether only the policies in `policies.lock` may run",
    ),
    key(
        "log",
        "`\"info\"`",
        "`\"error\"`, `\"warn\"`, `\"info\"` or `\"debug\"`",
    ),
    key(
        "telemetry",
        "`\"auto\"`",
        "where the environment says: OTLP, Application Insights, or nowhere; `\"off\"` sends nothing",
    ),
    key(
        "webhook",
        "none",
        "for `keyrelay-host --webhook`: a table of `tenant`, `audience`, `role`, `senders`, `listen`, \
         `largest_body_bytes`, `at_once`, `a_minute`; see [webhook.md](../webhook.md)",
    ),
    key(
        "rotation",
        "none",
        "rules for secrets, each a table `[[rotation]]`: see below",
    ),
];

/// The keys of a `[[rotation]]`.
pub const ROTATION: &[Key] = &[
    key(
        "secret",
        "a must",
        "the secret's name, with `*` for anything and `?` for one character; the first rotation that matches holds",
    ),
    key(
        "name",
        "the secret, if it is no pattern",
        "the app setting `KEYRELAY_MODE_<NAME>` changes this rotation's mode",
    ),
    key(
        "policy",
        "the module named like the secret, else `follow`",
        "the policy, by the name of its file without `.wasm`",
    ),
    key(
        "apps",
        "those that reference the secret",
        "ids of the apps, if they are not to be looked for",
    ),
    key(
        "mode",
        "that of the whole",
        "as above; the stricter one holds",
    ),
    key(
        "parameters",
        "none",
        "a table of texts for the policy, which checks them at the start",
    ),
    key(
        "grant",
        "nothing",
        "what the policy may do beyond its own secret's references: `set`, `remove`, `reveal` (names of settings), `secrets` (names), `text` (whether it may write plain text)",
    ),
    key(
        "limits",
        "`{ time_ms = 500, memory_mb = 64 }`",
        "what a decision may take; memory is all of it together",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Config;

    /// The keys that are named when an unknown one is met.
    fn known(text: &str) -> Vec<String> {
        let problems = Config::read(text, &BTreeMap::new()).unwrap_err();
        let words = problems
            .iter()
            .find_map(|it| it.message.strip_prefix("unknown key; known are "))
            .unwrap();
        let mut names: Vec<String> = words.split(", ").map(str::to_owned).collect();
        names.sort();
        names
    }

    fn documented(keys: &[Key]) -> Vec<String> {
        let mut names: Vec<String> = keys.iter().map(|key| key.name.to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_read_is_documented_and_the_other_way_round() {
        assert_eq!(known("nothing_of_the_kind = 1"), documented(KEYS));
        let rotation = "[[rotation]]\nsecret = \"a\"\nnothing_of_the_kind = 1";
        assert_eq!(known(rotation), documented(ROTATION));
    }
}

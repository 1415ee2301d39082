//! `keyrelay.toml` and the app settings that override it.

use std::collections::BTreeMap;

use keyrelay_config::Config;
use keyrelay_config::keys::KEYS;
use keyrelay_model::Grant;
use toml::Table;

/// Reads a configuration: the file, and after each NUL an app setting `NAME=value`.
///
/// Nothing panics, a problem names its key, and an accepted configuration has no unknown key and no
/// grant that is for any vault.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let settings: BTreeMap<String, String> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let table: Option<Table> = file.parse().ok();
    match Config::read(file, &settings) {
        Ok(config) => check_accepted(&config, &table.expect("the file is TOML")),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a problem");
            for problem in problems {
                check_location(&problem.location, table.is_some(), &settings);
                assert!(!problem.message.is_empty(), "{}", problem.location);
            }
        }
    }
}

fn check_accepted(config: &Config, table: &Table) {
    for key in table.keys() {
        let is_known = key == "rotation" || KEYS.iter().any(|known| known.name == key);
        assert!(is_known, "the unknown key `{key}` is accepted");
    }
    for rule in &config.rules {
        let has_vault = rule.vault.is_some() || !config.vaults.is_empty();
        assert!(
            rule.grant == Grant::default() || has_vault,
            "the grant for {:?} is for any vault",
            rule.secret
        );
    }
}

/// Checks that a problem names an app setting or a key. Only a file that is no TOML has no key.
fn check_location(location: &str, is_toml: bool, settings: &BTreeMap<String, String>) {
    if let Some(setting) = location.strip_prefix("app setting ") {
        let names = |name: &String| setting.starts_with(name.as_str());
        assert!(
            settings.keys().any(names),
            "{location}: no such app setting"
        );
        return;
    }
    let rest = location.strip_prefix("keyrelay.toml");
    let rest = rest.unwrap_or_else(|| panic!("{location}: neither the file nor a setting"));
    let has_key = rest.strip_prefix(": ").is_some_and(|key| !key.is_empty());
    assert_eq!(has_key, is_toml || has_key, "{location}: no key");
}

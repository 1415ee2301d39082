//! Placeholders for ids and names.

use std::collections::{BTreeMap, HashMap};

use keyrelay_model::Reference;

/// The text in the place of everything that is not kept.
pub(super) const REDACTED: &str = "redacted";

/// The placeholders of a file. The same value of a kind always gets the same placeholder, so that
/// one sees which version is meant.
#[derive(Default)]
pub(super) struct Placeholders {
    counts: BTreeMap<&'static str, usize>,
    /// By kind, and by value in lower case.
    known: HashMap<(&'static str, String), String>,
}

/// The words in resource ids that name nothing private.
const WORDS: [&str; 5] = [
    "config",
    "configreferences",
    "appsettings",
    "connectionstrings",
    "slots",
];

impl Placeholders {
    /// The placeholder of a value: `site-1`.
    pub(super) fn of(&mut self, kind: &'static str, value: &str) -> String {
        let counts = &mut self.counts;
        self.known
            .entry((kind, value.to_lowercase()))
            .or_insert_with(|| {
                let count = counts.entry(kind).or_default();
                *count += 1;
                format!("{kind}-{count}")
            })
            .clone()
    }

    /// Whether a text is the name of a site, slot, vault or secret.
    pub(super) fn hides(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let is = |kind| self.known.contains_key(&(kind, text.clone()));
        ["site", "slot", "vault", "secret"].into_iter().any(is)
    }

    /// The placeholder of an id of Resource Manager or Key Vault, part by part.
    pub(super) fn of_id(&mut self, id: &str) -> String {
        let lower = id.to_lowercase();
        let of_site = "/providers/microsoft.web/sites/";
        if let Some(at) = lower.find(of_site) {
            let rest = id.get(at + of_site.len()..).unwrap_or_default();
            return self.of_site_path(rest);
        }
        let of_secret = "/secrets/";
        if let (true, Some(at)) = (lower.starts_with("https://"), lower.find(of_secret)) {
            let host = id.get("https://".len()..at).unwrap_or_default();
            let vault = host.split('.').next().unwrap_or_default();
            let rest = id.get(at + of_secret.len()..).unwrap_or_default();
            let mut parts = vec![self.of("vault", vault), "secrets".to_owned()];
            let kinds = ["secret", "version"];
            let named = rest.split('/').zip(kinds);
            parts.extend(named.map(|(part, kind)| self.of(kind, part)));
            return parts.join("/");
        }
        self.of("id", id)
    }

    /// The placeholder of the part of an id that begins with the name of a site.
    fn of_site_path(&mut self, path: &str) -> String {
        let (mut parts, mut before) = (Vec::new(), "sites");
        let mut is_reference = false;
        for part in path.split('/') {
            let is_word = before != "slots"
                && before != "sites"
                && WORDS.iter().any(|word| word.eq_ignore_ascii_case(part));
            let kind = match before {
                "sites" => "site",
                "slots" => "slot",
                "connectionstrings" if is_reference => "connection-string",
                "appsettings" if is_reference => "setting",
                _ => "name",
            };
            let is_name = !is_word || matches!(kind, "setting" | "connection-string");
            is_reference |= before == "configreferences";
            parts.push(if is_name {
                self.of(kind, part)
            } else {
                part.to_lowercase()
            });
            before = WORDS
                .into_iter()
                .find(|word| !is_name && word.eq_ignore_ascii_case(part))
                .unwrap_or("");
        }
        parts.join("/")
    }

    /// The text of a reference with placeholders: its form, and whether it has a version.
    pub(super) fn of_reference(&mut self, text: &str, vault_suffix: &str) -> String {
        let Ok(reference) = Reference::parse(text, vault_suffix) else {
            return REDACTED.to_owned();
        };
        let target = reference.target();
        let form = if text.to_lowercase().contains("secreturi") {
            "SecretUri"
        } else {
            "VaultName"
        };
        let mut parts = vec![
            self.of("vault", target.vault_host.vault()),
            self.of("secret", target.secret.as_str()),
        ];
        if let Some(version) = &target.version {
            parts.push(self.of("version", version.as_str()));
        }
        format!("@Microsoft.KeyVault({form}: {})", parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/Orders";

    #[test]
    fn equal_values_have_equal_placeholders() {
        let mut placeholders = Placeholders::default();
        assert_eq!(placeholders.of("version", "A"), "version-1");
        assert_eq!(placeholders.of("version", "b"), "version-2");
        assert_eq!(placeholders.of("version", "a"), "version-1");
        assert_eq!(placeholders.of("secret", "a"), "secret-1");
        assert!(placeholders.hides("A") && !placeholders.hides("b"));
    }

    #[test]
    fn ids_keep_their_form_and_no_name() {
        let mut placeholders = Placeholders::default();
        let mut check = |id: &str, expected: &str| assert_eq!(placeholders.of_id(id), expected);
        check(SITE, "site-1");
        check(&format!("{SITE}/slots/staging"), "site-1/slots/slot-1");
        check(
            &format!("{SITE}/config/configreferences/appsettings/Sql"),
            "site-1/config/configreferences/appsettings/setting-1",
        );
        check(
            &format!("{SITE}/slots/config/config/configreferences/connectionstrings/slots"),
            "site-1/slots/slot-2/config/configreferences/connectionstrings/connection-string-1",
        );
        check(
            &format!("{SITE}/config/appsettings"),
            "site-1/config/appsettings",
        );
        check(&format!("{SITE}/functions/Pay"), "site-1/name-1/name-2");
        check(
            "https://contoso.vault.azure.net/secrets/sql/0123",
            "vault-1/secrets/secret-1/version-1",
        );
        check("/subscriptions/s", "id-1");
    }

    #[test]
    fn references_keep_their_form_and_no_name() {
        let mut placeholders = Placeholders::default();
        let mut check = |text: &str, expected: &str| {
            assert_eq!(placeholders.of_reference(text, "vault.azure.net"), expected);
        };
        check(
            "@Microsoft.KeyVault(VaultName=contoso;SecretName=sql)",
            "@Microsoft.KeyVault(VaultName: vault-1/secret-1)",
        );
        check(
            "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/sql/0c7751761b5a4ca09f3deec5fba4af83)",
            "@Microsoft.KeyVault(SecretUri: vault-1/secret-1/version-1)",
        );
        check("@Microsoft.KeyVault(Nonsense=contoso)", "redacted");
    }
}

//! The findings of one part of the checks. Findings with the same cause and the same fix are one.

use std::collections::BTreeSet;

use keyrelay_model::AppId;
use keyrelay_records::filters::app_name;

use super::fix::Fix;
use crate::out;

/// How good or bad a finding is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// A check that failed.
    Failed,
    /// It works, and is not as it should be. The command succeeds in spite of it.
    Warning,
    /// A check that passed.
    Good,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// An app, or its setting with a reference.
    App { app: AppId, setting: Option<String> },
    /// A vault, by its name.
    Vault(String),
}

/// Stands in a cause for the id of an app or for the name of a vault.
const IT: &str = "{it}";

/// One cause, with one fix, for all apps or vaults that it concerns.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The subject of the check: `rights`.
    pub(super) what: String,
    cause: String,
    pub(super) fix: Fix,
    /// The apps or the vaults, in the order in which they were checked.
    pub(super) subjects: Vec<Subject>,
}

/// The findings of a part so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Reports a check that passed.
    pub(super) fn good(&mut self, what: &str, words: impl Into<String>) {
        self.add(Level::Good, what, words.into(), Fix::default(), None);
    }

    /// Reports a check of an app that passed.
    pub(super) fn good_for(&mut self, what: &str, app: &AppId, words: impl Into<String>) {
        let subject = Some(Subject::from(app));
        self.add(Level::Good, what, words.into(), Fix::default(), subject);
    }

    /// Reports something that works and is not as it should be, with its fix.
    pub(super) fn warning(&mut self, what: &str, words: impl Into<String>, fix: impl Into<Fix>) {
        self.add(Level::Warning, what, words.into(), fix.into(), None);
    }

    /// Reports a check that failed, with its fix.
    pub(super) fn bad(&mut self, what: &str, words: impl Into<String>, fix: impl Into<Fix>) {
        self.add(Level::Failed, what, words.into(), fix.into(), None);
    }

    /// Reports a check of an app or a vault that failed. Those with the same cause and the same fix
    /// are in one finding, so neither should name the app or the vault.
    pub(super) fn bad_for(
        &mut self,
        what: &str,
        subject: impl Into<Subject>,
        cause: impl Into<String>,
        fix: impl Into<Fix>,
    ) {
        let subject = Some(subject.into());
        self.add(Level::Failed, what, cause.into(), fix.into(), subject);
    }

    /// All findings, in the order of their checks.
    pub(super) fn all(&self) -> &[Finding] {
        &self.0
    }

    fn add(&mut self, level: Level, what: &str, cause: String, fix: Fix, subject: Option<Subject>) {
        let same = subject.as_ref().and_then(|_| {
            self.0.iter_mut().find(|it| {
                !it.subjects.is_empty()
                    && (it.level, it.what.as_str(), &it.cause, &it.fix)
                        == (level, what, &cause, &fix)
            })
        });
        match same {
            Some(finding) => finding.subjects.extend(subject),
            None => self.0.push(Finding {
                level,
                what: what.to_owned(),
                cause,
                fix,
                subjects: subject.into_iter().collect(),
            }),
        }
    }
}

impl Finding {
    /// The whole finding in a sentence, with the id of its app, or with the number of its apps.
    pub(super) fn message(&self) -> String {
        self.message_with(Subject::id)
    }

    /// The same with the short name of its app.
    pub(super) fn short_message(&self) -> String {
        self.message_with(Subject::name)
    }

    /// The noun for the subjects.
    pub(super) fn noun(&self) -> &'static str {
        match self.subjects.first() {
            Some(Subject::Vault(_)) => "vaults",
            Some(Subject::App { .. }) | None => "apps",
        }
    }

    /// The short names of the apps or vaults, each once, if there are several subjects.
    pub(super) fn names(&self) -> Vec<String> {
        match self.subjects.len() {
            0 | 1 => Vec::new(),
            _ => once(self.subjects.iter().map(Subject::name)),
        }
    }

    /// The ids of the apps, or the names of the vaults, each once.
    pub(super) fn ids(&self) -> Vec<String> {
        once(self.subjects.iter().map(Subject::id))
    }

    fn message_with(&self, name: impl Fn(&Subject) -> String) -> String {
        let cause = |it: &str| self.cause.replace(IT, it);
        match &self.subjects[..] {
            [] => self.cause.clone(),
            [subject] => {
                let setting = subject.setting().map(|it| format!(" {it}"));
                let setting = setting.unwrap_or_default();
                format!("{}{setting}: {}", name(subject), cause(&subject.id()))
            }
            several => {
                let count = self.names().len();
                let (counted, it) = match self.noun() {
                    "vaults" => (out::counted(count, "vault", "vaults"), "THE-VAULT"),
                    _ => (out::counted(count, "app", "apps"), "THE-APP"),
                };
                let cause = cause(it);
                match several.iter().filter_map(Subject::setting).count() {
                    0 => format!("{counted}: {cause}"),
                    references => {
                        let references = out::counted(references, "reference", "references");
                        format!("{references} of {counted}: {cause}")
                    }
                }
            }
        }
    }
}

impl Subject {
    fn id(&self) -> String {
        match self {
            Self::App { app, .. } => app.to_string(),
            Self::Vault(name) => name.clone(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::App { app, .. } => app_name(app),
            Self::Vault(name) => name.clone(),
        }
    }

    fn setting(&self) -> Option<&str> {
        match self {
            Self::App { setting, .. } => setting.as_deref(),
            Self::Vault(_) => None,
        }
    }
}

impl From<&AppId> for Subject {
    fn from(app: &AppId) -> Self {
        Self::App {
            app: app.clone(),
            setting: None,
        }
    }
}

/// Each text once, in their order.
fn once(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.filter(|text| seen.insert(text.clone())).collect()
}

/// A reason without the id of its app, or without the name of its vault, so that the same reason is
/// one cause for all of them. The message of a finding about one of them has the id again.
pub(super) fn without_id(reason: &str, id: &str) -> String {
    let (lower, lower_id) = (reason.to_ascii_lowercase(), id.to_ascii_lowercase());
    if id.is_empty() {
        return reason.to_owned();
    }
    let mut text = String::with_capacity(reason.len());
    let mut rest = 0;
    for (at, _) in lower.match_indices(&lower_id) {
        // Lower case of ASCII changes no length, so that these are boundaries in both texts.
        text.push_str(reason.get(rest..at).unwrap_or_default());
        text.push_str(IT);
        rest = at + id.len();
    }
    text.push_str(reason.get(rest..).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppId {
        let id = format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{name}");
        id.parse().unwrap()
    }

    #[test]
    fn one_cause_with_one_fix_is_one_finding_for_all_its_apps() {
        let mut findings = Findings::default();
        for name in ["a", "b", "c"] {
            findings.bad_for("rights", &app(name), "missing x", "give x");
            findings.bad_for("rights", &app(name), "missing y", "give y");
        }
        findings.bad_for("rights", &app("d"), "missing x", "give z");
        findings.good_for("rights", &app("e"), "missing x");
        let found: Vec<_> = findings.all().iter().map(Finding::short_message).collect();
        assert_eq!(
            found,
            [
                "3 apps: missing x",
                "3 apps: missing y",
                "d: missing x",
                "e: missing x"
            ]
        );
    }

    #[test]
    fn findings_about_no_app_are_never_joined() {
        let mut findings = Findings::default();
        findings.good("functions", "there");
        findings.good("functions", "there");
        assert_eq!(findings.all().len(), 2);
    }

    #[test]
    fn references_are_counted_beside_their_apps() {
        let mut findings = Findings::default();
        for (name, setting) in [("a", "X"), ("a", "Y"), ("b", "X")] {
            let subject = Subject::App {
                app: app(name),
                setting: Some(setting.to_owned()),
            };
            findings.bad_for("references", subject, "denied", "allow it");
        }
        let [finding] = findings.all() else {
            panic!("{findings:?}");
        };
        assert_eq!(finding.message(), "3 references of 2 apps: denied");
        assert_eq!(finding.names(), ["a", "b"]);
    }

    #[test]
    fn vaults_with_the_same_reason_are_one_finding_too() {
        let mut findings = Findings::default();
        let mut add = |name: &str| {
            let reason = format!("{name}.vault.azure.net refused");
            let subject = Subject::Vault(name.to_owned());
            findings.bad_for("vault", subject, without_id(&reason, name), "give it");
            findings.all().last().map(Finding::message)
        };
        assert_eq!(add("a-kv").unwrap(), "a-kv: a-kv.vault.azure.net refused");
        assert_eq!(
            add("b-kv").unwrap(),
            "2 vaults: THE-VAULT.vault.azure.net refused"
        );
        let [finding] = findings.all() else {
            panic!("{findings:?}");
        };
        assert_eq!(finding.names(), ["a-kv", "b-kv"]);
        assert_eq!(finding.noun(), "vaults");
    }

    #[test]
    fn a_reason_is_the_same_for_all_apps() {
        let reason = |name: &str| {
            let id = app(name).to_string();
            let text = format!("é over scope '{}/config' or {id}: no", id.to_lowercase());
            without_id(&text, &id)
        };
        assert_eq!(reason("a"), "é over scope '{it}/config' or {it}: no");
        assert_eq!(reason("a"), reason("Orders-7"));
    }
}

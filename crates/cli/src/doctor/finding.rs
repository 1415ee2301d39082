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

/// An app that a finding is about, or one reference of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) app: AppId,
    /// The setting with the reference.
    pub(super) setting: Option<String>,
}

/// One cause, with one fix, for all apps that it concerns.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The subject of the check: `rights`.
    pub(super) what: String,
    cause: String,
    pub(super) fix: Fix,
    /// The apps, in the order in which they were checked. Empty if it is not about apps.
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

    /// Reports a check of an app that failed. `cause` and `fix` do not name the app, so that all
    /// apps with the same cause are in one finding.
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
        self.message_with(|app| app.to_string())
    }

    /// The same with the short name of its app.
    pub(super) fn short_message(&self) -> String {
        self.message_with(app_name)
    }

    /// The short names of the apps, each once, if there are several subjects.
    pub(super) fn names(&self) -> Vec<String> {
        if self.subjects.len() < 2 {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let names = self.subjects.iter().map(|it| app_name(&it.app));
        names.filter(|name| seen.insert(name.clone())).collect()
    }

    /// The ids of the apps, each once.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let ids = self.subjects.iter().map(|it| it.app.to_string());
        ids.filter(|id| seen.insert(id.clone())).collect()
    }

    fn message_with(&self, name: impl Fn(&AppId) -> String) -> String {
        match &self.subjects[..] {
            [] => self.cause.clone(),
            [Subject { app, setting: None }] => format!("{}: {}", name(app), self.cause),
            [
                Subject {
                    app,
                    setting: Some(setting),
                },
            ] => format!("{} {setting}: {}", name(app), self.cause),
            several => {
                let apps = out::counted(self.names().len(), "app", "apps");
                let references = several.iter().filter(|it| it.setting.is_some()).count();
                match references {
                    0 => format!("{apps}: {}", self.cause),
                    count => {
                        let references = out::counted(count, "reference", "references");
                        format!("{references} of {apps}: {}", self.cause)
                    }
                }
            }
        }
    }
}

impl From<&AppId> for Subject {
    fn from(app: &AppId) -> Self {
        Self {
            app: app.clone(),
            setting: None,
        }
    }
}

/// A reason without the id of the app in it, so that the same reason is one cause for all apps.
pub(super) fn without_id(reason: &str, app: &AppId) -> String {
    let id = app.to_string();
    let (lower, lower_id) = (reason.to_ascii_lowercase(), id.to_ascii_lowercase());
    let mut text = String::with_capacity(reason.len());
    let mut rest = 0;
    for (at, _) in lower.match_indices(&lower_id) {
        // Lower case of ASCII changes no length, so that these are boundaries in both texts.
        text.push_str(reason.get(rest..at).unwrap_or_default());
        text.push_str("THE-APP");
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
            let subject = Subject {
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
    fn a_reason_is_the_same_for_all_apps() {
        let reason = |name: &str| {
            let id = app(name);
            let text = format!(
                "é over scope '{}/config' or {id}: no",
                id.to_string().to_lowercase()
            );
            without_id(&text, &id)
        };
        assert_eq!(reason("a"), "é over scope 'THE-APP/config' or THE-APP: no");
        assert_eq!(reason("a"), reason("Orders-7"));
    }
}

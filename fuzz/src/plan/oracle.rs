//! The rules for a patch, written from SECURITY.md and docs/configure.md, and not from the code.
//!
//! Where these do not say whether a change is allowed, neither does this: the plan is then only held
//! to what no plan may do.

use std::collections::BTreeSet;

use keyrelay_model::{
    NamePattern, NewValue, ObjectKind, SettingName, SettingValue, Target, is_protected,
};

use super::input::Case;
use super::reference;

/// The beginning of everything that Azure may resolve with the identity of the app.
const RESOLVED: &str = "@microsoft.";

/// The rules, applied to one case.
pub(super) struct Oracle<'c> {
    case: &'c Case,
}

/// The ruling on a patch as a whole.
pub(super) enum Ruling<'c> {
    /// It is planned, and each setting is then as it says.
    Allowed(Vec<(&'c SettingName, After<'c>)>),
    /// It is refused.
    Forbidden(String),
    /// The rules do not say.
    Open,
}

/// A setting after the plan.
#[derive(Debug, Clone)]
pub(super) enum After<'c> {
    Reference(Target),
    Text(&'c SettingValue),
    Removed,
}

/// The ruling on one change.
enum One<'c> {
    Allowed(After<'c>),
    Forbidden(&'static str),
    Open,
}

impl<'c> Oracle<'c> {
    pub(super) fn new(case: &'c Case) -> Self {
        Self { case }
    }

    pub(super) fn ruling(&self) -> Ruling<'c> {
        let patch = &self.case.patch;
        let set = patch
            .set
            .iter()
            .map(|(name, value)| (name, self.set(name, value)));
        let removed = patch.remove.iter().map(|name| (name, self.remove(name)));
        let (mut after, mut is_open) = (Vec::new(), false);
        for (name, one) in set.chain(removed) {
            match one {
                One::Allowed(change) => after.push((name, change)),
                One::Forbidden(why) => return Ruling::Forbidden(format!("{name}: {why}")),
                One::Open => is_open = true,
            }
        }
        match self.names() {
            Some(false) => Ruling::Forbidden("a name twice, or in two spellings".to_owned()),
            Some(true) if !is_open => Ruling::Allowed(after),
            _ => Ruling::Open,
        }
    }

    /// Whether the names of the patch are each one setting.
    fn names(&self) -> Option<bool> {
        let (set, removed) = (&self.case.patch.set, &self.case.patch.remove);
        let all: Vec<&SettingName> = set.iter().map(|it| &it.0).chain(removed).collect();
        let mut is_clear = true;
        for (index, name) in all.iter().enumerate() {
            let exists = |name: &SettingName| self.case.settings.get(name).is_some();
            for (other_index, other) in all.iter().enumerate().skip(index + 1) {
                if name == other {
                    return Some(false);
                }
                let are_set = other_index < set.len();
                match are_twins(name, other) {
                    Some(false) => {}
                    Some(true) if are_set && !(exists(name) && exists(other)) => {
                        return Some(false);
                    }
                    _ => is_clear = false,
                }
            }
            let is_added = index < set.len() && !exists(name);
            for other in self.case.settings.names().filter(|_| is_added) {
                match are_twins(name, other) {
                    Some(false) => {}
                    Some(true) if !removed.contains(other) => return Some(false),
                    _ => is_clear = false,
                }
            }
        }
        is_clear.then_some(true)
    }

    fn set(&self, name: &SettingName, value: &'c NewValue) -> One<'c> {
        let text = match value {
            NewValue::Reference(target) => return self.set_reference(name, target),
            NewValue::Text(text) => text,
        };
        if let Some(read) = reference(text) {
            return self.set_reference(name, read.target());
        }
        if begins_resolved(text.expose()) {
            return One::Forbidden("text that Azure may resolve");
        }
        if begins_resolved(text.expose().trim_start()) || self.case.settings.get(name) == Some(text)
        {
            return One::Open;
        }
        match (
            self.covers(&self.case.grant.set, name),
            self.case.grant.text,
        ) {
            (Some(false), _) => One::Forbidden("text without a grant of the name"),
            (_, false) => One::Forbidden("text without `text = true`"),
            (Some(true), true) => One::Allowed(After::Text(text)),
            (None, true) => One::Open,
        }
    }

    fn set_reference(&self, name: &SettingName, target: &Target) -> One<'c> {
        let after = After::Reference(target.clone());
        if self.follows(name) && self.is_own(target) {
            return One::Allowed(after);
        }
        let current = self.case.settings.get(name).and_then(reference);
        if current.is_some_and(|it| it.target() == target) {
            return One::Open;
        }
        if !self.is_own(target) && !self.is_granted(target) {
            return One::Forbidden("a secret without a grant");
        }
        match self.covers(&self.case.grant.set, name) {
            Some(true) => One::Allowed(after),
            Some(false) => One::Forbidden("a reference without a grant of the name"),
            None => One::Open,
        }
    }

    fn remove(&self, name: &SettingName) -> One<'c> {
        match self.covers(&self.case.grant.remove, name) {
            Some(true) => One::Allowed(After::Removed),
            Some(false) if self.case.settings.get(name).is_some() => {
                One::Forbidden("a removal without a grant")
            }
            _ => One::Open,
        }
    }

    /// The rule that a change breaks, of those that hold for every plan.
    pub(super) fn complaint(
        &self,
        name: &SettingName,
        after: Option<&SettingValue>,
    ) -> Option<&'static str> {
        let grant = &self.case.grant;
        let granted = match after {
            Some(_) => &grant.set,
            None => &grant.remove,
        };
        let is_granted = self.covers(granted, name) != Some(false);
        let after = match after {
            None if is_granted => return None,
            None => return Some("removed without a grant"),
            Some(after) => after,
        };
        match reference(after) {
            Some(it) if self.follows(name) && self.is_own(it.target()) => None,
            _ if !is_granted => Some("changed without a grant"),
            Some(it) if self.is_own(it.target()) || self.is_granted(it.target()) => None,
            Some(_) => Some("a reference to a secret without a grant"),
            None if begins_resolved(after.expose()) => Some("text that Azure may resolve"),
            None if !grant.text => Some("text without a grant"),
            None => None,
        }
    }

    /// Whether a setting references the secret of the event. Nothing can reference a key.
    fn follows(&self, name: &SettingName) -> bool {
        let current = self.case.settings.get(name).and_then(reference);
        current.is_some_and(|it| self.is_own(it.target()))
    }

    fn is_own(&self, target: &Target) -> bool {
        let event = &self.case.event;
        event.kind != ObjectKind::Key
            && target.vault_host == event.vault_host
            && target.secret == event.name
    }

    /// Whether a secret is in `secrets`: of that vault, in the cloud of the event.
    fn is_granted(&self, target: &Target) -> bool {
        let (vault, host) = (&target.vault_host, &self.case.event.vault_host);
        let wanted = format!("{}/{}", vault.vault(), target.secret).to_lowercase();
        vault.suffix() == host.suffix() && self.case.secrets.contains(&wanted)
    }

    /// Whether a grant covers a name: exactly, or by a pattern if the name is not protected. None
    /// for a name that no setting should have, under a pattern.
    fn covers(&self, granted: &[NamePattern], name: &SettingName) -> Option<bool> {
        let name_text = name.as_str();
        let mut texts = granted.iter().map(NamePattern::as_str);
        if texts.any(|text| text == name_text) {
            return Some(true);
        }
        let is_pattern = |text: &str| text.contains(['*', '?']);
        let mut patterns = granted.iter().map(NamePattern::as_str);
        let matches = patterns.any(|text| is_pattern(text) && matches(text, name_text));
        match matches && !is_protected_by_rule(name) {
            true if name_text.parse::<SettingName>().is_err() => None,
            covers => Some(covers),
        }
    }
}

fn begins_resolved(text: &str) -> bool {
    let start = text.get(..RESOLVED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(RESOLVED))
}

/// Whether a pattern has to match a name: `*` is any characters, `?` is one.
fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    // The lengths of the starts of the name that the pattern so far matches.
    let mut matched = BTreeSet::from([0]);
    for c in pattern.chars() {
        matched = match (c, matched.first()) {
            (_, None) => return false,
            ('*', Some(first)) => (*first..=name.len()).collect(),
            (c, _) => {
                let fits = |at: &usize| name.get(*at).is_some_and(|it| c == '?' || *it == c);
                let fitting = matched.iter().filter(|at| fits(at));
                fitting.map(|at| at + 1).collect()
            }
        };
    }
    matched.contains(&name.len())
}

/// Whether a name is protected: those that the documentation names, in any spelling, and those of
/// the list, which is data.
fn is_protected_by_rule(name: &SettingName) -> bool {
    const FAMILIES: [&str; 4] = [
        "AZUREWEBJOBSSTORAGE",
        "FUNCTIONS_",
        "WEBSITE_",
        "APPLICATIONINSIGHTS_",
    ];
    let plain = spelled(name, "__");
    let is_documented = FAMILIES.iter().any(|family| plain.starts_with(family))
        || ["LD_PRELOAD", "NODE_OPTIONS"].contains(&plain.as_str());
    is_documented || is_protected(name)
}

/// A name without case, with `_` for `.`, `-` and other characters, and with `:` as given.
fn spelled(name: &SettingName, colon: &str) -> String {
    let upper = name.as_str().to_ascii_uppercase();
    let spell = |c: char| match c {
        ':' => colon.to_owned(),
        c if c.is_ascii_alphanumeric() => c.to_string(),
        _ => "_".to_owned(),
    };
    upper.chars().map(spell).collect()
}

/// Whether two names are one setting to some platform. None where the documentation does not say.
pub(super) fn are_twins(one: &SettingName, other: &SettingName) -> Option<bool> {
    let same = |colon: &str| spelled(one, colon) == spelled(other, colon);
    let loose = |name: &SettingName| spelled(name, "_").replace('_', "");
    if same("__") {
        Some(true)
    } else if loose(one) != loose(other) {
        Some(false)
    } else {
        None
    }
}

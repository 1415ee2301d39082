//! All findings, by part: on a screen, worst first, or as JSON.

use std::collections::BTreeMap;

use anstyle::Style;
use keyrelay_ui::{FindingLevel, InstallationFinding};
use serde_json::{Value, json};

use super::finding::{Finding, Findings, Level, Subject};
use super::part::Part;
use super::screen;
use crate::out;

/// The findings of each part.
#[derive(Debug, Default)]
pub(super) struct Report(BTreeMap<Part, Findings>);

/// Which findings are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) json: bool,
    /// Only what is not fine.
    pub(super) failed: bool,
}

impl Report {
    /// The findings of a part, to add to.
    pub(super) fn of(&mut self, part: Part) -> &mut Findings {
        self.0.entry(part).or_default()
    }

    /// The number of findings.
    pub(super) fn count(&self) -> usize {
        self.all().count()
    }

    /// The number of findings of a level.
    pub(super) fn count_of(&self, level: Level) -> usize {
        self.all().filter(|(_, it)| it.level == level).count()
    }

    /// Prints the findings: part by part, the parts with the worst finding first.
    pub(super) fn print(&self, shown: Shown) {
        let mut findings = self.in_order();
        if shown.failed {
            findings.retain(|(_, finding)| finding.level != Level::Good);
        }
        if shown.json {
            for (part, finding) in findings {
                out::line(&to_json(part, finding).to_string());
            }
            return;
        }
        self.print_counts();
        screen::print(&match shown.failed {
            true => screen::whole(&findings),
            false => screen::fitting(&findings),
        });
    }

    /// All findings, the parts with the worst one first, and the worst of a part first.
    fn in_order(&self) -> Vec<(Part, &Finding)> {
        let mut findings: Vec<(Part, &Finding)> = self.all().collect();
        findings.sort_by_key(|(part, finding)| (self.worst_of(*part), *part, finding.level));
        findings
    }

    /// All findings for the pages, worst first.
    pub(super) fn findings(&self) -> Vec<InstallationFinding> {
        let findings = self
            .in_order()
            .into_iter()
            .map(|(_, finding)| InstallationFinding {
                level: match finding.level {
                    Level::Failed => FindingLevel::Failed,
                    Level::Warning => FindingLevel::Warning,
                    Level::Good => FindingLevel::Good,
                },
                what: finding.what.clone(),
                message: finding.message(),
                fix: finding.fix.text(&finding.ids()),
            });
        let mut findings: Vec<_> = findings.collect();
        // Stable: the parts stay together.
        findings.sort_by_key(|it| it.level);
        findings
    }

    fn print_counts(&self) {
        let count = |level| self.count_of(level);
        let (failed, warnings) = (count(Level::Failed), count(Level::Warning));
        let counts = [
            (failed, format!("{failed} failed"), Level::Failed),
            (
                warnings,
                out::counted(warnings, "warning", "warnings"),
                Level::Warning,
            ),
            (
                count(Level::Good),
                format!("{} ok", count(Level::Good)),
                Level::Good,
            ),
        ];
        let words = counts.map(|(count, words, level)| {
            let style = if count > 0 {
                screen::style(level)
            } else {
                Style::new()
            };
            format!("{style}{words}{style:#}")
        });
        out::styled_line(&words.join(", "));
    }

    fn all(&self) -> impl Iterator<Item = (Part, &Finding)> {
        let parts = self.0.iter();
        parts.flat_map(|(part, findings)| findings.all().iter().map(|it| (*part, it)))
    }

    fn worst_of(&self, part: Part) -> Level {
        let levels = self.0.get(&part).into_iter().flat_map(Findings::all);
        levels.map(|it| it.level).min().unwrap_or(Level::Good)
    }
}

fn to_json(part: Part, finding: &Finding) -> Value {
    let apps = finding.subjects.iter().filter_map(|it| match it {
        Subject::App { app, setting } => Some(json!({ "id": app.to_string(), "setting": setting })),
        Subject::Vault(_) => None,
    });
    let vaults = finding.subjects.iter().filter_map(|it| match it {
        Subject::Vault(name) => Some(name),
        Subject::App { .. } => None,
    });
    let level = match finding.level {
        Level::Failed => "failed",
        Level::Warning => "warning",
        Level::Good => "ok",
    };
    json!({
        "part": part.as_str(),
        "what": finding.what,
        "ok": finding.level != Level::Failed,
        "level": level,
        "message": finding.message(),
        "fix": finding.fix.text(&finding.ids()),
        "apps": apps.collect::<Vec<Value>>(),
        "vaults": vaults.collect::<Vec<&String>>(),
    })
}

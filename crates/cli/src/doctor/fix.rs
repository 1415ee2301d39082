//! The fix of a finding: sentences, and commands to copy.

/// Stands in a command for the ids of the apps that the finding is about, with spaces between them.
pub(super) const APPS: &str = "{apps}";

/// Stands in a command for the name of the vault that the finding is about. For several vaults, the
/// command becomes a loop.
pub(super) const VAULT: &str = "{vault}";

/// The number of apps whose ids a command for the screen names.
const NAMED: usize = 3;

/// What to do about a finding. Empty if there is nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fix(Vec<Step>);

/// A part of a fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A sentence.
    Words(String),
    /// A command for a shell.
    Command(String),
}

impl Fix {
    /// A command.
    pub(super) fn command(command: impl Into<String>) -> Self {
        Self::default().then_command(command)
    }

    /// The same fix with a sentence at its end.
    #[must_use]
    pub(super) fn then(mut self, words: impl Into<String>) -> Self {
        self.0.push(Step::Words(words.into()));
        self
    }

    /// The same fix with a command at its end.
    #[must_use]
    pub(super) fn then_command(mut self, command: impl Into<String>) -> Self {
        self.0.push(Step::Command(command.into()));
        self
    }

    /// The whole fix on one line, for these apps or vaults. `None` if there is nothing to do.
    pub(super) fn text(&self, apps: &[String]) -> Option<String> {
        let ids = apps.join(" ");
        let steps = self.0.iter().map(|step| match step {
            Step::Words(words) => words.clone(),
            // Two spaces tell where a command ends.
            Step::Command(command) => format!("{} ", for_vaults(command, apps).replace(APPS, &ids)),
        });
        let steps: Vec<String> = steps.collect();
        (!steps.is_empty()).then(|| steps.join(" ").trim_end().to_owned())
    }

    /// The steps for the screen: a command for many apps does not name them.
    pub(super) fn steps(&self, apps: &[String]) -> Vec<Step> {
        let is_short = apps.len() <= NAMED;
        let ids = match is_short {
            true => apps.join(" "),
            false => "IDS".to_owned(),
        };
        let mut steps = Vec::new();
        for step in &self.0 {
            match step {
                Step::Command(command) if command.contains(APPS) => {
                    if !is_short {
                        let words = "with the ids that `--json` lists as IDS:";
                        steps.push(Step::Words(words.to_owned()));
                    }
                    steps.push(Step::Command(command.replace(APPS, &ids)));
                }
                Step::Command(command) => steps.push(Step::Command(for_vaults(command, apps))),
                Step::Words(words) => steps.push(Step::Words(words.clone())),
            }
        }
        steps
    }
}

/// The command for one vault, or for each of several.
fn for_vaults(command: &str, vaults: &[String]) -> String {
    if !command.contains(VAULT) {
        return command.to_owned();
    }
    match vaults {
        [vault] => command.replace(VAULT, vault),
        several => {
            let command = command.replace(VAULT, "$vault");
            format!("for vault in {}; do {command}; done", several.join(" "))
        }
    }
}

impl From<&str> for Fix {
    fn from(words: &str) -> Self {
        Self::default().then(words)
    }
}

impl From<String> for Fix {
    fn from(words: String) -> Self {
        Self::default().then(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|it| format!("/app/{it}")).collect()
    }

    #[test]
    fn a_fix_is_one_text() {
        let fix = Fix::from("if roles:").then_command("az a").then("(or b)");
        assert_eq!(fix.text(&[]).unwrap(), "if roles: az a  (or b)");
        assert_eq!(Fix::default().text(&[]), None);
    }

    #[test]
    fn a_command_for_several_vaults_is_a_loop() {
        let fix = Fix::command(format!("az show --name {VAULT}"));
        let text = |vaults: &[&str]| {
            let vaults: Vec<String> = vaults.iter().map(|it| (*it).to_owned()).collect();
            let shown = Step::Command(fix.text(&vaults).unwrap());
            assert_eq!(fix.steps(&vaults), [shown]);
            fix.text(&vaults).unwrap()
        };
        assert_eq!(text(&["a"]), "az show --name a");
        let several = "for vault in a b; do az show --name $vault; done";
        assert_eq!(text(&["a", "b"]), several);
    }

    #[test]
    fn a_command_for_many_apps_names_them_in_its_text_only() {
        let fix = Fix::command(format!("az assign --ids {APPS}"));
        let text = fix.text(&ids(4)).unwrap();
        assert_eq!(text, "az assign --ids /app/0 /app/1 /app/2 /app/3");
        let command = |count| fix.steps(&ids(count)).pop().unwrap();
        assert_eq!(
            command(2),
            Step::Command("az assign --ids /app/0 /app/1".to_owned())
        );
        assert_eq!(command(4), Step::Command("az assign --ids IDS".to_owned()));
    }
}

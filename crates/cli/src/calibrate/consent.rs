//! The list of calls, and the question before the first of them.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, anyhow, ensure};

use super::Calibrate;
use super::operation::{App, Operation};
use crate::out;
use crate::usage_error::OrUsageError;

/// The reads, in their order.
const READS: [Operation; 6] = [
    Operation::ReadSite,
    Operation::ListSettings,
    Operation::SettingStatuses,
    Operation::ListConnectionStrings,
    Operation::ConnectionStringStatuses,
    Operation::ListSlots,
];

/// Prints the calls and asks. An error means that nothing may be called.
pub(super) fn ask(command: &Calibrate) -> anyhow::Result<()> {
    for line in plan(command) {
        out::note(&line);
    }
    if command.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(anyhow!(
            "there is no terminal to ask on: confirm with `--yes`. Nothing was called"
        ))
        .or_usage_error();
    }
    let mut stderr = io::stderr();
    write!(stderr, "Continue? [y/N] ")
        .and_then(|()| stderr.flush())
        .context("cannot ask")?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    let is_yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    ensure!(is_yes, "not confirmed: nothing was called");
    Ok(())
}

fn plan(command: &Calibrate) -> Vec<String> {
    let mut lines = vec![
        format!("site    {}", command.site),
        format!("file    {}", command.out.display()),
        "Calls that change nothing:".to_owned(),
    ];
    let reads = READS.iter().map(|it| it.label(App::Site));
    lines.extend(reads.map(|label| format!("  {label}")));
    lines.push(format!(
        "  {}, if there is a slot",
        Operation::SettingStatuses.label(App::Slot)
    ));
    lines.push("Calls that change something:".to_owned());
    let mut refreshes = 2;
    if let (Some(vault), Some(secret)) = (&command.vault, &command.secret) {
        refreshes = 4;
        let set = |enabled| Operation::SetSecret { enabled }.label(App::Site);
        lines.push(format!("  {}", set(false)));
        lines.push(format!("  {}", set(true)));
        lines.push(format!(
            "      new versions of `{secret}` in `{vault}`, with random values; the last one is enabled"
        ));
        lines.push("      in between, references to the secret do not resolve".to_owned());
    }
    lines.push(format!(
        "  {}, up to {refreshes} times",
        Operation::Refresh.label(App::Site)
    ));
    lines.push("      resolves the references again, and may restart the app".to_owned());
    lines.push(format!(
        "  {}, up to {refreshes} times, if there is a slot",
        Operation::Refresh.label(App::Slot)
    ));
    lines.push("      resolves the references again, and may restart the slot".to_owned());
    lines.push(
        "keyrelay must not serve this app meanwhile: it refreshes references, too.".to_owned(),
    );
    let longest = command.limit.as_secs_f64() * (2.0 * f64::from(refreshes) + 1.0) / 60.0;
    lines.push(format!(
        "After each refresh, statuses are read every {} s. All of it takes up to {} min.",
        command.every.as_secs_f64(),
        longest.ceil()
    ));
    lines
}

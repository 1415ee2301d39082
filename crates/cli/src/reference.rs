//! `keyrelay reference`: the reference pages, made of the code that they are about.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use keyrelay_host::config::keys::{KEYS, Key, ROTATION};
use keyrelay_host::telemetry::instruments::{INSTRUMENTS, Instrument, Kind};

use crate::case::event::{kinds, name};
use crate::out;

/// Write the reference pages into a folder
#[derive(Debug, Args)]
pub(crate) struct Reference {
    /// The folder
    #[arg(default_value = "docs/reference")]
    folder: PathBuf,
    /// Write nothing; end with 1 if a page is not as it would be written
    #[arg(long)]
    check: bool,
}

const MADE: &str = "<!-- Made by `cargo xtask reference` of the code: change it there. -->\n";
const WIT: &str = include_str!("../../policy-sdk/wit/policy.wit");

impl Reference {
    pub(crate) fn run(self, command: Command) -> anyhow::Result<()> {
        let mut stale = Vec::new();
        for (file, text) in pages(command) {
            let path = self.folder.join(file);
            if self.check {
                if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
                    stale.push(path.display().to_string());
                }
                continue;
            }
            fs::create_dir_all(&self.folder)
                .with_context(|| format!("cannot make {}", self.folder.display()))?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            out::note(&format!("wrote {}", path.display()));
        }
        anyhow::ensure!(
            stale.is_empty(),
            "not up to date: {}: run `cargo xtask reference`",
            stale.join(", ")
        );
        Ok(())
    }
}

fn pages(command: Command) -> [(&'static str, String); 5] {
    [
        ("cli.md", cli(command)),
        ("configuration.md", configuration()),
        (
            "contract.md",
            format!("{MADE}\n# The contract of policies\n\n```wit\n{WIT}```\n"),
        ),
        ("events.md", events()),
        ("metrics.md", metrics()),
    ]
}

/// The help of each command, as `--help` prints it.
fn cli(command: Command) -> String {
    let mut text = format!("{MADE}\n# keyrelay\n");
    let mut command = command.term_width(100);
    command.build();
    help(&mut text, &mut command, 2);
    text
}

fn help(text: &mut String, command: &mut Command, level: usize) {
    let name = command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    if level > 2 {
        let _ = write!(text, "\n{} {name}\n", "#".repeat(level - 1));
    }
    let shown = command.render_long_help().to_string();
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n```text\n{}\n```\n", lines.join("\n").trim_end());
    let is_shown = |command: &&mut Command| !command.is_hide_set() && command.get_name() != "help";
    for command in command.get_subcommands_mut().filter(is_shown) {
        help(text, command, level + 1);
    }
}

fn configuration() -> String {
    let mut text = format!(
        "{MADE}\n# Configuration\n\n\
         `keyrelay.toml` lies beside `host.json`; an empty file works.\n\
         Each key at the top is also an app setting, which wins: `mode` is `KEYRELAY_MODE`.\n\
         As an app setting, a list is written with commas or as in the file, and what is a table as a TOML value.\n\
         All problems are reported at once, and keyrelay does not start with any.\n\n"
    );
    table(&mut text, KEYS);
    text.push_str("\n## [[rotation]]\n\n");
    table(&mut text, ROTATION);
    text
}

fn table(text: &mut String, keys: &[Key]) {
    text.push_str("| key | default | meaning |\n|---|---|---|\n");
    for Key {
        name,
        default,
        meaning,
    } in keys
    {
        let _ = writeln!(text, "| `{name}` | {default} | {meaning} |");
    }
}

fn metrics() -> String {
    let mut text = format!(
        "{MADE}\n# Metrics\n\n\
         Sent by OpenTelemetry, if [telemetry.md](../telemetry.md) is set up.\n\n\
         | metric | kind, unit | attributes | meaning |\n|---|---|---|---|\n"
    );
    for Instrument {
        name,
        kind,
        unit,
        attributes,
        meaning,
    } in INSTRUMENTS
    {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let attributes: Vec<String> = attributes
            .iter()
            .map(|attribute| format!("`{attribute}`"))
            .collect();
        let _ = writeln!(
            text,
            "| `{name}` | {kind}, {unit} | {} | {meaning} |",
            attributes.join(", ")
        );
    }
    text
}

fn events() -> String {
    let mut text =
        format!("{MADE}\n# Kinds of events\n\n`keyrelay events sample KIND` prints one.\n\n");
    for kind in kinds() {
        let _ = writeln!(text, "- `{}`", name(kind));
    }
    text
}

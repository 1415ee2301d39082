//! `cargo xtask fuzz`: builds the fuzz targets, runs each for its time, and prints the figures.

mod figures;
mod toolchain;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};

use crate::output::print;
use crate::{policies, shell};
use figures::Figures;
use toolchain::Toolchain;

/// The memory at which a target counts as failed, in MiB. The largest package has 512 MiB.
const MEMORY: u32 = 3072;

/// The time after which one input counts as endless, in seconds. A policy has at most half a second
/// for each of its calls.
const ENDLESS: u32 = 30;

/// The largest input, in bytes. A policy in Rust has 16 kB.
const MAX_INPUT_BYTES: u32 = 32 << 10;

/// Fuzzes all targets, or those that are named.
pub(crate) fn run(minutes: u32, named: &[String]) -> anyhow::Result<()> {
    let targets = targets(named)?;
    let toolchain = Toolchain::find()?;
    let folder = policies::target_folder().join("fuzz");
    build(&toolchain, &folder)?;
    let programs = folder.join(toolchain.host()?).join("release");
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for target in targets {
        shell::step(&format!("fuzzing {target} for {minutes} min"));
        let log = fuzz(&programs.join(&target), &target, &folder, minutes)?;
        rows.push(Figures::of(&target, &log.text));
        if let Some(reason) = log.failure(&target) {
            shell::say(&reason);
            failed.push(target);
        }
    }
    for line in figures::table(&rows) {
        print(&line);
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// The names of the targets to run: all programs in `fuzz_targets`, or some of them.
fn targets(named: &[String]) -> anyhow::Result<Vec<String>> {
    let folder = shell::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        all.extend(path.file_stem().map(|it| it.to_string_lossy().into_owned()));
    }
    all.sort();
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}: known are {}", all.join(", "));
    }
    all.retain(|name| named.is_empty() || named.contains(name));
    Ok(all)
}

/// Builds all programs at once.
///
/// Without a sanitizer: the address sanitizer finds mistakes in `unsafe` code, and the only such
/// code here hands machine code to the engine that has just made it. What our dependencies have is
/// fuzzed with it by their own projects, and it would halve the speed. Overflows and debug assertions are checked,
/// and an overflow of the stack ends the program without a sanitizer too.
fn build(toolchain: &Toolchain, folder: &Path) -> anyhow::Result<()> {
    shell::step("building the fuzz targets (the first time takes some ten minutes)");
    let mut cargo = toolchain.cargo_fuzz()?;
    cargo
        .args(["build", "--fuzz-dir", "fuzz", "--features", "libfuzzer"])
        .args(["--sanitizer", "none", "--target-dir"])
        .arg(folder);
    shell::run(&mut cargo)
}

/// The output of a target that has ended.
struct Log {
    text: String,
    file: PathBuf,
    is_success: bool,
}

impl Log {
    /// The reason why a target failed, with the input.
    fn failure(&self, target: &str) -> Option<String> {
        if self.is_success {
            return None;
        }
        let written = |line: &str| Some(line.split_once("Test unit written to ")?.1.to_owned());
        let input = self.text.lines().find_map(written);
        let panics = self.text.lines().skip_while(|it| !it.contains("panicked"));
        let panics: Vec<&str> = panics.take(2).collect();
        Some(match input {
            Some(input) => format!(
                "{target}: {}\n{target}: the input is {input}; the output is in {}",
                panics.join(" "),
                self.file.display()
            ),
            None => format!("{target}: see {}", self.file.display()),
        })
    }
}

/// Runs one target. New inputs go to the target folder, and the committed corpus is only read.
fn fuzz(program: &Path, target: &str, folder: &Path, minutes: u32) -> anyhow::Result<Log> {
    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = artifacts.with_extension("log");
    let words = || format!("cannot write {}", file.display());
    let output = File::create(&file).with_context(words)?;
    let status = shell::command(program)
        .arg(&corpus)
        .arg(shell::root().join("fuzz/corpus").join(target))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-timeout={ENDLESS}"))
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        .arg("-print_final_stats=1")
        .stdin(Stdio::null())
        .stdout(output.try_clone().with_context(words)?)
        .stderr(output)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Log {
        text: String::from_utf8_lossy(&text).into_owned(),
        file,
        is_success: status.success(),
    })
}

//! `keyrelay test`: cases through the real sandbox and the real check.

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use keyrelay_sandbox::{Policy, Sandbox};

use crate::case::expect::{Expect, difference, replaced};
use crate::case::{self, Case};
use crate::misuse::OrMisuse;
use crate::out;
use crate::place::{self, Place};
use report::{Report, Result};

/// Test a rule: cases go through the real sandbox and the real check
///
/// A case is a small file: an event, an app's settings, and what should come out. They lie in the folder `cases` of the
/// policy's project. Ends with 0 if all are as expected, and with 1 if not; a policy that cannot be loaded has failed, too.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Test {
    /// The policy: a `.wasm`, its project, or a folder with several
    #[arg(default_value = ".")]
    policy: PathBuf,
    /// The cases, if they are elsewhere: a file or a folder
    cases: Option<PathBuf>,
    /// Write what comes out into the cases, as what is expected
    #[arg(long)]
    update: bool,
    /// Print the results as JSON, one case on a line
    #[arg(long)]
    json: bool,
    /// Write the results into this file, in the format of JUnit
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

const EXAMPLES: &str = r#"A case, `cases/refreshes.toml`:
  [event]
  secret = "sql"
  version = "2"

  [settings]
  SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)"

  [expect]
  decision = "refresh"        # or patch, notice, skip, error

Of a patch, [expect.set] has the settings that are written, and `remove` those that are removed; `refused` is what the
check says if the grant does not cover it. [grant] and [parameters] are those of keyrelay.toml, [app] has name and slot.

Examples:
  keyrelay test
      the cases of the project in this folder, or of all policies below it
  keyrelay test policies/follow.wasm more-cases/
      other cases
  keyrelay test --update
      write what comes out; look at the difference before you commit it
  keyrelay test --junit results.xml
      for CI"#;

impl Test {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let sandbox = Sandbox::new()?;
        let mut report = Report::default();
        let policies = place::policies(&self.policy)?;
        let is_alone = policies.len() == 1;
        for policy in &policies {
            let place = self.cases.as_ref().unwrap_or(&policy.cases);
            match case::files(place) {
                Ok(files) => self.test(&sandbox, policy, &files, &mut report).await?,
                // One policy of many may have none.
                Err(error) if self.cases.is_none() && !is_alone => {
                    out::note(&format!("{}: {error:#}", policy.name))
                }
                error => return error.map(|_| ()).or_misuse(),
            }
        }
        if let Some(file) = &self.junit {
            let text = report.junit()?;
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if report.is_empty() {
            return Err(anyhow!(
                "there was nothing to test in {}",
                self.policy.display()
            ))
            .or_misuse();
        }
        out::note(&report.summary(began.elapsed()));
        ensure!(
            report.failed() == 0,
            "{} of {} cases failed",
            report.failed(),
            report.len()
        );
        Ok(())
    }

    async fn test(
        &self,
        sandbox: &Sandbox,
        place: &Place,
        files: &[PathBuf],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if !self.json {
            out::line(&format!("{} ({})", place.name, place.wasm.display()));
        }
        let mut add = |result: Result| {
            out::line(&if self.json {
                result.json(&place.name)
            } else {
                result.text()
            });
            report.add(&place.name, result);
        };
        let began = Instant::now();
        let policy = match place.load(sandbox).await {
            Ok(policy) => policy,
            // It fails, and does not keep others from being tested.
            Err(error) => {
                add(Result::failed("load", &error, began));
                return Ok(());
            }
        };
        for file in files {
            add(self.case(&policy, file).await?);
        }
        Ok(())
    }

    async fn case(&self, policy: &Policy, file: &Path) -> anyhow::Result<Result> {
        let began = Instant::now();
        let case = match Case::read(file) {
            Ok(case) => case,
            // As with a policy.
            Err(error) => {
                return Ok(Result::failed(
                    &file.file_stem().unwrap_or_default().to_string_lossy(),
                    &error,
                    began,
                ));
            }
        };
        let came = case.question.ask(policy).await;
        let expect = Expect::of(&came.outcome);
        let is_expected = case.expect.as_ref() == Some(&expect);
        let is_updated = !is_expected && self.update;
        if is_updated {
            update(&case, &expect)?;
        }
        let is_good = is_expected || is_updated;
        let difference = if is_good {
            Vec::new()
        } else {
            difference(case.expect.as_ref(), &expect)
        };
        Ok(Result {
            case: case.name,
            difference,
            is_updated,
            log: came.log,
            elapsed: began.elapsed(),
        })
    }
}

fn update(case: &Case, came: &Expect) -> anyhow::Result<()> {
    let file = case.file.display();
    let text = fs::read_to_string(&case.file).with_context(|| format!("cannot read {file}"))?;
    fs::write(&case.file, replaced(&text, came)).with_context(|| format!("cannot write {file}"))
}

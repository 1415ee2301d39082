//! `keyrelay test`: cases evaluated in the real sandbox, with the real check.

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use keyrelay_sandbox::{Policy, Sandbox};

use crate::case::expect::{Expect, difference, replaced};
use crate::case::{self, Case};
use crate::out;
use crate::policy::{self, PolicyFile};
use crate::sandbox;
use crate::usage_error::OrUsageError;
use report::{CaseResult, TestReport};

/// Test a policy: evaluate its cases in the real sandbox, with the real check
///
/// A case is a small file with an event, an app's settings and the expected outcome. Cases are in
/// the folder `cases` of the policy's project. Exits with 0 if all outcomes are as expected, else
/// with 1. A policy that cannot be loaded has failed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Test {
    /// The policy: a `.wasm`, its project, or a folder with several
    #[arg(default_value = ".")]
    policy: PathBuf,
    /// The cases, if they are elsewhere: a file or a folder
    cases: Option<PathBuf>,
    /// Write the actual outcomes into the cases as the expected ones
    #[arg(long)]
    update: bool,
    /// Print the results as JSON, one line per case
    #[arg(long)]
    json: bool,
    /// Write the results to this file, in JUnit format
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

For a patch, [expect.set] has the settings that are written, and `remove` those that are removed. `refused` is the message
of the check if the grant does not cover the patch. [grant] and [parameters] are as in keyrelay.toml; [app] has name and
slot.

Examples:
  keyrelay test
      the cases of the project in this folder, or of all policies below it
  keyrelay test policies/follow.wasm more-cases/
      other cases
  keyrelay test --update
      write the actual outcomes; review the difference before you commit it
  keyrelay test --junit results.xml
      for CI"#;

impl Test {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let sandbox = sandbox::new()?;
        let mut report = TestReport::default();
        let policies = policy::find_all(&self.policy)?;
        let is_alone = policies.len() == 1;
        for policy in &policies {
            let policy_file = self.cases.as_ref().unwrap_or(&policy.cases);
            match case::files(policy_file) {
                Ok(files) => self.test(&sandbox, policy, &files, &mut report).await?,
                // With several policies, one may have no cases.
                Err(error) if self.cases.is_none() && !is_alone => {
                    out::note(&format!("{}: {error:#}", policy.name))
                }
                error => return error.map(|_| ()).or_usage_error(),
            }
        }
        if let Some(file) = &self.junit {
            let text = report.junit()?;
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if report.is_empty() {
            return Err(anyhow!(
                "there is nothing to test in {}",
                self.policy.display()
            ))
            .or_usage_error();
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
        policy_file: &PolicyFile,
        files: &[PathBuf],
        report: &mut TestReport,
    ) -> anyhow::Result<()> {
        if !self.json {
            out::line(&format!(
                "{} ({})",
                policy_file.name,
                policy_file.wasm.display()
            ));
        }
        let mut add = |result: CaseResult| {
            out::line(&if self.json {
                result.json(&policy_file.name)
            } else {
                result.text()
            });
            report.add(&policy_file.name, result);
        };
        let began = Instant::now();
        let policy = match policy_file.load(sandbox).await {
            Ok(policy) => policy,
            // A failed result, so that the other policies are still tested.
            Err(error) => {
                add(CaseResult::failed("load", &error, began));
                return Ok(());
            }
        };
        for file in files {
            add(self.case(&policy, file).await?);
        }
        Ok(())
    }

    async fn case(&self, policy: &Policy, file: &Path) -> anyhow::Result<CaseResult> {
        let began = Instant::now();
        let case = match Case::read(file) {
            Ok(case) => case,
            // The other cases are still tested.
            Err(error) => {
                return Ok(CaseResult::failed(
                    &file.file_stem().unwrap_or_default().to_string_lossy(),
                    &error,
                    began,
                ));
            }
        };
        let evaluation = case.inputs.evaluate(policy).await;
        let expect = Expect::of(&evaluation.outcome);
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
        Ok(CaseResult {
            case: case.name,
            difference,
            is_updated,
            log: evaluation.log,
            elapsed: began.elapsed(),
        })
    }
}

fn update(case: &Case, actual: &Expect) -> anyhow::Result<()> {
    let file = case.file.display();
    let text = fs::read_to_string(&case.file).with_context(|| format!("cannot read {file}"))?;
    fs::write(&case.file, replaced(&text, actual)).with_context(|| format!("cannot write {file}"))
}

//! The test cases of policies, as `keyrelay test` evaluates them.

use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use keyrelay_sandbox::Policy;
use keyrelay_ui::{CheckedCase, PolicyCases};

use crate::case::expect::{Expect, difference};
use crate::case::{self, Case};
use crate::policy;

/// The cases in the projects of policies.
#[derive(Debug)]
pub(super) struct ProjectCases;

impl PolicyCases for ProjectCases {
    fn evaluate<'a>(
        &'a self,
        policy: &'a Policy,
        wasm: &'a Path,
    ) -> BoxFuture<'a, Vec<CheckedCase>> {
        async move {
            let mut checked = Vec::new();
            for file in files(wasm) {
                checked.push(check(policy, &file).await);
            }
            checked
        }
        .boxed()
    }
}

/// The files of a policy's cases. A policy without a project has none.
fn files(wasm: &Path) -> Vec<PathBuf> {
    let found = policy::find_one(wasm).and_then(|found| case::files(&found.cases));
    found.unwrap_or_default()
}

async fn check(policy: &Policy, file: &Path) -> CheckedCase {
    let name = file.file_stem().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let failure = match Case::read(file) {
        Err(error) => Some(format!("{error:#}")),
        Ok(case) => {
            let evaluation = case.inputs.evaluate(policy).await;
            let actual = Expect::of(&evaluation.outcome);
            let is_expected = case.expect.as_ref() == Some(&actual);
            (!is_expected).then(|| difference(case.expect.as_ref(), &actual).join("; "))
        }
    };
    CheckedCase { name, failure }
}

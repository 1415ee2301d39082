//! The test cases of policies. The caller evaluates them: their files are those of `keyrelay test`.

use std::fmt;
use std::path::Path;

use futures::future::BoxFuture;
use keyrelay_sandbox::Policy;

/// The evaluation of the test cases of policies.
pub trait PolicyCases: fmt::Debug + Send + Sync {
    /// Evaluates the cases of a policy, whose file is `wasm`. Empty: there are none.
    fn evaluate<'a>(
        &'a self,
        policy: &'a Policy,
        wasm: &'a Path,
    ) -> BoxFuture<'a, Vec<CheckedCase>>;
}

/// A test case that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCase {
    /// The name of its file, without `.toml`.
    pub name: String,
    /// The difference from what it expects. None: it passes.
    pub failure: Option<String>,
}

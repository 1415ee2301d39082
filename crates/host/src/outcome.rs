//! How something ended, and which errors mean what: everything that can go wrong becomes an [`Outcome`] here.

use keyrelay_azure::AzureError;
use keyrelay_model::{Refusal, Trouble, Verdict};
use keyrelay_sandbox::DecideError;

use crate::shelf::NoPolicy;

/// How something ended, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence: what happened, and what to do if something is wrong.
    pub message: String,
}

impl Outcome {
    /// An outcome with its sentence.
    pub fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self { verdict, message: message.into() }
    }

    /// Trouble that may be gone when the event is delivered again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed(Trouble::Transient), message)
    }

    /// Trouble that stays until somebody acts.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed(Trouble::Permanent), message)
    }
}

impl From<AzureError> for Outcome {
    fn from(error: AzureError) -> Self {
        // A role assignment takes minutes to spread, and Event Grid's patience of a day is longer than that.
        if error.may_be_a_fresh_role() {
            let message = format!("{}; a new role assignment takes some minutes, else grant the role", chain(&error));
            return Self::transient(message);
        }
        Self::new(Verdict::Failed(error.trouble()), chain(&error))
    }
}

/// The same event and app give the same decision, so asking again would be of no use.
impl From<DecideError> for Outcome {
    fn from(error: DecideError) -> Self {
        Self::permanent(chain(&error))
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::new(Verdict::Refused, refusal.to_string())
    }
}

/// The file may be put in its place while Event Grid keeps the event.
impl From<NoPolicy> for Outcome {
    fn from(missing: NoPolicy) -> Self {
        Self::transient(missing.to_string())
    }
}

/// An error and everything behind it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    // A transparent error says what its source says.
    texts.dedup();
    texts.join(": ")
}

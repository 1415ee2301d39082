//! How something ended, and which errors mean what: everything that can go wrong becomes an [`Outcome`] here.

use keyrelay_azure::AzureError;
use keyrelay_model::{Refusal, Retryability, Verdict};
use keyrelay_sandbox::DecideError;
use keyrelay_store::{LeaseError, StoreError};
use serde::{Deserialize, Serialize};

pub use keyrelay_model::error_chain as chain;

use crate::shelf::NoPolicy;

/// How something ended, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Words", into = "Words")]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence: what happened, and what to do if something is wrong.
    pub message: String,
    /// Whether Azure's refusal may be a role assignment that is still spreading. How long that is believed is up to
    /// [`Denials`](crate::denials::Denials).
    pub may_be_a_fresh_role: bool,
}

/// An outcome in a record.
#[derive(Serialize, Deserialize)]
struct Words {
    verdict: String,
    message: String,
    redelivery: bool,
}

impl Outcome {
    /// An outcome with its sentence.
    pub fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            message: message.into(),
            may_be_a_fresh_role: false,
        }
    }

    /// Trouble that may be gone when the event is delivered again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed(Retryability::Transient), message)
    }

    /// Trouble that stays until somebody acts.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed(Retryability::Permanent), message)
    }

    /// Whether nothing is left to be done about it, neither by Event Grid nor by the reconcile timer.
    pub fn is_final(&self) -> bool {
        self.verdict != Verdict::Pending && !self.verdict.asks_for_redelivery()
    }
}

impl From<AzureError> for Outcome {
    fn from(error: AzureError) -> Self {
        let mut outcome = Self::new(Verdict::Failed(error.retryability()), error.explanation());
        outcome.may_be_a_fresh_role = error.may_be_role_propagation();
        outcome
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

/// Without the store nothing is written, whatever is wrong with it: the event is kept until it works again.
impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        Self::transient(format!(
            "nothing is done without the store: {}",
            chain(&error)
        ))
    }
}

impl From<LeaseError> for Outcome {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost { .. } => Self::transient(chain(&error)),
            LeaseError::Store(error) => error.into(),
        }
    }
}

impl From<Outcome> for Words {
    fn from(
        Outcome {
            verdict, message, ..
        }: Outcome,
    ) -> Self {
        Self {
            verdict: verdict.as_str().to_owned(),
            message,
            redelivery: verdict.asks_for_redelivery(),
        }
    }
}

impl TryFrom<Words> for Outcome {
    type Error = String;

    fn try_from(
        Words {
            verdict,
            message,
            redelivery,
        }: Words,
    ) -> Result<Self, String> {
        let verdict = Verdict::from_word(&verdict, redelivery)
            .ok_or(format!("`{verdict}` is not a verdict"))?;
        Ok(Self::new(verdict, message))
    }
}

//! The outcome of a rotation or a run, and the verdict of each error.

use keyrelay_azure::{AzureError, Operation};
use keyrelay_model::{Evidence, PlanRefusal, Retryability, Verdict, error_chain};
use keyrelay_store::{LeaseError, StoreError};
use serde::{Deserialize, Serialize};

/// The outcome of a rotation, or of a run that has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredOutcome", into = "StoredOutcome")]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence for the operator: what happened, and what to do about a failure.
    pub message: String,
    /// The evidence that the verdict rests on. None: the verdict needs none.
    pub evidence: Option<Evidence>,
    /// The operation that Azure denied, if the cause may be a role assignment that has not propagated
    /// yet. The caller decides how long to assume that.
    pub denied: Option<Operation>,
}

/// The form of an outcome in a record.
#[derive(Serialize, Deserialize)]
struct StoredOutcome {
    verdict: String,
    message: String,
    redelivery: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

impl Outcome {
    /// An outcome with a message.
    pub fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            message: message.into(),
            evidence: None,
            denied: None,
        }
    }

    /// An outcome that rests on evidence, which decides the verdict.
    pub fn proven(evidence: Evidence, message: impl Into<String>) -> Self {
        Self {
            evidence: Some(evidence),
            ..Self::new(evidence.verdict(), message)
        }
    }

    /// The verdict with its evidence, in words: `verified (active version)`.
    pub fn headline(&self) -> String {
        match self.evidence {
            Some(evidence) => format!("{} ({evidence})", self.verdict),
            None => self.verdict.to_string(),
        }
    }

    /// A failure that the next delivery of the event may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed(Retryability::Transient), message)
    }

    /// A failure that lasts until an operator acts.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed(Retryability::Permanent), message)
    }

    /// Whether the outcome is final: neither Event Grid nor the reconcile timer tries again.
    pub fn is_final(&self) -> bool {
        self.verdict != Verdict::Pending && !self.verdict.asks_for_redelivery()
    }
}

impl From<AzureError> for Outcome {
    fn from(error: AzureError) -> Self {
        let verdict = Verdict::Failed(error.retryability());
        let mut outcome = Self::new(verdict, error.explanation());
        outcome.denied = error.may_be_role_propagation().then_some(error.operation);
        outcome
    }
}

impl From<PlanRefusal> for Outcome {
    fn from(refusal: PlanRefusal) -> Self {
        Self::new(Verdict::Refused, refusal.to_string())
    }
}

/// Without the store nothing is written. Every error of it is transient, so that the event is
/// delivered again.
impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        Self::transient(format!(
            "nothing is done without the store: {}",
            error_chain(&error)
        ))
    }
}

impl From<LeaseError> for Outcome {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost { .. } => Self::transient(error_chain(&error)),
            LeaseError::Store(error) => error.into(),
        }
    }
}

impl From<Outcome> for StoredOutcome {
    fn from(
        Outcome {
            verdict,
            message,
            evidence,
            ..
        }: Outcome,
    ) -> Self {
        Self {
            verdict: verdict.as_str().to_owned(),
            message,
            redelivery: verdict.asks_for_redelivery(),
            evidence: evidence.map(|evidence| evidence.to_string()),
        }
    }
}

impl TryFrom<StoredOutcome> for Outcome {
    type Error = String;

    fn try_from(
        StoredOutcome {
            verdict,
            message,
            redelivery,
            evidence,
        }: StoredOutcome,
    ) -> Result<Self, String> {
        let verdict = Verdict::from_word(&verdict, redelivery)
            .ok_or(format!("`{verdict}` is not a verdict"))?;
        // A later version of keyrelay may know other kinds of evidence.
        let evidence = evidence.and_then(|words| Evidence::from_words(&words));
        Ok(Self {
            evidence,
            ..Self::new(verdict, message)
        })
    }
}

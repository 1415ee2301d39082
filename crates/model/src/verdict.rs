//! How a rotation ended.

use std::fmt;

use crate::retryability::Retryability;

/// The end of a rotation: one event, handled for one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Azure reports the references as resolved with the event's version, or a newer one.
    Verified,
    /// Applied, and not yet confirmed by Azure when the time of the invocation was over.
    Pending,
    /// Applied, found not to work, and undone.
    RolledBack,
    /// What the policy asked for goes beyond its grant, or a rule forbids it. Nothing was written.
    Refused,
    /// It went wrong.
    Failed(Retryability),
    /// There was nothing to do, or the policy wanted nothing done.
    Unchanged,
    /// Decided and recorded only, as `mode = "monitor"` says.
    Monitored,
}

impl Verdict {
    /// The word in logs and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Pending => "pending",
            Self::RolledBack => "rolled back",
            Self::Refused => "refused",
            Self::Failed(_) => "failed",
            Self::Unchanged => "unchanged",
            Self::Monitored => "monitored",
        }
    }

    /// The verdict for a word and whether it asks for redelivery, as they are in records.
    pub fn from_word(word: &str, asks_for_redelivery: bool) -> Option<Self> {
        let failed = Self::Failed(if asks_for_redelivery {
            Retryability::Transient
        } else {
            Retryability::Permanent
        });
        let all = [
            Self::Verified,
            Self::Pending,
            Self::RolledBack,
            Self::Refused,
            failed,
            Self::Unchanged,
            Self::Monitored,
        ];
        all.into_iter().find(|verdict| verdict.as_str() == word)
    }

    /// How much an operator wants to see it first among the verdicts of one run: more is more.
    pub fn weight(self) -> u8 {
        match self {
            Self::Unchanged => 0,
            Self::Monitored => 1,
            Self::Verified => 2,
            Self::Pending => 3,
            Self::Refused => 4,
            Self::RolledBack => 5,
            Self::Failed(Retryability::Transient) => 6,
            Self::Failed(Retryability::Permanent) => 7,
        }
    }

    /// Whether Event Grid should deliver the event again. This is the only place that decides it.
    pub fn asks_for_redelivery(self) -> bool {
        self == Self::Failed(Retryability::Transient)
    }

    /// Whether an operator has to look at it.
    pub fn is_error(self) -> bool {
        matches!(self, Self::RolledBack | Self::Refused | Self::Failed(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_trouble_is_delivered_again() {
        let all = [
            Verdict::Verified,
            Verdict::Pending,
            Verdict::RolledBack,
            Verdict::Refused,
            Verdict::Failed(Retryability::Permanent),
            Verdict::Failed(Retryability::Transient),
            Verdict::Unchanged,
            Verdict::Monitored,
        ];
        for verdict in all {
            assert_eq!(
                Verdict::from_word(verdict.as_str(), verdict.asks_for_redelivery()),
                Some(verdict)
            );
        }
        let again: Vec<Verdict> = all
            .into_iter()
            .filter(|verdict| verdict.asks_for_redelivery())
            .collect();
        assert_eq!(again, [Verdict::Failed(Retryability::Transient)]);
    }
}

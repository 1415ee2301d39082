//! The outcome of a rotation.

use std::fmt;

use crate::retryability::Retryability;

/// The outcome of a rotation: of one event for one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The app has the event's version or a newer one: Azure names it, the reference is pinned to it
    /// and resolved, or the vault's audit log shows that the app has read it.
    Verified,
    /// The references were refreshed after the version existed, and are resolved. Azure does not say
    /// with which version.
    Refreshed,
    /// The policy reports something that a person must know or do. Nothing was changed.
    Notice,
    /// Applied, but not yet confirmed by Azure at the deadline of the invocation.
    Pending,
    /// Applied, found not to work, and rolled back.
    RolledBack,
    /// The grant does not allow the policy's decision, or a rule forbids it. Nothing was written.
    Refused,
    /// The rotation failed.
    Failed(Retryability),
    /// There was nothing to change, or the policy decided to change nothing.
    Unchanged,
    /// Decided and recorded only, because of `mode = "monitor"`.
    Monitored,
}

impl Verdict {
    /// The words of all verdicts, the one that matters most to an operator first.
    pub const WORDS: [&'static str; 9] = [
        "failed",
        "rolled back",
        "refused",
        "pending",
        "notice",
        "refreshed",
        "verified",
        "monitored",
        "unchanged",
    ];

    /// The word in logs and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Refreshed => "refreshed",
            Self::Notice => "notice",
            Self::Pending => "pending",
            Self::RolledBack => "rolled back",
            Self::Refused => "refused",
            Self::Failed(_) => "failed",
            Self::Unchanged => "unchanged",
            Self::Monitored => "monitored",
        }
    }

    /// Parses a verdict from its word and its request for redelivery, as records store them.
    pub fn from_word(word: &str, asks_for_redelivery: bool) -> Option<Self> {
        let failed = Self::Failed(if asks_for_redelivery {
            Retryability::Transient
        } else {
            Retryability::Permanent
        });
        let all = [
            Self::Verified,
            Self::Refreshed,
            Self::Notice,
            Self::Pending,
            Self::RolledBack,
            Self::Refused,
            failed,
            Self::Unchanged,
            Self::Monitored,
        ];
        all.into_iter().find(|verdict| verdict.as_str() == word)
    }

    /// The order in which an operator sees the verdicts of one run. Higher verdicts come first.
    pub fn weight(self) -> u8 {
        match self {
            Self::Unchanged => 0,
            Self::Monitored => 1,
            Self::Verified => 2,
            Self::Refreshed => 3,
            Self::Notice => 4,
            Self::Pending => 5,
            Self::Refused => 6,
            Self::RolledBack => 7,
            Self::Failed(Retryability::Transient) => 8,
            Self::Failed(Retryability::Permanent) => 9,
        }
    }

    /// Whether Event Grid should deliver the event again. No other function decides this.
    pub fn asks_for_redelivery(self) -> bool {
        self == Self::Failed(Retryability::Transient)
    }

    /// Whether the verdict needs an operator's attention.
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

    /// All verdicts, the one that matters least to an operator first.
    const ALL: [Verdict; 10] = [
        Verdict::Unchanged,
        Verdict::Monitored,
        Verdict::Verified,
        Verdict::Refreshed,
        Verdict::Notice,
        Verdict::Pending,
        Verdict::Refused,
        Verdict::RolledBack,
        Verdict::Failed(Retryability::Transient),
        Verdict::Failed(Retryability::Permanent),
    ];

    #[test]
    fn verdicts_are_ordered_for_operators_and_the_errors_come_first() {
        assert!(ALL.is_sorted_by(|one, next| one.weight() < next.weight()));
        let errors: Vec<Verdict> = ALL.into_iter().filter(|it| it.is_error()).collect();
        assert_eq!(errors, ALL[6..]);
        let mut words: Vec<&str> = ALL.iter().rev().map(|it| it.as_str()).collect();
        words.dedup();
        assert_eq!(words, Verdict::WORDS);
    }

    #[test]
    fn only_transient_failures_are_delivered_again() {
        for verdict in ALL {
            let word = verdict.to_string();
            assert_eq!(
                Verdict::from_word(&word, verdict.asks_for_redelivery()),
                Some(verdict)
            );
        }
        let again: Vec<Verdict> = ALL
            .into_iter()
            .filter(|verdict| verdict.asks_for_redelivery())
            .collect();
        assert_eq!(again, [Verdict::Failed(Retryability::Transient)]);
    }
}

//! The evidence of a verdict.

use std::fmt;

use crate::verdict::Verdict;

/// The evidence that an app has the version of an event. The weakest comes first in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// One refresh began well after the version existed, and the reference was resolved
    /// afterwards.
    RefreshedOnce,
    /// Two refreshes began after the version existed, with a pause between them, and the reference
    /// was resolved after both.
    RefreshedTwice,
    /// The vault's audit log has a `SecretGet` of the version by the app's identity.
    AuditLog,
    /// The reference is pinned to the version, and resolved.
    Pinned,
    /// Azure names the version, or a newer one, as the active version of the reference.
    ActiveVersion,
}

impl Evidence {
    /// All kinds of evidence, the weakest first.
    pub const ALL: [Self; 5] = [
        Self::RefreshedOnce,
        Self::RefreshedTwice,
        Self::AuditLog,
        Self::Pinned,
        Self::ActiveVersion,
    ];

    /// The words in logs and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RefreshedOnce => "refreshed once",
            Self::RefreshedTwice => "refreshed twice",
            Self::AuditLog => "audit log",
            Self::Pinned => "pinned",
            Self::ActiveVersion => "active version",
        }
    }

    /// Parses the words of [`as_str`](Self::as_str).
    pub fn from_words(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == words)
    }

    /// The verdict that rests on this evidence.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::RefreshedOnce | Self::RefreshedTwice => Verdict::Refreshed,
            Self::AuditLog | Self::Pinned | Self::ActiveVersion => Verdict::Verified,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_read_as_it_is_written() {
        for evidence in Evidence::ALL {
            assert_eq!(Evidence::from_words(evidence.as_str()), Some(evidence));
            assert_eq!(evidence.to_string(), evidence.as_str());
        }
        assert!(Evidence::ALL.is_sorted());
    }

    #[test]
    fn a_refresh_alone_is_never_called_verified() {
        let refreshed: Vec<Evidence> = Evidence::ALL
            .into_iter()
            .filter(|it| it.verdict() == Verdict::Refreshed)
            .collect();
        assert_eq!(
            refreshed,
            [Evidence::RefreshedOnce, Evidence::RefreshedTwice]
        );
    }
}

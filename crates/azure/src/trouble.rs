//! The one table of what can go wrong between keyrelay and Azure: what is done about it, and how it ends.
//!
//! `docs/troubles.md` shows it to operators; a test keeps the two the same.

use crate::error::Failure;

/// How a trouble ends that does not go away within the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It may be gone in a moment: the request is sent again within the call. Then as [`Transient`](Self::Transient).
    Momentary,
    /// It may be gone when the event is delivered again.
    Transient,
    /// It may be a role assignment that is still spreading, which takes minutes; else it is permanent.
    FreshRole,
    /// It stays until somebody changes something.
    Permanent,
}

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NotSent,
    NoAnswer,
    TimedOut,
    OutOfTime,
    TooManyRequests,
    Busy,
    OtherServerError,
    TokenUnavailable,
    TokenRefused,
    NoToken,
    FreshRole,
    Forbidden,
    NotFound,
    OperationUnderWay,
    Locked,
    Unreadable,
    TooLarge,
    EndlessList,
    ForeignVault,
    OtherAnswer,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What happens.
    pub trouble: &'static str,
    /// What is done about it within the call.
    pub within: &'static str,
    /// How it ends then.
    pub end: End,
    /// What is left to a person.
    pub person: &'static str,
}

const AGAIN: &str = "sent again, up to 8 times, after 0.1 s doubling to 4 s; a write of settings: everything is read again first";
const ONCE: &str = "nothing";
const WAIT: &str = "nothing, unless it lasts";

impl Kind {
    /// Every kind there is, in the order of the table.
    const ALL: [Self; 20] = [
        Self::NotSent,
        Self::NoAnswer,
        Self::TimedOut,
        Self::OutOfTime,
        Self::TooManyRequests,
        Self::Busy,
        Self::OtherServerError,
        Self::TokenUnavailable,
        Self::TokenRefused,
        Self::NoToken,
        Self::FreshRole,
        Self::Forbidden,
        Self::NotFound,
        Self::OperationUnderWay,
        Self::Locked,
        Self::Unreadable,
        Self::TooLarge,
        Self::EndlessList,
        Self::ForeignVault,
        Self::OtherAnswer,
    ];

    /// The table.
    const fn row(self) -> Row {
        match self {
            Self::NotSent => row(
                "no connection: the name is not found, the connection refused, or TLS fails",
                AGAIN,
                End::Momentary,
                WAIT,
            ),
            Self::NoAnswer => row(
                "the connection breaks before the answer is whole",
                AGAIN,
                End::Momentary,
                WAIT,
            ),
            Self::TimedOut => row("no answer within 10 s", AGAIN, End::Momentary, WAIT),
            Self::OutOfTime => row(
                "the time of the invocation is over before the request could be sent",
                ONCE,
                End::Transient,
                "nothing: the next delivery or the reconcile timer goes on",
            ),
            Self::TooManyRequests => row(
                "429, with or without `Retry-After`",
                "all requests of that kind in the subscription wait: as long as it says, 5 minutes at most, else 0.5 s doubling to 8 s; then sent again, up to 8 times",
                End::Momentary,
                "see who else uses up the limit of the identity",
            ),
            Self::Busy => row("408, 500, 502, 503, 504", AGAIN, End::Momentary, WAIT),
            Self::OtherServerError => row("any other 5xx", ONCE, End::Transient, WAIT),
            Self::TokenUnavailable => row(
                "the identity endpoint does not answer, or fails",
                "asked again, for 10 s",
                End::Transient,
                WAIT,
            ),
            Self::TokenRefused => row(
                "401: the token is refused",
                "sent again once, with a new token",
                End::Permanent,
                "compare `cloud` and the tenant of the identity with those of the subscription",
            ),
            Self::NoToken => row(
                "the identity endpoint says that there is no such identity",
                ONCE,
                End::Permanent,
                "give the function app an identity, or correct `client_id`",
            ),
            Self::FreshRole => row(
                "403 `AuthorizationFailed`, `LinkedAuthorizationFailed` or `ForbiddenByRbac`, seen for less than 15 minutes",
                "nothing; the role assignment may still be spreading, so the event is delivered again until 15 minutes are over",
                End::FreshRole,
                "give the identity the action that the message names",
            ),
            Self::Forbidden => row(
                "any other 403",
                ONCE,
                End::Permanent,
                "let keyrelay through the firewall, or remove the policy of Azure that forbids it",
            ),
            Self::NotFound => row(
                "404 or 410",
                "left out where an app was listed a moment ago; else nothing",
                End::Permanent,
                "correct the name in `keyrelay.toml`",
            ),
            Self::OperationUnderWay => row(
                "409: another operation on the app is under way",
                "a write of settings: everything is read again after 1 s and planned anew",
                End::Transient,
                WAIT,
            ),
            Self::Locked => row(
                "409 `ScopeLocked`",
                ONCE,
                End::Permanent,
                "remove the lock, or take the app out of the scope",
            ),
            Self::Unreadable => row(
                "a success whose body is not what was promised",
                "a write of settings: everything is read again",
                End::Transient,
                "report it if it lasts",
            ),
            Self::TooLarge => row(
                "an answer beyond 16 MB",
                ONCE,
                End::Permanent,
                "make the scope smaller",
            ),
            Self::EndlessList => row(
                "a list whose next page is elsewhere, was read before, or comes after 200 others",
                ONCE,
                End::Permanent,
                "report it; the token is not sent to another host",
            ),
            Self::ForeignVault => row(
                "an event or reference names a vault of another cloud",
                "nothing is sent there",
                End::Permanent,
                "correct `cloud`",
            ),
            Self::OtherAnswer => row(
                "any other status, redirects included",
                ONCE,
                End::Permanent,
                "read the message: Azure says what it did not like",
            ),
        }
    }
}

const fn row(trouble: &'static str, within: &'static str, end: End, person: &'static str) -> Row {
    Row {
        trouble,
        within,
        end,
        person,
    }
}

/// Every trouble there is.
pub fn troubles() -> impl Iterator<Item = Row> {
    Kind::ALL.into_iter().map(Kind::row)
}

/// The row for a failure.
pub(crate) fn row_of(failure: &Failure) -> Row {
    kind_of(failure).row()
}

fn kind_of(failure: &Failure) -> Kind {
    match failure {
        Failure::NotSent(_) => Kind::NotSent,
        Failure::NoAnswer(_) => Kind::NoAnswer,
        Failure::TimedOut { .. } => Kind::TimedOut,
        Failure::OutOfTime => Kind::OutOfTime,
        Failure::Unreadable(_) => Kind::Unreadable,
        Failure::TooLarge { .. } => Kind::TooLarge,
        Failure::NextLink(_) => Kind::EndlessList,
        Failure::ForeignVault { .. } => Kind::ForeignVault,
        // The credential knows what its endpoint said.
        Failure::Token(error)
            if error.retryability() == keyrelay_model::Retryability::Transient =>
        {
            Kind::TokenUnavailable
        }
        Failure::Token(_) => Kind::NoToken,
        Failure::Answer(answer) => match answer.status {
            429 => Kind::TooManyRequests,
            408 | 500 | 502 | 503 | 504 => Kind::Busy,
            500.. => Kind::OtherServerError,
            401 => Kind::TokenRefused,
            403 if answer.may_be_a_fresh_role() => Kind::FreshRole,
            403 => Kind::Forbidden,
            404 | 410 => Kind::NotFound,
            409 if answer.has_code("ScopeLocked") => Kind::Locked,
            409 => Kind::OperationUnderWay,
            _ => Kind::OtherAnswer,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as it has to be in `docs/troubles.md`.
    fn table() -> String {
        let mut text =
            "| what happens | within the call | then | what you do |\n|---|---|---|---|\n"
                .to_owned();
        for Row {
            trouble,
            within,
            end,
            person,
        } in troubles()
        {
            let end = match end {
                End::Momentary | End::Transient => "transient",
                End::FreshRole => "transient for 15 minutes, then permanent",
                End::Permanent => "permanent",
            };
            text += &format!("| {trouble} | {within} | {end} | {person} |\n");
        }
        text
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubles.md");
        let text = std::fs::read_to_string(&file).unwrap();
        let table = table();
        assert!(
            text.contains(&table),
            "put this into {}:\n{table}",
            file.display()
        );
    }

    #[test]
    fn every_kind_has_its_row() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(place, kind as usize, "the order of the kinds");
        }
        assert_eq!(
            Kind::ALL.len(),
            Kind::OtherAnswer as usize + 1,
            "a kind is missing in `ALL`"
        );
    }
}

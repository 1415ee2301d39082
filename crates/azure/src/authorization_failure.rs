//! Azure's messages about failed authorization, reduced to the facts in them.
//!
//! Resource Manager writes `The client 'NAME' with object id 'ID' does not have authorization to
//! perform action 'ACTION' over scope 'SCOPE' or the scope is invalid. If access was recently
//! granted, please refresh your credentials.` Key Vault writes `Caller is not authorized to perform
//! action on resource. [...] Caller: appid=...;oid=ID;iss=... Action: 'ACTION' Resource: 'SCOPE'
//! [...]`.

use std::fmt;

/// An action that Azure denied to an identity.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthorizationFailure<'a> {
    /// The object id of the identity, or its name if Azure gives no id.
    principal: Option<&'a str>,
    action: &'a str,
    scope: &'a str,
}

impl<'a> AuthorizationFailure<'a> {
    /// Reads a message of Resource Manager or Key Vault; `None` for any other text.
    pub(crate) fn parse(message: &'a str) -> Option<Self> {
        let markers = [
            "does not have authorization to perform action",
            "does not have permission to perform action",
            "Action:",
        ];
        let (caller, rest) = markers
            .into_iter()
            .find_map(|marker| message.split_once(marker))?;
        let (action, rest) = quoted(rest)?;
        let (scope, _) = quoted(rest)?;
        Some(Self {
            principal: principal(caller),
            action,
            scope,
        })
    }
}

impl fmt::Display for AuthorizationFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.principal {
            Some(principal) => write!(f, "the identity `{principal}`")?,
            None => f.write_str("the identity")?,
        }
        let Self { action, scope, .. } = self;
        write!(f, " may not perform `{action}` on `{scope}`")
    }
}

fn principal(caller: &str) -> Option<&str> {
    let named = |marker| Some(quoted(caller.split_once(marker)?.1)?.0);
    let in_claims = || caller.split_once("oid=")?.1.split([';', ' ']).next();
    named("object id")
        .or_else(|| named("The client"))
        .or_else(in_claims)
        .filter(|principal| !principal.is_empty())
}

/// The first text in single quotes, and the text after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (inner, rest) = text.split_once('\'')?.1.split_once('\'')?;
    (!inner.is_empty()).then_some((inner, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "/subscriptions/s/resourceGroups/g";

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let failure = AuthorizationFailure::parse(message).map(|failure| failure.to_string());
        assert_eq!(failure.as_deref(), Some(expected));
    }

    #[test]
    fn resource_managers_message_is_read() {
        let rest = format!(
            "does not have authorization to perform action 'Microsoft.Web/sites/config/list/action' over scope '{SCOPE}' \
             or the scope is invalid. If access was recently granted, please refresh your credentials."
        );
        let denied =
            format!("may not perform `Microsoft.Web/sites/config/list/action` on `{SCOPE}`");
        check(
            &format!("The client 'app' with object id 'oid-1' {rest}"),
            &format!("the identity `oid-1` {denied}"),
        );
        check(
            &format!("The client 'oid-2' {rest}"),
            &format!("the identity `oid-2` {denied}"),
        );
    }

    #[test]
    fn the_linked_scope_counts_not_the_allowed_one() {
        check(
            &format!(
                "The client 'app' with object id 'oid-1' has permission to perform action 'A/write' on scope '/other'; \
                 however, it does not have permission to perform action(s) 'B/join/action' on the linked scope(s) '{SCOPE}' \
                 or the linked scope(s) are invalid."
            ),
            &format!("the identity `oid-1` may not perform `B/join/action` on `{SCOPE}`"),
        );
    }

    #[test]
    fn key_vaults_message_is_read() {
        check(
            &format!(
                "Caller is not authorized to perform action on resource. If role assignments, deny assignments or role \
                 definitions were changed recently, please observe propagation time. Caller: appid=a;oid=oid-1;iss=i \
                 Action: 'Microsoft.KeyVault/vaults/secrets/readMetadata/action' Resource: '{SCOPE}' Assignment: (not found)"
            ),
            &format!(
                "the identity `oid-1` may not perform `Microsoft.KeyVault/vaults/secrets/readMetadata/action` on `{SCOPE}`"
            ),
        );
    }

    #[test]
    fn other_messages_are_not_read() {
        for message in [
            "",
            "Caller is not authorized.",
            "The client 'a' does not have authorization to perform action 'b",
            "Action: '' Resource: 's'",
        ] {
            assert_eq!(AuthorizationFailure::parse(message), None, "{message}");
        }
    }
}

//! The query service of Log Analytics, with the audit log of the vaults.
//!
//! It does not interpret the query language. A query returns the entries of the secrets whose ids
//! are literals in it.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::audit::{AuditEntry, AuditLog, AuditOptions};
use crate::azure_cloud::Audience;
use crate::call::ServiceCall;
use crate::identity::{BadToken, Identities};
use crate::response::{self, Response};
use crate::roles;
use crate::world::{Role, World};

/// The action that a query needs.
const QUERY: &str = "Microsoft.OperationalInsights/workspaces/query/read";

/// The query service of all workspaces, of which at most one exists.
pub(crate) struct LogAnalyticsService {
    subscription: String,
    options: Option<AuditOptions>,
    audit: Arc<AuditLog>,
    identities: Arc<Identities>,
    roles: Vec<Role>,
}

/// The body of a query.
#[derive(Deserialize)]
struct QueryBody {
    query: String,
    /// A period up to now, or an interval.
    #[serde(default)]
    timespan: Option<String>,
}

impl LogAnalyticsService {
    pub(crate) fn new(
        world: &World,
        options: Option<AuditOptions>,
        audit: Arc<AuditLog>,
        identities: Arc<Identities>,
    ) -> Self {
        Self {
            subscription: world.subscription.clone(),
            options,
            audit,
            identities,
            roles: world.roles.clone(),
        }
    }

    /// Authenticates the caller. The error is the response to an unauthenticated caller.
    pub(crate) fn caller(
        &self,
        call: &ServiceCall,
        now: Timestamp,
    ) -> Result<String, Box<Response>> {
        self.identities
            .owner(call, Audience::LogAnalytics, now)
            .map_err(|reason| Box::new(unauthenticated(reason)))
    }

    /// Executes a request.
    pub(crate) fn respond(&self, call: &ServiceCall, caller: &str, now: Timestamp) -> Response {
        self.execute(call, caller, now)
            .unwrap_or_else(|refusal| *refusal)
    }

    fn execute(
        &self,
        call: &ServiceCall,
        caller: &str,
        now: Timestamp,
    ) -> Result<Response, Box<Response>> {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (&Method::POST, ["v1", "workspaces", workspace, "query"]) =
            (&call.method, path.as_slice())
        else {
            let message = "The requested path does not exist";
            return Err(refusal(StatusCode::NOT_FOUND, "PathNotFoundError", message));
        };
        let options = self
            .options
            .as_ref()
            .filter(|it| it.workspace.eq_ignore_ascii_case(workspace))
            .ok_or_else(|| {
                let message = format!("The workspace {workspace} could not be found");
                refusal(StatusCode::NOT_FOUND, "WorkspaceNotFoundError", &message)
            })?;
        if !self.allows(caller, workspace) {
            let message = "The provided credentials have insufficient access to perform the requested operation";
            return Err(refusal(
                StatusCode::FORBIDDEN,
                "InsufficientAccessError",
                message,
            ));
        }
        let body: QueryBody = call.json().map_err(|position| {
            bad_argument(&format!("The request body is not valid: {position}"))
        })?;
        let since = body
            .timespan
            .as_deref()
            .map(|timespan| {
                interval(timespan, now).ok_or_else(|| bad_argument("The timespan is not valid"))
            })
            .transpose()?;
        let visible = now.checked_sub(options.takes).unwrap_or(Timestamp::MIN);
        let mut entries = self.audit.about(&ids_in(&body.query), visible);
        if let Some((begin, end)) = since {
            entries.retain(|entry| (begin..=end).contains(&entry.time));
        }
        Ok(response::ok(&table(&entries)))
    }

    /// Whether the caller may query the workspace. A caller without any role is allowed everything.
    /// A role counts if its scope is everywhere, the subscription, or the workspace in any resource
    /// group.
    fn allows(&self, caller: &str, workspace: &str) -> bool {
        let subscription = format!("/subscriptions/{}", self.subscription);
        let end = format!("/providers/microsoft.operationalinsights/workspaces/{workspace}");
        let end = end.to_lowercase();
        let covers = |role: &Role| {
            roles::covers(role, &subscription) || role.scope.to_lowercase().ends_with(&end)
        };
        let mut roles = roles::of_identity(&self.roles, caller).peekable();
        roles.peek().is_none() || roles.any(|role| covers(role) && roles::allows(role, QUERY))
    }
}

fn is_no_quote(character: char) -> bool {
    !matches!(character, '"' | '\'')
}

/// The string literals of a query that begin with `https://`.
fn ids_in(query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = query.trim_start_matches(is_no_quote);
    while let Some(quote) = rest.chars().next() {
        let Some((literal, after)) = rest.split_at(1).1.split_once(quote) else {
            break;
        };
        if literal.starts_with("https://") {
            ids.push(literal.to_owned());
        }
        rest = after.trim_start_matches(is_no_quote);
    }
    ids
}

/// The begin and end of a timespan: `PT1H`, or `{begin}/{end}`.
fn interval(timespan: &str, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    match timespan.split_once('/') {
        Some((begin, end)) => Some((begin.parse().ok()?, end.parse().ok()?)),
        None => {
            let span: Span = timespan.parse().ok()?;
            let period = span.to_duration(SpanRelativeTo::days_are_24_hours());
            Some((now.checked_sub(period.ok()?).ok()?, now))
        }
    }
}

/// The response to a query.
fn table(entries: &[AuditEntry]) -> Value {
    let row =
        |entry: &AuditEntry| json!([format!("{:.7}", entry.time), entry.secret, entry.principal]);
    let rows: Vec<Value> = entries.iter().map(row).collect();
    json!({
        "tables": [{
            "name": "PrimaryResult",
            "columns": [
                { "name": "TimeGenerated", "type": "datetime" },
                { "name": "SecretId", "type": "string" },
                { "name": "ObjectId", "type": "string" },
            ],
            "rows": rows,
        }],
    })
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Box<Response> {
    Box::new(response::error(status, code, message))
}

fn bad_argument(message: &str) -> Box<Response> {
    refusal(StatusCode::BAD_REQUEST, "BadArgumentError", message)
}

fn unauthenticated(reason: BadToken) -> Response {
    let (code, message) = match reason {
        BadToken::Missing => (
            "AuthorizationRequiredError",
            "Valid authentication was not provided",
        ),
        BadToken::Unknown | BadToken::Expired => (
            "InvalidTokenError",
            "The provided authentication is not valid for this resource",
        ),
        BadToken::WrongAudience => (
            "InvalidTokenError",
            "The provided token is for another resource",
        ),
    };
    response::error(StatusCode::UNAUTHORIZED, code, message)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn finds_the_ids_in_a_query() {
        let query = "AZKVAuditLogs | where OperationName == \"SecretGet\" \
                     | where Id in~ ('https://kv.vault.azure.net/secrets/a/1', \"https://kv.vault.azure.net/secrets/b/2\")";
        assert_eq!(
            ids_in(query),
            [
                "https://kv.vault.azure.net/secrets/a/1",
                "https://kv.vault.azure.net/secrets/b/2"
            ]
        );
        assert!(ids_in("T | where a == 'unfinished and \"https://x\"").is_empty());
    }

    #[test]
    fn reads_both_forms_of_a_timespan() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let begin: Timestamp = "2026-03-01T11:00:00Z".parse().unwrap();
        assert_eq!(interval("PT1H", now), Some((begin, now)));
        let day = begin - SignedDuration::from_hours(23);
        assert_eq!(interval("P1D", now), Some((day, now)));
        let both = "2026-03-01T11:00:00Z/2026-03-01T12:00:00Z";
        assert_eq!(interval(both, now), Some((begin, now)));
        assert_eq!(interval("yesterday", now), None);
    }
}

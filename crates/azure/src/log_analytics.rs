//! Log Analytics: the reads of secrets in the audit log of vaults.
//!
//! A vault with a diagnostic setting for audit events sends a row for each request to a workspace,
//! where it can be queried some minutes later. The row names the caller and the version of the
//! secret, and contains no value.

use std::fmt;
use std::sync::Arc;

use azure_core::time::{OffsetDateTime, to_rfc3339};
use keyrelay_model::{SecretName, SecretVersion, VaultHost};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::call::Call;
use crate::cloud::{Cloud, CloudError};
use crate::credential::Credential;
use crate::error::AzureError;
use crate::error_response::ErrorResponse;
use crate::failure::Failure;
use crate::http::Http;
use crate::paging::read_json;
use crate::request_log::{Operation, RequestIds};
use crate::transport::{Action, Request, Transport};

/// The workspaces of a cloud.
#[derive(Debug, Clone)]
pub struct LogAnalytics {
    endpoint: Url,
    transport: Transport,
}

/// A version of a secret. Displayed as its id: `https://{host}/secrets/{name}/{version}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretVersionId {
    /// The host of the vault.
    pub vault_host: VaultHost,
    /// The secret's name.
    pub secret: SecretName,
    /// The version.
    pub version: SecretVersion,
}

/// The latest successful read of a version of a secret by one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRead {
    /// The id of the version, in lower case. See [`SecretVersionId`].
    pub id: String,
    /// The object id of the identity, in lower case.
    pub object_id: String,
    /// The time of the read, as Log Analytics writes it: `2026-11-25T01:00:00.1234567Z`.
    pub at: String,
}

impl LogAnalytics {
    /// Creates a client for the workspaces of a cloud that authenticates with `credential`.
    pub fn new(cloud: &Cloud, credential: Arc<Credential>, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        let audience = cloud.log_analytics_audience.clone();
        Ok(Self {
            endpoint: cloud.log_analytics.clone(),
            transport: Transport::new(http, credential, audience),
        })
    }

    /// Finds the reads of some versions since a time in seconds since 1970: for each version and
    /// identity, the latest one. Needs `Microsoft.OperationalInsights/workspaces/query/read`, and
    /// the permission to read the tables.
    ///
    /// The workspace is given by its GUID, not by its resource id. One query covers all versions. A
    /// read is missing for some minutes after it happened, and for good if the audit log of its
    /// vault goes elsewhere or is off.
    pub async fn secret_reads(
        &self,
        workspace: &str,
        secrets: &[SecretVersionId],
        since: u64,
        call: &Call,
    ) -> Result<Vec<SecretRead>, AzureError> {
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["v1", "workspaces", workspace, "query"]);
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let query = json!({ "query": query(secrets), "timespan": timespan(since, now) });
        let request = Request {
            operation: Operation::QueryAuditLog,
            subject: workspace.to_owned(),
            identity: 0,
            throttle: workspace.to_owned(),
            url,
            action: Action::Query(&query),
            is_admitted: false,
        };
        let body = self.transport.send(&request, call).await?;
        let (reads, skipped) = read_reads(&body).map_err(|failure| request.failed(failure))?;
        if skipped > 0 {
            tracing::warn!(
                azure.operation = %request.operation,
                azure.subject = request.subject,
                rows = skipped,
                "rows of the audit log cannot be read and are skipped"
            );
        }
        Ok(reads)
    }
}

impl fmt::Display for SecretVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vault_host,
            secret,
            version,
        } = self;
        write!(f, "https://{vault_host}/secrets/{secret}/{version}")
    }
}

impl SecretRead {
    /// Whether it is a read of this version.
    pub fn is_of(&self, secret: &SecretVersionId) -> bool {
        self.id.eq_ignore_ascii_case(&secret.to_string())
    }
}

/// The query for the reads of some versions, with the columns `TimeGenerated`, `SecretId` and
/// `ObjectId`.
///
/// The diagnostic setting of a vault decides which of the two tables it writes to. A table or a
/// column exists only after the first row that needs it. Hence `isfuzzy`, which needs at least one
/// table that exists, the empty table for that, and `column_ifexists`.
///
/// The ids are the only literals that begin with `https://`. Their names consist of letters,
/// digits, dashes and dots, which cannot end a literal.
fn query(secrets: &[SecretVersionId]) -> String {
    let ids: Vec<String> = secrets
        .iter()
        .map(|secret| format!("\"{}\"", secret.to_string().to_ascii_lowercase()))
        .collect();
    let ids = ids.join(", ");
    format!(
        r#"union isfuzzy=true
  (datatable (TimeGenerated: datetime, SecretId: string, ObjectId: string) []),
  (AzureDiagnostics
  | where ResourceProvider =~ "MICROSOFT.KEYVAULT" and OperationName == "SecretGet"
  | where column_ifexists("httpStatusCode_d", 0.0) == 200
  | project TimeGenerated,
      SecretId = tolower(tostring(column_ifexists("id_s", ""))),
      ObjectId = tolower(coalesce(
        tostring(column_ifexists("identity_claim_oid_g", "")),
        tostring(column_ifexists("identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g", ""))))),
  (AZKVAuditLogs
  | where OperationName == "SecretGet" and HttpStatusCode == 200
  | project TimeGenerated,
      SecretId = tolower(Id),
      ObjectId = tolower(coalesce(
        tostring(Identity.claim.oid),
        tostring(Identity.claim["http://schemas.microsoft.com/identity/claims/objectidentifier"]))))
| where SecretId in ({ids}) and isnotempty(ObjectId)
| summarize TimeGenerated = max(TimeGenerated) by SecretId, ObjectId
| project TimeGenerated, SecretId, ObjectId"#
    )
}

/// The time span of the query in ISO 8601, from `since` to a day after the present, so that no row
/// is lost to a clock that is slow.
fn timespan(since: u64, now: i64) -> String {
    const DAY: i64 = 24 * 60 * 60;
    /// `9999-12-30T00:00:00Z`: the format has years of four digits.
    const LATEST: i64 = 253_402_128_000;
    let time = |seconds| {
        let time = OffsetDateTime::from_unix_timestamp(seconds);
        to_rfc3339(&time.unwrap_or(OffsetDateTime::UNIX_EPOCH))
    };
    let since = i64::try_from(since).map_or(LATEST, |since| since.min(LATEST));
    format!("{}/{}", time(since), time(since.max(now) + DAY))
}

/// The response to a query. With an error, the tables may be there and incomplete.
#[derive(Deserialize)]
struct QueryResponse {
    #[serde(default)]
    tables: Vec<Table>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    columns: Vec<Column>,
    rows: Vec<Value>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

/// Reads the rows, and counts those that cannot be read.
fn read_reads(body: &[u8]) -> Result<(Vec<SecretRead>, usize), Failure> {
    let QueryResponse { tables, error } = read_json(body)?;
    if error.is_some() {
        let response = ErrorResponse {
            status: 200,
            code: None,
            inner_code: None,
            message: None,
            ids: RequestIds::default(),
            retry_after: None,
        };
        return Err(Failure::Response(Box::new(response.with_body(body, None))));
    }
    let missing = |what: &str| Failure::Unreadable(format!("it has no {what}"));
    let table = tables
        .into_iter()
        .find(|table| table.name == "PrimaryResult")
        .ok_or_else(|| missing("table `PrimaryResult`"))?;
    let column = |name: &str| {
        let position = table.columns.iter().position(|column| column.name == name);
        position.ok_or_else(|| missing(&format!("column `{name}`")))
    };
    let (at, id, object_id) = (
        column("TimeGenerated")?,
        column("SecretId")?,
        column("ObjectId")?,
    );
    let read = |row: &Value| {
        let text = |column: usize| row.get(column)?.as_str().filter(|text| !text.is_empty());
        Some(SecretRead {
            id: text(id)?.to_ascii_lowercase(),
            object_id: text(object_id)?.to_ascii_lowercase(),
            at: text(at)?.to_owned(),
        })
    };
    let reads: Vec<SecretRead> = table.rows.iter().filter_map(read).collect();
    let skipped = table.rows.len() - reads.len();
    Ok((reads, skipped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(host: &str, secret: &str, version: &str) -> SecretVersionId {
        SecretVersionId {
            vault_host: host.parse().unwrap(),
            secret: secret.parse().unwrap(),
            version: version.parse().unwrap(),
        }
    }

    #[test]
    fn no_name_can_end_a_literal() {
        let harmless = |text: &str| {
            text.bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.'))
        };
        for code in 0..=0x2fff_u32 {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            let text = format!("a{c}b");
            let host = format!("a{c}b.vault.azure.net").parse::<VaultHost>();
            assert!(host.is_err() || harmless(host.unwrap().as_str()), "{c:?}");
            assert!(
                text.parse::<SecretName>().is_err() || harmless(&text),
                "{c:?}"
            );
            assert!(
                text.parse::<SecretVersion>().is_err() || harmless(&text),
                "{c:?}"
            );
        }
    }

    #[test]
    fn one_query_names_all_versions_in_lower_case() {
        let query = query(&[
            version("Contoso-KV.vault.azure.net", "Sql-Password", "ABC1"),
            version("other.vault.azure.cn", "key", "2"),
        ]);
        let ids = "(\"https://contoso-kv.vault.azure.net/secrets/sql-password/abc1\", \
                   \"https://other.vault.azure.cn/secrets/key/2\")";
        assert!(
            query.contains(&format!("| where SecretId in {ids}")),
            "{query}"
        );
        assert_eq!(query.matches("\"https://").count(), 2);
        assert_eq!(query.matches('"').count() % 2, 0);
        assert_eq!(query.matches('(').count(), query.matches(')').count());
        assert!(query.ends_with("| project TimeGenerated, SecretId, ObjectId"));
    }

    #[test]
    fn the_time_span_begins_at_the_time_given_and_ends_after_now() {
        let now = 1_795_569_505;
        assert_eq!(
            timespan(1_795_568_400, now),
            "2026-11-25T01:00:00Z/2026-11-26T01:18:25Z"
        );
        assert_eq!(
            timespan(1_795_569_600, now),
            "2026-11-25T01:20:00Z/2026-11-26T01:20:00Z"
        );
        assert_eq!(
            timespan(u64::MAX, now),
            "9999-12-30T00:00:00Z/9999-12-31T00:00:00Z"
        );
    }
}

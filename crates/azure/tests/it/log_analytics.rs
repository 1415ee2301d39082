use keyrelay_azure::{AzureError, Failure, Operation, SecretRead, SecretVersionId};
use keyrelay_model::{Retryability, error_chain};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, again, call, respond};

const WORKSPACE: &str = "00000000-0000-0000-0000-000000000001";
const ID: &str = "https://contoso-kv.vault.azure.net/secrets/sql/aaa1";

fn version(version: &str) -> SecretVersionId {
    SecretVersionId {
        vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
        secret: "Sql".parse().unwrap(),
        version: version.parse().unwrap(),
    }
}

fn table(rows: Value) -> Value {
    let columns = json!([
        { "name": "ObjectId", "type": "string" },
        { "name": "TimeGenerated", "type": "datetime" },
        { "name": "SecretId", "type": "string" },
    ]);
    json!({ "name": "PrimaryResult", "columns": columns, "rows": rows })
}

async fn reads(reply: Reply) -> (Result<Vec<SecretRead>, AzureError>, Fake) {
    let fake = Fake::start([reply]).await;
    let secrets = [version("AAA1"), version("aaa2")];
    let reads = fake
        .log_analytics()
        .secret_reads(WORKSPACE, &secrets, 1_700_000_000, &call())
        .await;
    (reads, fake)
}

async fn error(reply: Reply) -> AzureError {
    reads(reply).await.0.unwrap_err()
}

#[tokio::test]
async fn one_query_finds_the_reads_of_all_versions() {
    let rows = json!([
        ["OID-1", "2026-11-25T01:00:00.1234567Z", ID.to_uppercase()],
        ["oid-2", "2026-11-25T02:00:00Z", ID],
    ]);
    let other = json!({ "name": "QueryStatus", "columns": [], "rows": [] });
    let body = json!({ "tables": [other, table(rows)], "error": null });
    let (reads, fake) = reads(respond(200, body)).await;
    let read = |object_id: &str, at: &str| SecretRead {
        id: ID.to_owned(),
        object_id: object_id.to_owned(),
        at: at.to_owned(),
    };
    let reads = reads.unwrap();
    let expected = [
        read("oid-1", "2026-11-25T01:00:00.1234567Z"),
        read("oid-2", "2026-11-25T02:00:00Z"),
    ];
    assert_eq!(reads, expected);
    assert!(reads[0].is_of(&version("AAA1")) && !reads[0].is_of(&version("aaa2")));

    let [seen] = &fake.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.line, format!("POST /v1/workspaces/{WORKSPACE}/query"));
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["authorization"], "Bearer token-1");
    let sent: Value = serde_json::from_str(&seen.body).unwrap();
    let query = sent["query"].as_str().unwrap();
    assert!(query.contains(&format!("\"{ID}\"")), "{query}");
    assert!(query.contains("/secrets/sql/aaa2\""), "{query}");
    let timespan = sent["timespan"].as_str().unwrap();
    assert!(timespan.starts_with("2023-11-14T22:13:20Z/"), "{timespan}");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_skipped() {
    let rows = json!([
        null,
        7,
        [],
        ["oid-1"],
        ["oid-1", null, ID],
        ["", "2026-11-25T01:00:00Z", ID],
        [1, "2026-11-25T01:00:00Z", ID],
        ["oid-1", "2026-11-25T01:00:00Z", ID],
    ]);
    let (reads, _) = reads(respond(200, json!({ "tables": [table(rows)] }))).await;
    assert_eq!(reads.unwrap().len(), 1);
}

#[tokio::test]
async fn no_version_needs_no_query() {
    let fake = Fake::start([]).await;
    let reads = fake
        .log_analytics()
        .secret_reads(WORKSPACE, &[], 0, &call())
        .await;
    assert_eq!(reads.unwrap(), []);
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_workspace_stays_one_segment_of_the_path() {
    let fake = Fake::start([respond(404, json!({}))]).await;
    let reads = fake
        .log_analytics()
        .secret_reads("a/../b?c", &[version("aaa1")], 0, &call())
        .await;
    assert!(reads.is_err());
    assert_eq!(fake.lines(), ["POST /v1/workspaces/a%2F..%2Fb%3Fc/query"]);
}

#[tokio::test]
async fn an_error_beside_the_results_is_an_error() {
    let body = json!({
        "tables": [table(json!([["oid-1", "2026-11-25T01:00:00Z", ID]]))],
        "error": { "code": "PartialError", "message": "There were some errors.", "details": [] },
    });
    let error = error(respond(200, body)).await;
    assert_eq!(
        error_chain(&error),
        format!(
            "could not query the audit log of {WORKSPACE}: \
             Azure responded with 200 PartialError: There were some errors."
        )
    );
    assert_eq!(error.operation, Operation::QueryAuditLog);
    assert_eq!(error.retryability(), Retryability::Transient);
}

#[tokio::test]
async fn a_response_without_the_table_or_a_column_is_unreadable() {
    let mut without_column = table(json!([]));
    without_column["columns"].as_array_mut().unwrap().pop();
    for body in [
        json!({}),
        json!({ "tables": [] }),
        json!({ "tables": [without_column] }),
        json!([]),
    ] {
        let error = error(respond(200, body)).await;
        assert!(matches!(error.failure, Failure::Unreadable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_denied_query_names_the_role_and_a_missing_workspace_its_id() {
    let body = json!({ "error": { "code": "InsufficientAccessError",
        "message": "The provided credentials have insufficient access to perform the requested operation" } });
    let denied = error(respond(403, body)).await;
    assert!(denied.is_forbidden() && !denied.may_be_role_propagation());
    assert!(
        denied
            .advice()
            .contains("`Log Analytics Data Reader` or `Log Analytics Reader`")
    );
    let body = json!({ "error": { "code": "AuthorizationFailed", "message": "no" } });
    let denied = error(respond(403, body)).await;
    assert!(denied.may_be_role_propagation());
    assert!(
        denied
            .explanation()
            .contains("Assign the identity the role `Log Analytics")
    );
    let missing = error(respond(404, json!({}))).await;
    assert!(
        missing
            .explanation()
            .contains("Correct the id of the workspace")
    );
}

#[tokio::test]
async fn a_busy_workspace_is_queried_again() {
    let fake = Fake::start([
        again(429),
        again(503),
        respond(200, json!({ "tables": [table(json!([]))] })),
    ])
    .await;
    let reads = fake
        .log_analytics()
        .secret_reads(WORKSPACE, &[version("aaa1")], 0, &call())
        .await;
    assert_eq!(reads.unwrap(), []);
    assert_eq!(fake.seen().len(), 3);
}

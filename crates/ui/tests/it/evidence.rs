//! The exports.

use serde_json::Value;

use crate::browser::Browser;
use crate::site::{CORRELATION, NEW, VAULT, failed, minutes, run, usual, verified};

#[tokio::test]
async fn the_evidence_of_a_secret_is_a_table() {
    let browser = Browser::open(usual().await.serve().await).await;
    let shown = browser
        .show(&format!(
            "/evidence?vault={VAULT}&secret=sql&from=1d&format=csv"
        ))
        .await;
    assert_eq!(shown.status, 200);
    let disposition = shown.headers["content-disposition"].to_str().unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\"keyrelay-evidence-sql-2"),
        "{disposition}"
    );
    let lines: Vec<&str> = shown.text.split("\r\n").collect();
    assert!(lines[0].starts_with("\"record\",\"vault\",\"secret\",\"version\",\"app\""));
    let current = lines
        .iter()
        .filter(|line| line.starts_with("\"current\""))
        .count();
    let rotations: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("\"rotation\""))
        .collect();
    assert_eq!((current, rotations.len(), lines.len()), (2, 1, 5));
    for part in [
        NEW,
        "\"verified\",\"active version\"",
        CORRELATION,
        "\"follow\"",
        "\"event-1\"",
    ] {
        assert!(rotations[0].contains(part), "{part}: {}", rotations[0]);
    }
}

#[tokio::test]
async fn the_evidence_of_all_secrets_is_json_within_a_time() {
    let folders = usual().await;
    folders
        .keep(&run(minutes(60 * 24 * 9), "sql", &[("orders", failed())]))
        .await;
    folders
        .keep(&run(minutes(60 * 24 * 3), "sql", &[("orders", verified())]))
        .await;
    let browser = Browser::open(folders.serve().await).await;
    let rotations = async |query: &str| {
        let text = browser
            .page(&format!("/evidence?format=json&{query}"))
            .await;
        let all: Value = serde_json::from_str(&text).unwrap();
        assert!(all["about"]["to"].is_string());
        let rows = all["rows"].as_array().unwrap().clone();
        rows.into_iter()
            .filter(|row| row["record"] == "rotation")
            .collect::<Vec<_>>()
    };
    assert_eq!(rotations("").await.len(), 6);
    assert_eq!(rotations("from=1d").await.len(), 4);
    let older = rotations("to=1d&secret=SQL").await;
    assert_eq!(older.len(), 2);
    assert_eq!(older[0]["evidence"], "active version");
    assert_eq!(older[1]["evidence"], Value::Null);
    assert_eq!(older[1]["verdict"], "failed");
}

#[tokio::test]
async fn a_request_that_names_nothing_is_refused() {
    let browser = Browser::open(usual().await.serve().await).await;
    for query in ["from=yesterday", "secret=%3Cscript%3E", "vault=x"] {
        assert_eq!(
            browser.show(&format!("/evidence?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

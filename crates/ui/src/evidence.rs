//! The export of evidence: when a secret was rotated, who had which version when, and how that is
//! proven. It names apps, settings and versions, and has no value of either.

mod rows;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::RawQuery;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use keyrelay_model::{SecretName, VaultHost};
use keyrelay_records::csv;
use keyrelay_records::filters::since;
use keyrelay_store::StoreError;
use serde_json::{Value, json};

use crate::failure::PageFailure;
use crate::query::Pairs;
use crate::visit::Visit;
use rows::{COLUMNS, EvidenceRow, EvidenceRows};

/// The evidence that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct EvidenceRequest {
    /// None: all vaults.
    pub(crate) vault: Option<VaultHost>,
    /// None: all secrets.
    pub(crate) secret: Option<SecretName>,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

pub(crate) async fn export(
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageFailure> {
    let pairs = Pairs::parse(&query.unwrap_or_default());
    let now = visit.sources.now();
    let request = request(&pairs, now)?;
    let rows = EvidenceRows::new(&visit.sources, request.clone()).await?;
    // A failure after the first bytes ends the response early, which the browser reports.
    let (content_type, extension, body) = match pairs.one("format") {
        "json" => (
            "application/json",
            "json",
            as_json(rows, request.clone(), now),
        ),
        _ => ("text/csv; charset=utf-8", "csv", as_csv(rows)),
    };
    let name = request
        .secret
        .as_ref()
        .map_or("all", |secret| secret.as_str());
    let day = now.strftime("%Y-%m-%d");
    let disposition =
        format!("attachment; filename=\"keyrelay-evidence-{name}-{day}.{extension}\"");
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn request(pairs: &Pairs, now: Timestamp) -> Result<EvidenceRequest, PageFailure> {
    let invalid = |error: keyrelay_model::NameError| PageFailure::invalid(error.to_string());
    let time = |name: &str, default: Timestamp| match pairs.one(name) {
        "" => Ok(default),
        text => since(text, now).map_err(PageFailure::invalid),
    };
    let (vault, secret) = (pairs.one("vault"), pairs.one("secret"));
    let given = |text: &str| !text.is_empty();
    Ok(EvidenceRequest {
        vault: given(vault)
            .then(|| vault.parse())
            .transpose()
            .map_err(invalid)?,
        secret: given(secret)
            .then(|| secret.parse())
            .transpose()
            .map_err(invalid)?,
        from: time("from", Timestamp::UNIX_EPOCH)?,
        to: time("to", now)?,
    })
}

type Chunks = BoxStream<'static, Result<Bytes, StoreError>>;

fn as_csv(rows: EvidenceRows) -> Chunks {
    let head = csv::line(COLUMNS.map(str::to_owned));
    let lines = rows.stream().map_ok(|rows| {
        let lines: Vec<String> = rows.into_iter().map(|row| csv::line(row.cells())).collect();
        lines.concat()
    });
    let all = stream::once(async move { Ok(head) }).chain(lines);
    all.map_ok(Bytes::from).boxed()
}

fn as_json(rows: EvidenceRows, request: EvidenceRequest, now: Timestamp) -> Chunks {
    let about = json!({
        "vault": request.vault.map(|vault| vault.to_string()),
        "secret": request.secret.map(|secret| secret.to_string()),
        "from": request.from, "to": request.to, "made": now,
    });
    let head = format!("{{\"about\":{about},\"rows\":[");
    let mut is_first = true;
    let objects = rows.stream().map_ok(move |rows| {
        let mut text = String::new();
        for row in rows {
            text.push_str(if is_first { "\n" } else { ",\n" });
            text.push_str(&to_object(row).to_string());
            is_first = false;
        }
        text
    });
    let all = stream::once(async move { Ok(head) })
        .chain(objects)
        .chain(stream::once(async { Ok("\n]}\n".to_owned()) }));
    all.map_ok(Bytes::from).boxed()
}

fn to_object(row: EvidenceRow) -> Value {
    let cells = COLUMNS.into_iter().zip(row.cells());
    let value = |text: String| match text.is_empty() {
        true => Value::Null,
        false => Value::String(text),
    };
    cells
        .map(|(name, text)| (name.to_owned(), value(text)))
        .collect()
}

//! Just enough of blob storage and of App Service's identity endpoint to read one run.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keyrelay_records::record::Run;
use serde_json::json;

use crate::harness::serve;

const TOKEN: &str = "planted-value-token";
const IDENTITY_HEADER: &str = "planted-value-identity-header";

/// One run in the container `keyrelay`, for requests with the token of the identity.
#[derive(Clone)]
pub(crate) struct Blobs {
    run: Run,
    url: String,
}

impl Blobs {
    pub(crate) async fn start(run: &Run) -> Self {
        let blobs = Self {
            run: run.clone(),
            url: String::new(),
        };
        let router = Router::new()
            .route("/token", get(token))
            .fallback(blob)
            .with_state(blobs.clone());
        Self {
            url: serve(router).await,
            ..blobs
        }
    }

    pub(crate) fn container(&self) -> String {
        format!("{}/account/keyrelay", self.url)
    }

    /// The variables that App Service sets for an app with an identity.
    pub(crate) fn identity(&self) -> [(&'static str, String); 2] {
        [
            ("IDENTITY_ENDPOINT", format!("{}/token", self.url)),
            ("IDENTITY_HEADER", IDENTITY_HEADER.to_owned()),
        ]
    }
}

async fn token(uri: Uri, headers: HeaderMap) -> Response {
    let for_storage = uri
        .query()
        .is_some_and(|query| query.contains("storage.azure.com"));
    if !for_storage
        || headers
            .get("x-identity-header")
            .is_none_or(|it| it != IDENTITY_HEADER)
    {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let expires = jiff::Timestamp::now().as_second() + 3_600;
    let token = json!({
        "access_token": TOKEN,
        "expires_on": expires.to_string(),
        "resource": "https://storage.azure.com",
        "token_type": "Bearer",
    });
    axum::Json(token).into_response()
}

async fn blob(State(blobs): State<Blobs>, uri: Uri, headers: HeaderMap) -> Response {
    let allowed = headers
        .get(header::AUTHORIZATION)
        .is_some_and(|it| it == &format!("Bearer {TOKEN}"));
    if !allowed || !uri.path().starts_with("/account/keyrelay") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let id = &blobs.run.id;
    let key = format!("runs/{}/{id}.json", id.day());
    let query = uri.query().unwrap_or_default();
    if !query.contains("comp=list") {
        assert_eq!(uri.path(), format!("/account/keyrelay/{key}"));
        let headers = [
            ("last-modified", "Sun, 01 Nov 2026 10:00:00 GMT"),
            ("etag", "\"1\""),
        ];
        return (headers, serde_json::to_vec(&blobs.run).unwrap()).into_response();
    }
    let found = match query.contains("delimiter=") {
        true => format!("<BlobPrefix><Name>runs/{}/</Name></BlobPrefix>", id.day()),
        false => format!(
            "<Blob><Name>{key}</Name><Properties><Last-Modified>Sun, 01 Nov 2026 10:00:00 GMT</Last-Modified>\
             <Content-Length>1</Content-Length><Content-Type>application/json</Content-Type><Etag>1</Etag></Properties></Blob>"
        ),
    };
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Prefix>runs/</Prefix>\
         <Blobs>{found}</Blobs><NextMarker /></EnumerationResults>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}

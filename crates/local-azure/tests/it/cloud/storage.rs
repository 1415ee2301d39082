//! Blob storage: the stand-in's tokens and faults in front of Azurite.
//!
//! These tests need Azurite. `cargo xtask test` installs it and reports a failure to do so.

use std::path::PathBuf;
use std::sync::Arc;

use keyrelay_local_azure::{Azurite, AzuriteOptions, CloudOptions, Effect, Fault, Service};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use super::Stand;

struct Storage {
    stand: Stand,
    azurite: Arc<Azurite>,
    _folder: tempfile::TempDir,
}

impl Storage {
    async fn start() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the one variable of these tests")]
        let script = std::env::var_os("KEYRELAY_AZURITE").map(PathBuf::from)?;
        let folder = tempfile::tempdir().unwrap();
        let options = AzuriteOptions {
            script,
            folder: folder.path().to_owned(),
        };
        let azurite = Arc::new(Azurite::start(options).await.unwrap());
        let options = CloudOptions {
            storage: Some(Arc::clone(&azurite)),
            ..CloudOptions::default()
        };
        Some(Self {
            stand: Stand::start_with(options).await,
            azurite,
            _folder: folder,
        })
    }

    fn blob(&self, method: Method) -> RequestBuilder {
        let url = format!("{}/keyrelay/a", self.stand.cloud.storage_url().unwrap());
        let request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .request(method, url);
        request
            .header("x-ms-version", "2021-12-02")
            .header("x-ms-blob-type", "BlockBlob")
    }

    async fn write(&self) -> Response {
        let token = self.stand.cloud.storage_token();
        self.blob(Method::PUT)
            .bearer_auth(token)
            .body("content")
            .send()
            .await
            .unwrap()
    }

    async fn read(&self) -> Response {
        let token = self.stand.cloud.storage_token();
        self.blob(Method::GET)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn only_a_token_for_storage_gives_access() {
    let Some(storage) = Storage::start().await else {
        return;
    };
    assert_eq!(storage.write().await.status(), StatusCode::CREATED);
    assert_eq!(storage.read().await.text().await.unwrap(), "content");
    let without = storage.blob(Method::GET).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    let another = storage
        .blob(Method::GET)
        .bearer_auth("another")
        .send()
        .await
        .unwrap();
    assert_eq!(another.status(), StatusCode::UNAUTHORIZED);
    let revoked = storage.stand.cloud.storage_token();
    storage.stand.cloud.revoke_tokens();
    let revoked = storage
        .blob(Method::GET)
        .bearer_auth(revoked)
        .send()
        .await
        .unwrap();
    assert_eq!(revoked.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn azurite_evaluates_conditions() {
    let Some(storage) = Storage::start().await else {
        return;
    };
    let version = storage.write().await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let token = storage.stand.cloud.storage_token();
    let write = |etag: String| {
        storage
            .blob(Method::PUT)
            .bearer_auth(&token)
            .header("if-match", etag)
            .body("next")
    };
    assert_eq!(
        write(version.clone()).send().await.unwrap().status(),
        StatusCode::CREATED
    );
    assert_eq!(
        write(version).send().await.unwrap().status(),
        StatusCode::PRECONDITION_FAILED
    );
}

#[tokio::test]
async fn faults_apply_and_end() {
    let Some(storage) = Storage::start().await else {
        return;
    };
    let busy = Effect::status(503, "ServerBusy");
    storage
        .stand
        .cloud
        .switch_on(Fault::new(Service::Storage, busy).method("PUT").times(1));
    let refused = storage.write().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["x-ms-error-code"], "ServerBusy");
    assert_eq!(storage.write().await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn data_survives_a_restart() {
    let Some(storage) = Storage::start().await else {
        return;
    };
    storage.write().await;
    storage.azurite.stop().await;
    assert_eq!(
        storage.read().await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    storage.azurite.start_again().await.unwrap();
    assert_eq!(storage.read().await.text().await.unwrap(), "content");
}

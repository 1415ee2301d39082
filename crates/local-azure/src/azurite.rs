//! Azurite, Microsoft's storage emulator, in a process of its own.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use url::Url;

use crate::identity::unlisted_storage_token;

/// Azurite's default account.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";

/// The container of keyrelay's store.
const CONTAINER: &str = "keyrelay";

/// The timeout of a start. Azurite is a large program.
const START: Duration = Duration::from_secs(60);

/// The timeout of a stop.
const STOP: Duration = Duration::from_secs(10);

/// The version of the storage protocol in the request that creates the container.
const PROTOCOL: &str = "2021-12-02";

/// The files of Azurite.
#[derive(Debug, Clone)]
pub struct AzuriteOptions {
    /// The script of the blob service, `node_modules/azurite/dist/src/blob/main.js`, run with
    /// `node`.
    pub script: PathBuf,
    /// The folder for data and certificate.
    pub folder: PathBuf,
}

/// A running Azurite. Dropping it kills the process.
pub struct Azurite {
    options: AzuriteOptions,
    port: u16,
    certificate: String,
    child: Mutex<Option<Child>>,
}

/// The reason that Azurite is not running.
#[derive(Debug, thiserror::Error)]
pub enum AzuriteError {
    /// The certificate cannot be created.
    #[error("the certificate for Azurite cannot be created")]
    Certificate(#[from] rcgen::Error),
    /// The files cannot be written, no port is free, or `node` is missing.
    #[error("cannot start Azurite ({} in {})", script.display(), folder.display())]
    Start {
        /// The script.
        script: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The port was not opened within the timeout.
    #[error("Azurite did not listen within {} s", START.as_secs())]
    Silent,
    /// The client cannot be created, or there is no response.
    #[error("cannot send a request to Azurite")]
    Client(#[from] reqwest::Error),
    /// The container was not created.
    #[error("Azurite did not create the container: it responded with {0}")]
    Container(StatusCode),
}

impl Azurite {
    /// Starts the blob service with an empty container `keyrelay`.
    pub async fn start(options: AzuriteOptions) -> Result<Self, AzuriteError> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let failed = |source| AzuriteError::Start {
            script: options.script.clone(),
            folder: options.folder.clone(),
            source,
        };
        let port = free_port().await.map_err(failed)?;
        tokio::fs::create_dir_all(options.folder.join("data"))
            .await
            .map_err(failed)?;
        tokio::fs::write(options.folder.join("certificate.pem"), cert.pem())
            .await
            .map_err(failed)?;
        tokio::fs::write(options.folder.join("key.pem"), signing_key.serialize_pem())
            .await
            .map_err(failed)?;
        let azurite = Self {
            options,
            port,
            certificate: cert.pem(),
            child: Mutex::default(),
        };
        azurite.start_again().await?;
        azurite.create_container().await?;
        Ok(azurite)
    }

    /// Stops the process and keeps its data. It gets SIGTERM first, because it writes its index of
    /// blobs only every few seconds.
    pub async fn stop(&self) {
        let child = self
            .child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut child) = child else { return };
        if let Some(pid) = child.id() {
            // Fails only if the process has already exited.
            let _ = Command::new("kill").arg(pid.to_string()).status().await;
        }
        if tokio::time::timeout(STOP, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }

    /// Restarts the process on the same port with the same data.
    pub async fn start_again(&self) -> Result<(), AzuriteError> {
        let AzuriteOptions { script, folder } = &self.options;
        let file = |name: &str| folder.join(name);
        let child = Command::new("node")
            .arg(script)
            .args([
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                &self.port.to_string(),
                "--oauth",
                "basic",
            ])
            .args([
                "--skipApiVersionCheck",
                "--disableTelemetry",
                "--silent",
                "--loose",
            ])
            .args(arguments("--location", &file("data")))
            .args(arguments("--cert", &file("certificate.pem")))
            .args(arguments("--key", &file("key.pem")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| AzuriteError::Start {
                script: script.clone(),
                folder: folder.clone(),
                source,
            })?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let listening = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START, listening)
            .await
            .map_err(|_| AzuriteError::Silent)
    }

    /// The URL of the blob service: `https://127.0.0.1:<port>/`.
    pub(crate) fn url(&self) -> Url {
        let mut url = Url::parse("https://127.0.0.1/").expect("a constant URL is valid");
        url.set_port(Some(self.port))
            .expect("a URL with a host can have a port");
        url
    }

    /// A client that trusts the certificate.
    pub(crate) fn client(&self) -> Result<reqwest::Client, AzuriteError> {
        let certificate = reqwest::Certificate::from_pem(self.certificate.as_bytes())?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Ok(client.tls_certs_only([certificate]).build()?)
    }

    async fn create_container(&self) -> Result<(), AzuriteError> {
        let mut url = self.url();
        url.set_path(&format!("{ACCOUNT}/{CONTAINER}"));
        url.set_query(Some("restype=container"));
        let request = self
            .client()?
            .put(url)
            .bearer_auth(unlisted_storage_token());
        let response = request
            .header("x-ms-version", PROTOCOL)
            .header("content-length", "0")
            .send()
            .await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::CONFLICT => Ok(()),
            status => Err(AzuriteError::Container(status)),
        }
    }
}

fn arguments<'a>(name: &'a str, value: &'a Path) -> [&'a std::ffi::OsStr; 2] {
    [name.as_ref(), value.as_os_str()]
}

/// Finds a free port. Azurite does not report a port that it chooses itself.
async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?
        .port())
}

impl fmt::Debug for Azurite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azurite")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

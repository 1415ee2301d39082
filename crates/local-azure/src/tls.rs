//! Https for client libraries that reject plain http. The certificate is self-signed and created at
//! every start.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::azure_cloud::AzureCloud;

/// The first byte of a TLS handshake (RFC 8446, section 5.1). No http method begins with it.
const HANDSHAKE: u8 = 22;

/// The TLS configuration of a listener.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<str>,
}

/// The certificate of the listeners cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("the certificate for https cannot be created")]
pub struct TlsError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Tls {
    /// Creates a certificate for this machine and the hosts of the vaults. Many clients do not accept
    /// `*.localhost`, so each vault also has a name of its own.
    pub(crate) fn new<'a>(
        cloud: AzureCloud,
        vaults: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TlsError> {
        let azure = format!("*.{}", cloud.vault_suffix());
        let mut names = ["127.0.0.1", "localhost", "*.localhost", &azure]
            .map(str::to_owned)
            .to_vec();
        names.extend(
            vaults
                .into_iter()
                .map(|vault| format!("{}.localhost", vault.to_lowercase())),
        );
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).map_err(|error| TlsError(error.into()))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let configuration =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder
                        .with_no_client_auth()
                        .with_single_cert(vec![cert.der().clone()], key)
                })
                .map_err(|error| TlsError(error.into()))?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(configuration)),
            certificate: cert.pem().into(),
        })
    }

    /// The certificate in PEM, for clients to trust.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Waits for the first byte. Returns whether it begins a TLS handshake.
    pub(crate) async fn is_handshake(stream: &TcpStream) -> io::Result<bool> {
        let mut first = [0];
        Ok(stream.peek(&mut first).await? == 1 && first == [HANDSHAKE])
    }

    /// Performs the handshake.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

impl fmt::Debug for Tls {
    /// Omits the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

//! The root certificates of the HTTP client.
//!
//! On Linux, the default of reqwest reads the system's bundle and then each certificate again from a
//! directory of single files. The bundle alone has all of them, and is read in a third of the time.

use reqwest::{Certificate, Client, ClientBuilder};

/// Builds a client that trusts the certificates in the system's bundle, which is read once.
///
/// With `SSL_CERT_FILE` or `SSL_CERT_DIR`, without a bundle, and with one that cannot be used as a
/// whole, the client trusts what reqwest finds by itself.
pub(crate) fn build(builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
    or_default(bundle(), builder)
}

fn or_default(
    bundle: Option<Vec<Certificate>>,
    builder: impl Fn() -> ClientBuilder,
) -> reqwest::Result<Client> {
    let of_bundle = bundle.map(|certificates| builder().tls_certs_only(certificates).build());
    match of_bundle {
        Some(Ok(client)) => Ok(client),
        Some(Err(_)) | None => builder().build(),
    }
}

/// The certificates in the system's bundle. `None` if reqwest has to find them.
#[cfg(target_os = "linux")]
fn bundle() -> Option<Vec<Certificate>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "rustls-native-certs reads these variables, and its choice is kept"
    )]
    let is_configured = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some());
    if is_configured {
        return None;
    }
    let file = openssl_probe::probe().cert_file?;
    parse(&std::fs::read(file).ok()?)
}

/// Other systems keep the certificates elsewhere.
#[cfg(not(target_os = "linux"))]
fn bundle() -> Option<Vec<Certificate>> {
    None
}

/// Parses a bundle. `None` if it has no certificates, or one that cannot be parsed.
#[cfg(target_os = "linux")]
fn parse(bundle: &[u8]) -> Option<Vec<Certificate>> {
    let certificates = Certificate::from_pem_bundle(bundle).ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_certificates_is_not_used() {
        let begin = "-----BEGIN CERTIFICATE-----\n";
        for text in ["", "no certificate", begin, &format!("{begin}???\n")] {
            assert!(parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_client_is_built_with_what_reqwest_finds_if_the_builder_refuses_the_bundle() {
        // A certificate in form only: reqwest parses it, and rustls refuses it as a root.
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let certificates = parse(text.as_bytes()).unwrap();
        assert!(
            Client::builder()
                .tls_certs_only(certificates.clone())
                .build()
                .is_err()
        );
        assert!(or_default(Some(certificates), Client::builder).is_ok());
    }
}

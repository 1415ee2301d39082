//! The signatures of a lock: Ed25519, by keys that the operator keeps.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyrelay_model::PublicKey;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

/// A private key that signs locks.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// An error from reading or making a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text has no private key in the expected form.
    #[error(
        "there is no private key in it: expected PEM that begins with `-----BEGIN PRIVATE KEY-----`, \
         as `keyrelay key new` writes it"
    )]
    NotPem,
    /// The key is of another algorithm, or damaged.
    #[error("it is not an Ed25519 key: make one with `keyrelay key new`")]
    NotEd25519,
    /// The system has no random numbers.
    #[error("the system gave no random numbers")]
    Random,
}

/// The signature of a lock by one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) key: PublicKey,
    pub(super) bytes: Vec<u8>,
}

impl SigningKey {
    /// Makes a key. Returns it with its PEM file (PKCS #8).
    pub fn generate() -> Result<(Self, String), KeyError> {
        let key = Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?;
        let der = key.to_pkcs8v1().map_err(|_| KeyError::Random)?;
        let base64 = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
        Ok((Self::new(key)?, pem))
    }

    /// Reads the PEM file of a key, also of one that `openssl genpkey -algorithm ed25519` wrote.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotPem)?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der());
        Self::new(pair.map_err(|_| KeyError::NotEd25519)?)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let bytes = pair.public_key().as_ref().try_into();
        let public = bytes
            .map(PublicKey::new)
            .map_err(|_| KeyError::NotEd25519)?;
        Ok(Self { pair, public })
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        Signature {
            key: self.public,
            bytes: self.pair.sign(message).as_ref().to_vec(),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SigningKey");
        shown.field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signature {
    pub(super) fn is_of(&self, message: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.key.as_bytes());
        key.verify(message, &self.bytes).is_ok()
    }

    pub(super) fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    pub(super) fn from_base64(key: PublicKey, text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        Some(Self { key, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_file() {
        let (key, pem) = SigningKey::generate().unwrap();
        let read = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(read.public_key(), key.public_key());
        assert!(key.sign(b"text").is_of(b"text"));
        assert!(!key.sign(b"text").is_of(b"other"));
    }

    #[test]
    fn a_key_of_openssl_is_read() {
        // The example of RFC 8410, section 10.3, whose public key is in section 10.1.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(pem).unwrap();
        assert_eq!(
            key.public_key().to_string(),
            "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
        );
    }

    #[test]
    fn another_text_is_no_private_key() {
        let error = |text| SigningKey::from_pem(text).unwrap_err();
        assert_eq!(error("secret"), KeyError::NotPem);
        let damaged = "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n";
        assert_eq!(error(damaged), KeyError::NotEd25519);
    }
}

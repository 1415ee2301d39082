//! The public keys that may sign the lock of the policies.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes before the key in its DER form (`SubjectPublicKeyInfo`, RFC 8410, section 4): a sequence
/// of the algorithm Ed25519 and a bit string of 256 bits.
const PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// An Ed25519 public key. Prints as the line between the first and the last one of its PEM file, as
/// `openssl pkey -pubout` writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// An error from parsing a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a public key is an Ed25519 key as `keyrelay key show` prints it: 60 characters that begin with \
     `MCowBQYDK2VwAyEA`"
)]
pub struct PublicKeyError;

impl PublicKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let der = STANDARD.decode(text.trim()).map_err(|_| PublicKeyError)?;
        let key = der.strip_prefix(&PREFIX).ok_or(PublicKeyError)?;
        key.try_into().map(Self).map_err(|_| PublicKeyError)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode([&PREFIX[..], &self.0].concat()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8410, section 10.1.
    const EXAMPLE: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn reads_what_openssl_prints_and_prints_it_again() {
        let key: PublicKey = EXAMPLE.parse().unwrap();
        assert_eq!(key.as_bytes()[..4], [0x19, 0xbf, 0x44, 0x09]);
        assert_eq!(key.to_string(), EXAMPLE);
    }

    #[test]
    fn another_text_is_no_key() {
        let (short, long) = (&EXAMPLE[..56], format!("{EXAMPLE}AAAA"));
        let x25519 = EXAMPLE.replace("K2VwAyEA", "K2VuAyEA");
        for text in [
            "",
            "MCow",
            short,
            &long,
            &x25519,
            "-----BEGIN PUBLIC KEY-----",
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError), "{text}");
        }
    }
}

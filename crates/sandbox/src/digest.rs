//! The SHA-256 digest that identifies a policy's file.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The size of the parts in which a file is read, in bytes.
const BUFFER: usize = 64 << 10;

/// The SHA-256 of a policy's file. Prints as 64 hexadecimal digits, as `sha256sum` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of everything that a reader returns, read in parts of 64 KiB.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = match reader.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            match buffer.get(..length) {
                None | Some([]) => return Ok(Self(hash.finalize().into())),
                Some(part) => hash.update(part),
            }
        }
    }

    pub(crate) fn into_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// An error from parsing a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(DigestError);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| DigestError)?;
            // `from_str_radix` takes a sign.
            if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(DigestError);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        let digest = Digest::of(b"policy");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "12", &"+1".repeat(32), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError), "{text}");
        }
    }

    #[test]
    fn a_reader_has_the_digest_of_its_bytes() {
        let bytes = vec![7; 2 * BUFFER + 1];
        for length in [0, 1, BUFFER, BUFFER + 1, bytes.len()] {
            let read = Digest::of_reader(&bytes[..length]).unwrap();
            assert_eq!(read, Digest::of(&bytes[..length]), "{length}");
        }
    }

    #[test]
    fn prints_what_sha256sum_prints() {
        // The well-known digest of nothing.
        assert_eq!(
            Digest::of(b"").to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}

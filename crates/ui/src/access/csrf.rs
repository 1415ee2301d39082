//! The tokens of forms: they prove that a form was made by these pages, for this session.

use std::fmt;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The key of the tokens of forms. All instances that serve one site share it.
#[derive(Clone)]
pub struct CsrfKey(Key);

impl CsrfKey {
    /// Makes a key for one process. None: the system has no random numbers.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self::from_bytes(&bytes))
    }

    /// The key with these bytes: 32 random ones.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, bytes))
    }

    /// The token of the forms of a session.
    pub(crate) fn token(&self, session: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(sign(&self.0, session.as_bytes()).as_ref())
    }

    /// Whether a token is that of the session. It takes the same time for all wrong ones.
    pub(crate) fn is_token(&self, session: &str, token: &str) -> bool {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(token);
        decoded.is_ok_and(|tag| verify(&self.0, session.as_bytes(), &tag).is_ok())
    }
}

impl fmt::Debug for CsrfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfKey([hidden])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bound_to_its_session_and_its_key() {
        let (key, other) = (CsrfKey::from_bytes(&[1; 32]), CsrfKey::from_bytes(&[2; 32]));
        let token = key.token("session");
        assert!(key.is_token("session", &token));
        assert!(!key.is_token("other", &token) && !other.is_token("session", &token));
        assert!(!key.is_token("session", "") && !key.is_token("session", "é"));
        assert_eq!(format!("{key:?}"), "CsrfKey([hidden])");
    }
}

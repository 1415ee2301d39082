//! Random keys and ids.

use uuid::Uuid;

/// 64 random hexadecimal digits, the length of the real host's keys and instance ids.
pub(super) fn random_hex() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

//! The reasons that a vault rejects an operation, and its limits.

/// The limit of a value, in bytes.
pub(crate) const LARGEST_VALUE: usize = 25_600;
/// The limit of the number of tags.
pub(crate) const MOST_TAGS: usize = 15;

/// The reason that a vault rejects an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The name is not a valid name of a secret.
    #[error("`{0}` is not a valid name of a secret")]
    InvalidName(String),
    /// The vault has no such secret or version.
    #[error("there is no secret `{0}`")]
    NotFound(String),
    /// The vault has no such deleted secret.
    #[error("there is no deleted secret `{0}`")]
    NotDeleted(String),
    /// A deleted secret keeps its name until it is purged.
    #[error("the secret `{0}` is deleted and can be recovered")]
    Deleted(String),
    /// The id of a version is not 32 hexadecimal digits.
    #[error("`{0}` is not the id of a version")]
    InvalidVersion(String),
    /// The secret already has a version with this id.
    #[error("the version `{0}` already exists")]
    VersionExists(String),
    /// The value is over the limit.
    #[error("the value is larger than {LARGEST_VALUE} bytes")]
    ValueTooLarge,
    /// The number of tags is over the limit.
    #[error("there are more than {MOST_TAGS} tags")]
    TooManyTags,
}

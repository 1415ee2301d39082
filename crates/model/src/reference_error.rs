//! Errors from parsing a Key Vault reference.

/// An error from parsing a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The value does not begin with `@Microsoft.KeyVault(`. It is an ordinary value.
    #[error("the value is not a Key Vault reference")]
    NotAReference,
    /// The value begins like a reference but is malformed. Azure reports such a setting as
    /// `InvalidSyntax`.
    #[error("the value begins like a Key Vault reference, but {0}")]
    Invalid(&'static str),
}

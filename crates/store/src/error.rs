//! The errors of store operations.

/// An error from a store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A conditional write failed, because another writer has created or replaced the object.
    /// Nothing was written.
    #[error("another writer has changed `{key}` in the store")]
    Conflict {
        /// The object.
        key: String,
    },
    /// The identity has no access to the store.
    #[error(
        "access denied: cannot {operation} `{key}` in the store, assign the identity the role `Storage Blob Data Contributor` on it"
    )]
    Denied {
        /// The operation, as a verb.
        operation: &'static str,
        /// The object.
        key: String,
        /// The error of the store.
        #[source]
        source: object_store::Error,
    },
    /// The store could not be reached, or failed to respond.
    #[error("the store is unavailable: could not {operation} `{key}`")]
    Unavailable {
        /// The operation, as a verb.
        operation: &'static str,
        /// The object.
        key: String,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object is not valid JSON of the expected shape.
    #[error("`{key}` in the store cannot be parsed: {reason}; delete it to continue without it")]
    Unreadable {
        /// The object.
        key: String,
        /// The line and the column, never the content.
        reason: String,
    },
}

impl StoreError {
    /// Whether a conditional write failed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    pub(crate) fn of(operation: &'static str, key: &str, source: object_store::Error) -> Self {
        let key = key.to_owned();
        match source {
            object_store::Error::AlreadyExists { .. }
            | object_store::Error::Precondition { .. } => Self::Conflict { key },
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::Denied {
                operation,
                key,
                source,
            },
            source => Self::Unavailable {
                operation,
                key,
                source: source.into(),
            },
        }
    }

    pub(crate) fn unreadable(key: &str, error: &serde_json::Error) -> Self {
        Self::Unreadable {
            key: key.to_owned(),
            reason: format!("line {}, column {}", error.line(), error.column()),
        }
    }
}

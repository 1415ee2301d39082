//! What can go wrong with the store.

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has created or replaced the object. Nothing was written.
    #[error("somebody else has changed `{key}` in the store")]
    Conflict {
        /// The object.
        key: String,
    },
    /// The store refuses the identity.
    #[error(
        "the store does not let us {operation} `{key}`: grant the identity `Storage Blob Data Contributor` on it"
    )]
    Denied {
        /// A verb.
        operation: &'static str,
        /// The object.
        key: String,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// The store could not be asked, or did not answer as it should.
    #[error("the store is out of reach: could not {operation} `{key}`")]
    OutOfReach {
        /// A verb.
        operation: &'static str,
        /// The object.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object is not what we write there.
    #[error("`{key}` in the store cannot be read: {reason}; delete it to go on without it")]
    Unreadable {
        /// The object.
        key: String,
        /// Line and column, never the content.
        reason: String,
    },
}

impl StoreError {
    /// Whether somebody else was there first.
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
            source => Self::OutOfReach {
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

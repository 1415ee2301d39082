//! The deletion of objects, one by one and in batches.

use futures::{StreamExt, stream};
use object_store::path::Path as Key;
use object_store::{Error, ObjectStoreExt};

use super::{OperationError, Store};
use crate::error::StoreError;

/// The number of objects that a blob container deletes in one request.
const BATCH: usize = 256;

impl Store {
    /// Deletes an object. Succeeds if it does not exist.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = Key::from(key);
        let deleted = self.attempt("delete", key, || async {
            let _guard = self.write_guard().await?;
            self.objects.delete(&path).await
        });
        match deleted.await {
            Ok(()) | Err(OperationError::Missing) => Ok(()),
            Err(OperationError::Other(error)) => Err(error),
        }
    }

    /// Deletes objects, 256 with one request to a container. Succeeds for those that do not exist.
    pub async fn delete_all(&self, keys: &[String]) -> Result<(), StoreError> {
        for batch in keys.chunks(BATCH) {
            let name = batch.first().map_or("", String::as_str);
            let deleted = self.attempt("delete", name, || async {
                let _guard = self.write_guard().await?;
                let paths: Vec<_> = batch
                    .iter()
                    .map(|key| Ok(Key::from(key.as_str())))
                    .collect();
                let deleted = self.objects.delete_stream(stream::iter(paths).boxed());
                let deleted: Vec<Result<Key, Error>> = deleted.collect().await;
                let mut failures = deleted.into_iter().filter_map(Result::err);
                match failures.find(|error| !matches!(error, Error::NotFound { .. })) {
                    Some(error) => Err(error),
                    None => Ok(()),
                }
            });
            match deleted.await {
                Ok(()) | Err(OperationError::Missing) => {}
                Err(OperationError::Other(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

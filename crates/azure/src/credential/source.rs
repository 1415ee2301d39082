//! The source of tokens: Microsoft's `azure_identity`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::Error;
use azure_core::credentials::{AccessToken, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, DeveloperToolsCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use keyrelay_model::{Retryability, error_chain};

use crate::excerpt::excerpt;
use crate::http::Http;
use crate::identity::Identity;
use crate::token::TokenError;

/// A source of tokens for one identity.
pub(super) enum TokenSource {
    Managed {
        client_id: Option<String>,
        transport: Transport,
    },
    Workload {
        client_id: Option<String>,
        token_file: PathBuf,
        transport: Transport,
    },
    Developer,
    Custom(Arc<dyn TokenCredential>),
}

impl TokenSource {
    pub(super) fn of(identity: Identity, http: &Http) -> Self {
        let transport = || Transport::new(Arc::new(http.client().clone()));
        match identity {
            Identity::Managed { client_id } => Self::Managed {
                client_id,
                transport: transport(),
            },
            Identity::Workload {
                client_id,
                token_file,
            } => Self::Workload {
                client_id,
                token_file,
                transport: transport(),
            },
            Identity::Developer => Self::Developer,
        }
    }

    /// Requests a token. `azure_identity` retries for longer than a call lasts, so the caller must
    /// bound the time.
    pub(super) async fn fetch(&self, audience: &str) -> Result<AccessToken, TokenError> {
        // Version 2 of the token endpoint takes an audience as the scope `<resource>/.default`.
        let scope = format!("{}/.default", audience.trim_end_matches('/'));
        let token = async { self.open()?.get_token(&[&scope], None).await };
        token.await.map_err(|error| TokenError {
            audience: audience.to_owned(),
            reason: excerpt(&error_chain(&error), 500),
            retryability: retryability(&error),
        })
    }

    /// Creates a new credential for each request, because those of `azure_identity` cache a token
    /// until it expires and would return a rejected one again.
    fn open(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        match self {
            Self::Managed {
                client_id,
                transport,
            } => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: ClientOptions {
                        transport: Some(transport.clone()),
                        ..ClientOptions::default()
                    },
                };
                Ok(ManagedIdentityCredential::new(Some(options))?)
            }
            Self::Workload {
                client_id,
                token_file,
                transport,
            } => {
                let client_options = ClientOptions {
                    transport: Some(transport.clone()),
                    ..ClientOptions::default()
                };
                let options = WorkloadIdentityCredentialOptions {
                    client_id: client_id.clone(),
                    token_file_path: Some(token_file.clone()),
                    credential_options: ClientAssertionCredentialOptions { client_options },
                    ..WorkloadIdentityCredentialOptions::default()
                };
                Ok(WorkloadIdentityCredential::new(Some(options))?)
            }
            Self::Developer => Ok(DeveloperToolsCredential::new(None)?),
            Self::Custom(credential) => Ok(credential.clone()),
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Managed { client_id, .. } => f
                .debug_struct("Managed")
                .field("client_id", client_id)
                .finish_non_exhaustive(),
            Self::Workload {
                client_id,
                token_file,
                ..
            } => {
                let mut workload = f.debug_struct("Workload");
                workload
                    .field("client_id", client_id)
                    .field("token_file", token_file)
                    .finish_non_exhaustive()
            }
            Self::Developer => f.write_str("Developer"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// Classifies an error of `azure_identity`.
///
/// A 400 of the identity endpoint means that the app does not have the identity, and a developer
/// who is not logged in must log in: both are permanent. Connections, time-outs and the endpoint's
/// own failures are transient.
fn retryability(error: &Error) -> Retryability {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut retryability = Retryability::Transient;
    while let Some(error) = cause {
        retryability = match error.downcast_ref::<Error>().map(Error::kind) {
            Some(ErrorKind::HttpResponse { status, .. }) => match u16::from(*status) {
                408 | 429 | 500.. => Retryability::Transient,
                _ => Retryability::Permanent,
            },
            Some(ErrorKind::Connection | ErrorKind::Io) => Retryability::Transient,
            Some(_) => Retryability::Permanent,
            // An error of another library: the error that wraps it decides.
            None => retryability,
        };
        cause = error.source();
    }
    retryability
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_of_a_pod_without_its_token_names_the_audience() {
        let http = Http::new().unwrap();
        let identity = Identity::Workload {
            client_id: Some("c".to_owned()),
            token_file: "/nowhere/token".into(),
        };
        let source = TokenSource::of(identity, &http);
        let error = source.fetch("https://vault.azure.net").await.err().unwrap();
        assert!(
            error
                .to_string()
                .starts_with("no token for https://vault.azure.net: "),
            "{error}"
        );
        assert!(!format!("{source:?}").contains("Transport"));
    }
}

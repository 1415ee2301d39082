//! App Service authentication of an app, for diagnostics.

use keyrelay_model::AppId;
use serde::Deserialize;

use super::client::ResourceManager;
use super::resource::Resource;
use crate::call::Call;
use crate::error::AzureError;
use crate::paging::read_json;
use crate::request_log::Operation;
use crate::transport::Action;

/// What App Service authentication does with the requests of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppAuthentication {
    /// Whether it is on. If not, the other fields have no effect.
    pub enabled: bool,
    /// Whether it refuses requests without a user who has signed in.
    pub required: bool,
    /// Whether users can sign in with Microsoft Entra.
    pub has_entra: bool,
    /// The paths that it leaves alone. A `*` at the end stands for any more characters.
    pub excluded_paths: Vec<String>,
}

impl AppAuthentication {
    /// Whether requests for this path need a user who has signed in.
    pub fn protects(&self, path: &str) -> bool {
        let is_that = |excluded: &String| {
            let excluded = excluded.to_ascii_lowercase();
            let path = path.to_ascii_lowercase();
            match excluded.strip_suffix('*') {
                Some(begin) => path.starts_with(begin),
                None => path == excluded,
            }
        };
        self.enabled && self.required && !self.excluded_paths.iter().any(is_that)
    }
}

impl ResourceManager {
    /// Reads what App Service authentication does for an app. Needs `sites/config/Read`.
    ///
    /// The response has no secret
    /// (learn.microsoft.com/rest/api/appservice/web-apps/get-auth-settings-v2-without-secrets).
    pub async fn authentication(
        &self,
        app: &AppId,
        call: &Call,
    ) -> Result<AppAuthentication, AzureError> {
        let path = format!("{app}/config/authsettingsV2");
        let request = self.app_request(Operation::ReadAuthentication, app, &path, Action::Get);
        let body = self.transport.send(&request, call).await?;
        let row: Resource<Properties> =
            read_json(&body).map_err(|failure| request.failed(failure))?;
        Ok(row.properties.unwrap_or_default().into())
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    platform: Option<Switch>,
    global_validation: Option<GlobalValidation>,
    identity_providers: Option<IdentityProviders>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GlobalValidation {
    require_authentication: Option<bool>,
    excluded_paths: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityProviders {
    azure_active_directory: Option<Entra>,
}

#[derive(Deserialize)]
struct Entra {
    enabled: Option<bool>,
    registration: Option<Registration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    client_id: Option<String>,
}

#[derive(Deserialize)]
struct Switch {
    enabled: Option<bool>,
}

impl From<Properties> for AppAuthentication {
    fn from(properties: Properties) -> Self {
        let validation = properties.global_validation.unwrap_or_default();
        let entra = properties
            .identity_providers
            .and_then(|it| it.azure_active_directory);
        Self {
            enabled: properties.platform.and_then(|it| it.enabled) == Some(true),
            required: validation.require_authentication == Some(true),
            // Azure leaves `enabled` out for a provider that is on.
            has_entra: entra.is_some_and(|it| {
                let client_id = it.registration.and_then(|it| it.client_id);
                it.enabled != Some(false) && client_id.is_some_and(|id| !id.is_empty())
            }),
            excluded_paths: validation.excluded_paths.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &str) -> AppAuthentication {
        serde_json::from_str::<Properties>(properties)
            .unwrap()
            .into()
    }

    #[test]
    fn what_is_missing_is_off() {
        for properties in [
            "{}",
            r#"{"platform":null,"globalValidation":null,"identityProviders":null}"#,
            r#"{"platform":{"enabled":null},"globalValidation":{"excludedPaths":null},"identityProviders":{"azureActiveDirectory":{"enabled":false,"registration":{"clientId":"a"}}}}"#,
            r#"{"identityProviders":{"azureActiveDirectory":{"enabled":true,"registration":{"clientId":""}}}}"#,
        ] {
            let read = read(properties);
            assert!(
                !read.enabled && !read.required && !read.has_entra,
                "{read:?}"
            );
            assert!(!read.protects("/"), "{read:?}");
        }
    }

    #[test]
    fn a_path_is_excluded_by_itself_or_by_its_beginning() {
        let mut read = read(
            r#"{"platform":{"enabled":true},"globalValidation":{"requireAuthentication":true,"excludedPaths":["/runtime/webhooks/EventGrid","/admin/*"]}}"#,
        );
        assert!(read.protects("/") && read.protects("/runtime/webhooks/eventgrid/more"));
        assert!(!read.protects("/runtime/webhooks/eventgrid") && !read.protects("/admin/host"));
        assert!(read.protects("/administration"));
        read.required = false;
        assert!(!read.protects("/"));
    }
}

//! The app that keyrelay runs in, which it never changes.

use std::collections::BTreeMap;

use keyrelay_azure::Scope;
use keyrelay_model::AppId;

/// The app that keyrelay runs in, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnApp {
    id: Option<AppId>,
    /// The subscription and the name of the site. Names of sites are unique in Azure.
    site: Option<(String, String)>,
}

/// The error of a process in App Service that cannot tell which app it runs in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "keyrelay runs in the site `{0}` and cannot tell its Resource Manager id: it could change, and so \
     stop, the app that it runs in. Set `own_app`, or the app setting KEYRELAY_OWN_APP, to \
     `/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.Web/sites/{0}`"
)]
pub struct UnknownOwnApp(String);

impl OwnApp {
    /// Finds the app: the configured one, or else the one in the variables that App Service sets.
    /// `WEBSITE_OWNER_NAME` is `<subscription>+<webspace>`, and `WEBSITE_RESOURCE_GROUP` is missing
    /// on Flex Consumption.
    ///
    /// Outside of App Service there may be none. An error means that there is one, and that it is
    /// not known which.
    pub fn find(
        configured: Option<&AppId>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, UnknownOwnApp> {
        let site = || {
            let (subscription, _) = environment.get("WEBSITE_OWNER_NAME")?.split_once('+')?;
            let site = environment.get("WEBSITE_SITE_NAME")?;
            Some((subscription.to_owned(), site.clone()))
        };
        let site = site();
        let id = || {
            let (subscription, site) = site.as_ref()?;
            let group = environment.get("WEBSITE_RESOURCE_GROUP")?;
            let id = format!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{site}"
            );
            id.parse().ok()
        };
        let id = configured.cloned().or_else(id);
        match environment.get("WEBSITE_SITE_NAME") {
            Some(name) if id.is_none() && site.is_none() => Err(UnknownOwnApp(name.clone())),
            _ => Ok(Self { id, site }),
        }
    }

    /// The Resource Manager id, if it is known.
    pub fn id(&self) -> Option<&AppId> {
        self.id.as_ref()
    }

    /// Whether this is the given app.
    pub fn is(&self, app: &AppId) -> bool {
        let is_site = |(subscription, site): &(String, String)| {
            app.slot().is_none()
                && app.subscription().eq_ignore_ascii_case(subscription)
                && app.site().eq_ignore_ascii_case(site)
        };
        // A configured id may be wrong; the variables of App Service are not.
        self.id.as_ref() == Some(app) || self.site.as_ref().is_some_and(is_site)
    }

    /// The resource group of the app, as the default scope.
    pub fn group(&self) -> Option<Scope> {
        self.id.as_ref().map(Scope::group_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str =
        "/subscriptions/s-1/resourceGroups/Shop/providers/Microsoft.Web/sites/keyrelay";

    fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn app(id: &str) -> AppId {
        id.parse().unwrap()
    }

    #[test]
    fn the_environment_names_the_app() {
        let variables = [
            ("WEBSITE_OWNER_NAME", "s-1+shop-WestEuropewebspace"),
            ("WEBSITE_SITE_NAME", "keyrelay"),
            ("WEBSITE_RESOURCE_GROUP", "shop"),
        ];
        let own = OwnApp::find(None, &environment(&variables)).unwrap();
        assert!(own.is(&app(SITE)));
        assert!(own.group().is_some());
        assert!(!own.is(&app(&format!("{SITE}-2"))));
    }

    #[test]
    fn without_a_resource_group_the_name_of_the_site_is_enough() {
        let variables = [
            ("WEBSITE_OWNER_NAME", "s-1+flex"),
            ("WEBSITE_SITE_NAME", "KeyRelay"),
        ];
        let own = OwnApp::find(None, &environment(&variables)).unwrap();
        assert!(own.is(&app(SITE)));
        assert!(!own.is(&app(&SITE.replace("s-1", "s-2"))));
        assert!(!own.is(&app(&format!("{SITE}/slots/staging"))));
        assert_eq!(own.group(), None);
    }

    #[test]
    fn the_configured_app_takes_precedence() {
        let own = OwnApp::find(Some(&app(SITE)), &BTreeMap::new()).unwrap();
        assert!(own.is(&app(&SITE.to_lowercase())) && own.group().is_some());
        assert!(!OwnApp::default().is(&app(SITE)));
    }

    #[test]
    fn a_site_without_an_id_is_an_error() {
        for variables in [
            &[("WEBSITE_SITE_NAME", "keyrelay")][..],
            &[
                ("WEBSITE_SITE_NAME", "keyrelay"),
                ("WEBSITE_OWNER_NAME", "s-1"),
            ],
        ] {
            let found = OwnApp::find(None, &environment(variables));
            let message = found.unwrap_err().to_string();
            assert!(message.contains("KEYRELAY_OWN_APP"), "{message}");
            assert!(OwnApp::find(Some(&app(SITE)), &environment(variables)).is_ok());
        }
        assert_eq!(OwnApp::find(None, &BTreeMap::new()), Ok(OwnApp::default()));
    }

    #[test]
    fn a_wrong_id_does_not_hide_the_site() {
        let variables = [
            ("WEBSITE_OWNER_NAME", "s-1+flex"),
            ("WEBSITE_SITE_NAME", "keyrelay"),
        ];
        let other = app(&SITE.replace("keyrelay", "other"));
        let own = OwnApp::find(Some(&other), &environment(&variables)).unwrap();
        assert!(own.is(&app(SITE)) && own.is(&other));
    }
}

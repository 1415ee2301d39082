//! Checks of App Service authentication, which signs in the users of the pages.

use keyrelay_azure::{AppAuthentication, Call};

use super::environment::Environment;
use super::finding::Findings;
use crate::out;

/// Where the Functions host receives the deliveries of Event Grid. Event Grid cannot sign in there:
/// its key is in the query
/// (learn.microsoft.com/azure/azure-functions/functions-event-grid-blob-trigger).
const DELIVERIES: &str = "/runtime/webhooks/eventgrid";

const WHAT: &str = "authentication";

/// Checks the function app, if it is known. Without the pages, App Service authentication matters
/// only where it is in the way.
pub(super) async fn check(environment: &Environment, call: &Call, findings: &mut Findings) {
    let Some(own) = &environment.own else {
        return;
    };
    let has_pages = environment.config.ui;
    match environment.resource_manager.authentication(own, call).await {
        Ok(authentication) => {
            if authentication.protects(DELIVERIES) {
                findings.bad(
                    WHAT,
                    format!("App Service authentication refuses what Event Grid delivers to {DELIVERIES}: no event arrives"),
                    format!("add {DELIVERIES} to `globalValidation.excludedPaths`, as Terraform does"),
                );
            }
            if has_pages {
                of_pages(environment, &authentication, findings);
            }
        }
        Err(error) if has_pages => findings.warning(
            WHAT,
            format!(
                "it is not known who can sign in to the pages: {}",
                out::chain(&error)
            ),
            "run this with an account that may read the configuration of keyrelay's function app, such as one with the role Reader",
        ),
        // The events say whether they arrive.
        Err(_) => {}
    }
}

fn of_pages(
    environment: &Environment,
    authentication: &AppAuthentication,
    findings: &mut Findings,
) {
    const FIX: &str = "switch it on with Microsoft Entra as its provider, as Terraform does with `ui = true`, or set `ui` (KEYRELAY_UI) to false";
    if !authentication.enabled && environment.config.ui_authenticated == Some(true) {
        findings.bad(
            WHAT,
            "unless App Service sets WEBSITE_AUTH_ENABLED, anyone can act on the pages: App Service authentication is off, and `ui_authenticated` (KEYRELAY_UI_AUTHENTICATED) says that it is on",
            FIX,
        );
    } else if !authentication.enabled {
        findings.bad(
            WHAT,
            "nobody can see the pages: App Service authentication is off",
            FIX,
        );
    } else if !authentication.has_entra {
        findings.bad(
            WHAT,
            "nobody can see the pages: App Service authentication is on without Microsoft Entra as a provider",
            FIX,
        );
    } else if !authentication.required {
        findings.warning(
            WHAT,
            "users of the pages are not asked to sign in: App Service authentication lets requests without a user pass, which keyrelay-host refuses",
            "set `globalValidation.requireAuthentication` to true, as Terraform does",
        );
    } else if environment.config.ui_authenticated != Some(true) {
        findings.warning(
            WHAT,
            "unless App Service sets WEBSITE_AUTH_ENABLED, nobody can see the pages: keyrelay-host does not know that App Service authentication is on",
            "set `ui_authenticated` (KEYRELAY_UI_AUTHENTICATED) to true, as Terraform does",
        );
    } else {
        findings.good(WHAT, "the users of the pages sign in with Microsoft Entra");
    }
}

//! The whole stand-in: the environment of the handler in each profile.

use keyrelay_local_azure::{AuditOptions, LocalAzure, LocalAzureOptions, Profile, World};
use serde_json::Value;

use crate::handler_app::{AppFolder, event};

const WORLD: &str = r#"
    subscription = "s"
    [[site]]
    name = "keyrelay"
    resource_group = "shop"
    settings = { PLAIN = "text" }
    connection_strings = { DB = "Server=x" }
    [[site]]
    name = "named"
    resource_group = "shop"
    settings = { KEYRELAY_OWN_APP = "theirs" }
"#;

async fn start(site: &str, profile: Profile, audit: bool) -> (AppFolder, LocalAzure) {
    let app = AppFolder::new();
    let mut options = LocalAzureOptions::new(World::parse(WORLD).unwrap(), app.path());
    options.site = Some(site.to_owned());
    options.cloud.profile = profile;
    options.cloud.audit = audit.then(|| AuditOptions::new("logs"));
    (app, LocalAzure::start(options).await.unwrap())
}

/// The environment of the handler.
async fn environment(azure: &LocalAzure) -> Value {
    let host = &azure.functions_host;
    let invocation = host.invoke("Event", &event("echo")).await.unwrap();
    invocation.outcome.unwrap()["ReturnValue"]["environment"].clone()
}

#[tokio::test]
async fn the_ideal_environment_names_the_resource_group() {
    let (_app, azure) = start("keyrelay", Profile::ideal(), false).await;
    let environment = environment(&azure).await;
    assert_eq!(environment["WEBSITE_RESOURCE_GROUP"], "shop");
    assert_eq!(environment["CUSTOMCONNSTR_DB"], "Server=x");
    for missing in [
        "KEYRELAY_OWN_APP",
        "APPSETTING_PLAIN",
        "APPSETTING_KEYRELAY_CLOUD",
    ] {
        assert_eq!(environment[missing], Value::Null, "{missing}");
    }
    let cloud = environment["KEYRELAY_CLOUD"].as_str().unwrap();
    assert!(!cloud.contains("log_analytics"), "{cloud}");
}

#[tokio::test]
async fn the_reported_environment_has_twins_and_the_app_instead() {
    let (_app, azure) = start("keyrelay", Profile::as_reported(), true).await;
    let environment = environment(&azure).await;
    let id = "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Web/sites/keyrelay";
    assert_eq!(environment["KEYRELAY_OWN_APP"], id);
    assert_eq!(environment["WEBSITE_RESOURCE_GROUP"], Value::Null);
    assert_eq!(environment["WEBSITE_SITE_NAME"], "keyrelay");
    assert_eq!(environment["PLAIN"], "text");
    assert_eq!(environment["APPSETTING_PLAIN"], "text");
    assert_eq!(
        environment["APPSETTING_KEYRELAY_CLOUD"],
        environment["KEYRELAY_CLOUD"]
    );
    assert_eq!(environment["APPSETTING_WEBSITE_SITE_NAME"], Value::Null);
    let cloud = environment["KEYRELAY_CLOUD"].as_str().unwrap();
    let audit = format!("log_analytics = \"{}\"", azure.cloud.log_analytics_url());
    assert!(cloud.contains(&audit), "{cloud}");
    let mut shown = azure.environment.iter().map(|(name, _)| name.as_str());
    assert!(shown.any(|name| name == "KEYRELAY_OWN_APP"));
}

#[tokio::test]
async fn the_setting_of_a_deployment_is_kept() {
    let (_app, azure) = start("named", Profile::as_reported(), false).await;
    assert_eq!(environment(&azure).await["KEYRELAY_OWN_APP"], "theirs");
}

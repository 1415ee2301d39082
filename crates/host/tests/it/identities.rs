//! Several identities: the apps are spread over them, and each has its own rights.

use keyrelay_azure::identity_of;
use keyrelay_local_azure::Service;

use crate::fixtures::{SUBSCRIPTION, reference};
use crate::harness::Harness;
use crate::setup::Setup;

const SITES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const IDENTITIES: [&str; 2] = ["first", "second"];

fn client_id(number: usize) -> String {
    format!("99999999-0000-0000-0000-00000000000{number}")
}

/// Six apps and two identities.
fn setup() -> Setup {
    let settings = format!("SQL = \"{}\"", reference("sql"));
    let sites = SITES
        .iter()
        .fold(Setup::new(), |setup, name| setup.site(name, &settings));
    let ids = [client_id(0), client_id(1)];
    IDENTITIES
        .iter()
        .zip(&ids)
        .fold(sites, |setup, (name, id)| {
            setup.also(&format!(
                "[[identity]]\nname = \"{name}\"\nresource_group = \"shop\"\nclient_id = \"{id}\""
            ))
        })
        .configured(&format!("client_ids = {ids:?}"))
        .ideal()
}

/// The name of the identity that an app belongs to.
fn identity(site: &str) -> &'static str {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop");
    let id = format!("{group}/providers/Microsoft.Web/sites/{site}");
    IDENTITIES
        .get(identity_of(&id.parse().unwrap(), 2))
        .unwrap()
}

/// The callers of the requests to Resource Manager whose path ends so.
fn callers(app: &Harness, path: &str) -> Vec<String> {
    let requests = app.azure.cloud.requests();
    let requests = requests
        .into_iter()
        .filter(|it| it.service == Service::ResourceManager && it.path.contains(path));
    let mut callers: Vec<String> = requests.filter_map(|it| it.caller).collect();
    callers.sort();
    callers.dedup();
    callers
}

#[tokio::test]
async fn each_identity_sends_the_requests_of_its_apps() {
    let app = setup().start().await;
    app.rotate_and_settle("sql").await;
    for site in SITES {
        assert_eq!(app.outcome(site).0, "verified", "{}", app.log());
        let path = format!("/sites/{site}/");
        assert_eq!(callers(&app, &path), [identity(site)], "{site}");
    }
    assert_eq!(callers(&app, ""), IDENTITIES);
    let lists = app.azure.cloud.requests().into_iter();
    let mut lists = lists.filter(|it| it.path.ends_with("Microsoft.Web/sites"));
    assert!(lists.all(|it| it.caller.as_deref() == Some("first")));
}

#[tokio::test]
async fn a_role_that_one_identity_lacks_fails_its_apps_only() {
    let app = setup()
        .also(
            "[[role]]\nidentity = \"second\"\nactions = [\"Microsoft.Web/sites/Read\", \
             \"Microsoft.Web/sites/slots/Read\", \"Microsoft.Web/sites/config/Read\"]",
        )
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    for site in SITES {
        let (verdict, message) = app.outcome(site);
        if identity(site) == "first" {
            assert_eq!(verdict, "verified", "{site}: {message}");
        } else {
            assert_ne!(verdict, "verified", "{site}: {message}");
            let action = "microsoft.web/sites/config/appsettings/refresh/action";
            assert!(message.to_lowercase().contains(action), "{site}: {message}");
            assert!(message.contains("second"), "{site}: {message}");
        }
    }
    assert_eq!(callers(&app, ""), IDENTITIES);
}

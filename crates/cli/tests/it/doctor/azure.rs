//! Findings about Azure: identity, rights, vaults, events, apps.

use super::installation::{Installation, ROLE, world};

#[tokio::test]
async fn an_identity_that_is_not_there() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    installation.variables.push((
        "KEYRELAY_CLIENT_ID",
        Some("00000000-0000-0000-0000-0000000000ff".to_owned()),
    ));
    installation
        .finds_only(
            "identity: the managed identity with the client id",
            "correct `client_id`",
        )
        .await;
}

#[tokio::test]
async fn each_of_several_identities() {
    let ids = [
        "99999999-0000-0000-0000-000000000001",
        "99999999-0000-0000-0000-000000000002",
    ];
    let identity = |name: &str, id: &str| {
        format!(
            "[[identity]]\nname = \"{name}\"\nresource_group = \"shop\"\nclient_id = \"{id}\"\n"
        )
    };
    let role = |name: &str| ROLE.replace("\"keyrelay\"", &format!("\"{name}\""));
    let identities = identity("first", ids[0]) + &identity("second", ids[1]);
    let installed = async |first: &str, second: &str| {
        let world = format!("{}{identities}{first}{second}", world());
        let mut installation = Installation::new(&world).await.rotated().await;
        installation.variables = vec![("KEYRELAY_CLIENT_IDS", Some(ids.join(",")))];
        installation
    };
    let installation = installed(&role("first"), &role("second")).await;
    assert_eq!(installation.failures().await, []);
    let output = installation.doctor_unwrapped(&[]).await.output;
    for id in ids {
        let words = format!("the managed identity with the client id {id} gets tokens");
        assert!(output.contains(&words), "{output}");
    }

    // `orders` belongs to the first identity.
    let without = |name: &str| role(name).replace("\"Microsoft.Web/sites/config/*/action\",", "");
    let installation = installed(&role("first"), &without("second")).await;
    assert_eq!(installation.failures().await, []);
    let installation = installed(&without("first"), &role("second")).await;
    installation
        .finds_only(
            "sites/orders: missing Microsoft.Web/sites/config/appsettings/refresh/action (to have \
             references resolved again), for the identity with the client id 99999999-0000-0000-0000-000000000001",
            "--assignee-object-id OBJECT-ID-OF-THE-IDENTITY-99999999-0000-0000-0000-000000000001",
        )
        .await;

    let mut installation = installed(&role("first"), &role("second")).await;
    let unknown = format!("{},00000000-0000-0000-0000-0000000000ff", ids[0]);
    installation.variables = vec![("KEYRELAY_CLIENT_IDS", Some(unknown))];
    installation
        .finds_only(
            "with the client id 00000000-0000-0000-0000-0000000000ff",
            "`client_ids`",
        )
        .await;
}

#[tokio::test]
async fn an_action_that_the_role_does_not_have() {
    let without = |action: &str| world().replace(&format!("\"{action}\","), "");
    let pinned =
        |world: String| world.replacen("SecretName=sql)", "SecretName=sql;SecretVersion=0)", 1);

    let refresh = without("Microsoft.Web/sites/config/*/action");
    let installation = Installation::new(&refresh).await;
    installation
        .finds(
            "config/appsettings/refresh/action (to have references resolved again)",
            "az role definition create",
        )
        .await;

    let installation =
        Installation::new(&pinned(without("Microsoft.Web/sites/config/Write"))).await;
    installation
        .finds(
            "missing Microsoft.Web/sites/config/Write (to write the settings)",
            "\"Microsoft.Web/sites/config/Write\"",
        )
        .await;

    let installation = Installation::new(&without("Microsoft.Web/sites/Read")).await;
    installation
        .finds("scope: ", "az role assignment create")
        .await;

    let installation = Installation::new(&without("Microsoft.Web/sites/slots/config/Read")).await;
    installation.finds("references: ", "see `rights`").await;
}

#[tokio::test]
async fn events_that_do_not_come() {
    let unsubscribed = world().replace("secrets = {", "subscribed = false\nsecrets = {");
    let installation = Installation::new(&unsubscribed).await;
    installation
        .finds(
            "there is no event subscription",
            "sites/keyrelay/functions/SecretEvent",
        )
        .await;
    installation
        .finds("last event: no event has arrived yet", "set a new version")
        .await;

    let others = world().replace(
        "secrets = {",
        "event_types = [\"Microsoft.KeyVault.SecretExpired\"]\nsecrets = {",
    );
    let installation = Installation::new(&others).await;
    let types = "--included-event-types Microsoft.KeyVault.SecretExpired Microsoft.KeyVault.SecretNewVersionCreated";
    installation
        .finds(
            "leaves Microsoft.KeyVault.SecretNewVersionCreated out",
            types,
        )
        .await;

    let some = world().replace(
        "secrets = {",
        "subject_begins_with = \"SQLSERVER\"\nsecrets = {",
    );
    let installation = Installation::new(&some).await;
    let clear = "--resource-group shop --system-topic-name contoso-kv --name keyrelay-contoso-kv --subject-begins-with";
    installation
        .finds("the filter of keyrelay-contoso-kv leaves sql out", clear)
        .await;

    let all = world().replace("secrets = {", "subject_begins_with = \"SQ\"\nsecrets = {");
    assert_eq!(
        Installation::new(&all)
            .await
            .rotated()
            .await
            .failures()
            .await,
        []
    );
}

#[tokio::test]
async fn references_that_do_not_resolve() {
    let gone = world().replacen("SecretName=sql)", "SecretName=gone)", 1);
    Installation::new(&gone)
        .await
        .finds("orders SQL: SecretNotFound", "create it, recover it")
        .await;

    let denied = world().replace("secrets = {", "denies = [\"orders\"]\nsecrets = {");
    let installation = Installation::new(&denied).await.rotated().await;
    installation
        .finds_only(
            "orders SQL: AccessToKeyVaultDenied",
            "Key Vault Secrets User",
        )
        .await;
}

#[tokio::test]
async fn an_app_without_an_identity() {
    let without = world().replace("name = \"orders\"", "name = \"orders\"\nidentity = false");
    let installation = Installation::new(&without).await;
    installation
        .finds(
            "orders SQL: MSINotEnabled",
            "enable its system-assigned identity",
        )
        .await;
    installation
        .finds("identity of references", "az webapp identity assign")
        .await;
}

#[tokio::test]
async fn a_scope_that_is_not_there_or_has_no_references() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    let scope =
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/gone".to_owned();
    installation.variables = vec![("KEYRELAY_SCOPE", Some(scope))];
    installation
        .finds_only("resourceGroups/gone", "correct `scope`")
        .await;

    let nothing = world().replace(
        "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)",
        "plain",
    );
    let installation = Installation::new(&nothing).await.rotated().await;
    installation
        .finds_only("none of 2 apps references a secret", "@Microsoft.KeyVault(")
        .await;

    let mut installation = Installation::new(&world()).await.rotated().await;
    installation.variables = vec![("KEYRELAY_OWN_APP", None)];
    installation
        .finds("no app can be found", "KEYRELAY_SCOPE")
        .await;
}

//! The commands of `az`, in the order in which they run, with the expected results. Their world is
//! `crates/local-azure/tests/az/world.toml`.

/// A command and its expected result.
pub(super) struct Check {
    /// The arguments, separated by single spaces. They may contain placeholders.
    pub(super) command: &'static str,
    /// The part of the result to compare, in `JMESPath`. An empty text means all of it.
    pub(super) query: &'static str,
    pub(super) expected: Expected,
}

/// An expected result.
pub(super) enum Expected {
    /// This JSON, which may contain placeholders. `null` includes no output.
    Json(&'static str),
    /// This JSON, as soon as keyrelay-host has done its work.
    Eventually(&'static str),
    /// Any string. It replaces this placeholder in the commands that follow.
    Kept(&'static str),
    /// A failure, with this text in its message.
    Error(&'static str),
}

const fn gives(command: &'static str, query: &'static str, json: &'static str) -> Check {
    Check {
        command,
        query,
        expected: Expected::Json(json),
    }
}

const fn gives_soon(command: &'static str, query: &'static str, json: &'static str) -> Check {
    Check {
        command,
        query,
        expected: Expected::Eventually(json),
    }
}

const fn keeps(command: &'static str, query: &'static str, placeholder: &'static str) -> Check {
    Check {
        command,
        query,
        expected: Expected::Kept(placeholder),
    }
}

const fn fails(command: &'static str, text: &'static str) -> Check {
    Check {
        command,
        query: "",
        expected: Expected::Error(text),
    }
}

/// The placeholders for ids of the world. An id may contain the placeholders that follow it.
pub(super) const IDS: [(&str, &str); 5] = [
    ("{orders}", "{shop}/providers/Microsoft.Web/sites/orders"),
    ("{reports}", "{shop}/providers/Microsoft.Web/sites/reports"),
    (
        "{shop}",
        "/subscriptions/{subscription}/resourceGroups/shop",
    ),
    ("{subscription}", "11111111-2222-3333-4444-555555555555"),
    ("{vault}", "https://contoso-kv.vault.azure.net"),
];

/// All commands.
#[rustfmt::skip]
pub(super) const COMMANDS: &[Check] = &[
    // The account.
    gives("login --identity", "[].[id, state, user.name]", r#"[["{subscription}", "Enabled", "systemAssignedIdentity"]]"#),
    gives("account show", "[id, isDefault, environmentName]", r#"["{subscription}", true, "stand-in"]"#),
    gives("account list", "[].id", r#"["{subscription}"]"#),
    gives("account get-access-token", "[tokenType, subscription]", r#"["Bearer", "{subscription}"]"#),
    gives("account get-access-token --resource https://vault.azure.net", "tokenType", r#""Bearer""#),

    // Groups, plans and resources.
    gives("group list", "sort([].name)", r#"["operations", "shop"]"#),
    gives("group show -n shop", "[id, properties.provisioningState]", r#"["{shop}", "Succeeded"]"#),
    gives("group exists -n nobody", "", "false"),
    gives("resource list --resource-type Microsoft.Web/sites", "sort([].name)", r#"["billing", "keyrelay", "orders", "reports"]"#),
    gives("resource list -g shop --resource-type Microsoft.KeyVault/vaults", "[].name", r#"["contoso-kv"]"#),
    gives("resource show --ids {orders}", "[id, kind]", r#"["{orders}", "functionapp,linux"]"#),

    // Function apps.
    gives("functionapp list", "sort([].name)", r#"["billing", "keyrelay", "orders"]"#),
    gives("functionapp list -g shop", "[].name", r#"["orders"]"#),
    gives("functionapp show -n orders -g shop", "[id, state, defaultHostName]", r#"["{orders}", "Running", "orders.azurewebsites.net"]"#),
    fails("functionapp show -n nobody -g shop", "ResourceNotFound"),
    gives("functionapp config appsettings list -n orders -g shop", "sort_by([], &name)[].[name, value, slotSetting]",
        r#"[["PLAIN", "text", false], ["SQL", "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)", false]]"#),
    gives("functionapp config appsettings set -n orders -g shop --settings ADDED=one SECOND=two --slot-settings STICKY=here",
        "sort_by([], &name)[].[name, slotSetting]", r#"[["ADDED", false], ["PLAIN", false], ["SECOND", false], ["SQL", false], ["STICKY", true]]"#),
    gives("functionapp config appsettings list -n orders -g shop", "sort_by([?name != 'SQL'], &name)[].[name, value, slotSetting]",
        r#"[["ADDED", "one", false], ["PLAIN", "text", false], ["SECOND", "two", false], ["STICKY", "here", true]]"#),
    gives("functionapp config appsettings delete -n orders -g shop --setting-names ADDED STICKY",
        "sort([].name)", r#"["PLAIN", "SECOND", "SQL"]"#),
    gives("functionapp config appsettings list -n orders -g shop", "sort([].name)", r#"["PLAIN", "SECOND", "SQL"]"#),
    gives("functionapp config appsettings set -n orders -g shop --slot staging --settings STAGED=yes",
        "sort([].name)", r#"["PLAIN", "STAGED"]"#),
    gives("functionapp config appsettings list -n orders -g shop --slot staging", "sort_by([], &name)[].[name, value]",
        r#"[["PLAIN", "staged"], ["STAGED", "yes"]]"#),
    gives("functionapp config appsettings delete -n orders -g shop --slot staging --setting-names STAGED",
        "[].name", r#"["PLAIN"]"#),
    gives("functionapp config show -n orders -g shop", "name", r#""orders""#),
    gives("functionapp deployment slot list -n orders -g shop", "[].name", r#"["staging"]"#),
    gives("functionapp stop -n orders -g shop", "", "null"),
    gives("functionapp show -n orders -g shop", "state", r#""Stopped""#),
    gives("functionapp start -n orders -g shop", "", "null"),
    gives("functionapp show -n orders -g shop", "state", r#""Running""#),
    gives("functionapp restart -n orders -g shop", "", "null"),
    gives("functionapp restart -n orders -g shop --slot staging", "", "null"),

    // Web apps.
    gives("webapp list", "[].name", r#"["reports"]"#),
    gives("webapp show -n reports -g shop", "[id, state]", r#"["{reports}", "Running"]"#),
    gives("webapp config show -n reports -g shop", "name", r#""reports""#),
    gives("webapp config appsettings set -n reports -g shop --settings ADDED=one --slot-settings STICKY=production",
        "sort_by([], &name)[].[name, slotSetting]", r#"[["ADDED", false], ["PLAIN", false], ["STICKY", true]]"#),
    gives("webapp config appsettings list -n reports -g shop", "sort_by([], &name)[].[name, value, slotSetting]",
        r#"[["ADDED", "one", false], ["PLAIN", "text", false], ["STICKY", "production", true]]"#),
    gives("webapp config appsettings delete -n reports -g shop --setting-names ADDED", "sort([].name)", r#"["PLAIN", "STICKY"]"#),
    gives("webapp config connection-string list -n reports -g shop", "", "[]"),
    gives("webapp config connection-string set -n reports -g shop --connection-string-type SQLAzure --settings DB=Server=here",
        "[keys(@), DB.type]", r#"[["DB"], "SQLAzure"]"#),
    gives("webapp config connection-string list -n reports -g shop", "[].[name, type, value, slotSetting]",
        r#"[["DB", "SQLAzure", "Server=here", false]]"#),
    gives("webapp config connection-string delete -n reports -g shop --setting-names DB", "properties", "{}"),
    gives("webapp deployment slot list -n reports -g shop", "[].name", r#"["green"]"#),
    gives("webapp deployment slot swap -n reports -g shop --slot green --target-slot production", "", "null"),
    gives("webapp config appsettings list -n reports -g shop", "sort_by([], &name)[].[name, value]",
        r#"[["PLAIN", "green"], ["STICKY", "production"]]"#),
    gives("webapp config appsettings list -n reports -g shop --slot green", "[].[name, value]", r#"[["PLAIN", "text"]]"#),
    gives("webapp stop -n reports -g shop", "", "null"),
    gives("webapp start -n reports -g shop", "", "null"),
    gives("webapp restart -n reports -g shop", "", "null"),
    gives("appservice plan list", "length([]) > `0`", "true"),
    keeps("functionapp show -n orders -g shop", "appServicePlanId || serverFarmId", "{plan}"),
    gives("appservice plan show --ids {plan}", "id == '{plan}'", "true"),

    // Key Vault.
    gives("keyvault secret set --vault-name contoso-kv -n made-here --value one --description text/plain --tags owner=shop",
        "[name, value, contentType, tags.owner, attributes.enabled]", r#"["made-here", "one", "text/plain", "shop", true]"#),
    keeps("keyvault secret show --vault-name contoso-kv -n made-here", "id", "{first}"),
    gives("keyvault secret set --vault-name contoso-kv -n made-here --value two", "value", r#""two""#),
    gives("keyvault secret show --vault-name contoso-kv -n made-here", "value", r#""two""#),
    gives("keyvault secret list --vault-name contoso-kv", "sort([].name)", r#"["api-key", "made-here", "sql-password"]"#),
    gives("keyvault secret list-versions --vault-name contoso-kv -n made-here", "[length(@), length([?id == '{first}'])]", "[2, 1]"),
    gives("keyvault secret set-attributes --vault-name contoso-kv -n made-here --enabled false", "attributes.enabled", "false"),
    fails("keyvault secret show --vault-name contoso-kv -n made-here", "Forbidden"),
    fails("keyvault secret show --vault-name contoso-kv -n nobody", "SecretNotFound"),
    gives("keyvault secret delete --vault-name contoso-kv -n made-here", "[name, recoveryId]", r#"["made-here", "{vault}/deletedsecrets/made-here"]"#),
    gives("keyvault secret list-deleted --vault-name contoso-kv", "[].name", r#"["made-here"]"#),
    gives("keyvault secret recover --vault-name contoso-kv -n made-here", "name", r#""made-here""#),

    // Any request.
    gives("rest --method get --url {orders}?api-version=2024-11-01", "id", r#""{orders}""#),
    gives("rest --method post --url {orders}/config/appsettings/list?api-version=2024-11-01", "properties.PLAIN", r#""text""#),
    gives("rest --method get --url {orders}/config/configreferences/appsettings?api-version=2024-11-01", "value[].[name, properties.status]",
        r#"[["SQL", "Resolved"]]"#),
    gives("rest --method post --url {orders}/config/configreferences/appsettings/refresh?api-version=2022-03-01", "value[].name", r#"["SQL"]"#),
    fails("rest --method get --url {orders}/nothing?api-version=2024-11-01", "Not Found"),

    // A rotation: keyrelay-host moves a pinned reference to the version that az has made.
    keeps("keyvault secret show --vault-name contoso-kv -n api-key", "id", "{pinned}"),
    gives("functionapp config appsettings set -n billing -g operations --settings KEY=@Microsoft.KeyVault(SecretUri={pinned})", "[].name", r#"["KEY"]"#),
    keeps("keyvault secret set --vault-name contoso-kv -n api-key --value second", "id", "{rotated}"),
    gives_soon("functionapp config appsettings list -n billing -g operations", "[].value", r#"["@Microsoft.KeyVault(SecretUri={rotated})"]"#),
    gives_soon("rest --method get --url /subscriptions/{subscription}/resourceGroups/operations/providers/Microsoft.Web/sites/billing/config/configreferences/appsettings/KEY?api-version=2024-11-01",
        "properties.[status, secretName]", r#"["Resolved", "api-key"]"#),
];

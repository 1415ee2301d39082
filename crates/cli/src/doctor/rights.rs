//! Whether the identity may do what keyrelay does: to each app that references a secret, and in each vault.

use std::collections::BTreeMap;

use keyrelay_azure::Call;
use keyrelay_host::route::route;
use keyrelay_model::{AppId, SecretName, VaultHost};
use keyrelay_sandbox::policy_files;

use super::apps::App;
use super::finding::Findings;
use super::surroundings::Surroundings;
use crate::out;

/// Actions that every rotation needs, and what for.
const ALWAYS: [(&str, &str); 3] = [
    ("Microsoft.Web/sites/Read", "find apps"),
    (
        "Microsoft.Web/sites/config/Read",
        "see the status of references",
    ),
    (
        "Microsoft.Web/sites/config/appsettings/refresh/action",
        "have references resolved again",
    ),
];
/// Actions that writing settings needs.
const PATCH: [(&str, &str); 2] = [
    (
        "Microsoft.Web/sites/config/list/Action",
        "read the settings, which can only be written whole",
    ),
    ("Microsoft.Web/sites/config/Write", "write the settings"),
];
/// What is needed of slots besides.
const SLOTS: (&str, &str) = ("Microsoft.Web/sites/slots/Read", "find slots");

/// Policies that never write settings of references without a version.
const READERS: [&str; 2] = ["follow", "announce"];

pub(super) async fn look(
    surroundings: &Surroundings,
    apps: &[App],
    call: &Call,
    findings: &mut Findings,
) {
    for app in apps {
        let wanted = wanted(surroundings, app);
        let place = app.id.to_string();
        let rights = match &surroundings.principal {
            Some(principal) => {
                surroundings
                    .resource_manager
                    .rights_of(principal, &place, call)
                    .await
            }
            None => surroundings.resource_manager.rights(&place, call).await,
        };
        let rights = match rights {
            Ok(rights) => rights,
            Err(error) => {
                let fix = "give whoever runs this the role Reader; keyrelay's own role has Microsoft.Authorization/permissions/read";
                findings.bad("rights", format!("{place}: {}", out::chain(&error)), fix);
                continue;
            }
        };
        let missing: Vec<&(String, &str)> = wanted
            .iter()
            .filter(|(action, _)| !rights.allow(action))
            .collect();
        if missing.is_empty() {
            let what = if wanted.len() > ALWAYS.len() + 1 {
                "refresh and patch"
            } else {
                "refresh"
            };
            findings.good("rights", format!("{place}: may {what}"));
            continue;
        }
        let words: Vec<String> = missing
            .iter()
            .map(|(action, why)| format!("{action} (to {why})"))
            .collect();
        let actions: Vec<&str> = missing.iter().map(|(action, _)| action.as_str()).collect();
        findings.bad(
            "rights",
            format!("{place}: missing {}", words.join(", ")),
            grant(surroundings, &app.id, &actions),
        );
    }
    vaults(surroundings, apps, call, findings).await;
}

/// The actions that rotations of this app need.
fn wanted(surroundings: &Surroundings, app: &App) -> Vec<(String, &'static str)> {
    let policies = policy_files(&surroundings.folder.join("policies")).unwrap_or_default();
    let policies: Vec<String> = policies.into_iter().map(|(name, _)| name).collect();
    let writes = app.references.iter().any(|reference| {
        let is_pinned = reference.secret_version.is_some();
        let secret = reference
            .secret_name
            .as_deref()
            .and_then(|name| name.parse::<SecretName>().ok());
        let policy = secret.map(|secret| route(&surroundings.config, &policies, &secret).policy);
        is_pinned || policy.is_some_and(|policy| !READERS.contains(&policy.as_str()))
    });
    let patch = PATCH.iter().filter(|_| writes);
    let all = ALWAYS.iter().chain([&SLOTS]).chain(patch);
    let is_slot = app.id.slot().is_some();
    let of_slot = |action: &str| match is_slot {
        true => action
            .replace("sites/slots/", "sites/")
            .replace("sites/", "sites/slots/"),
        false => action.to_owned(),
    };
    all.map(|(action, why)| (of_slot(action), *why)).collect()
}

/// The line that grants what is missing, and nothing else.
fn grant(surroundings: &Surroundings, app: &AppId, actions: &[&str]) -> String {
    let name = format!("keyrelay for {}", app.site());
    let group = keyrelay_azure::Scope::group_of(app);
    let list: Vec<String> = actions
        .iter()
        .map(|action| format!("\"{action}\""))
        .collect();
    let principal = surroundings.principal_or_placeholder();
    format!(
        "az role definition create --role-definition '{{\"Name\":\"{name}\",\"IsCustom\":true,\"Actions\":[{}],\
         \"AssignableScopes\":[\"{group}\"]}}' && az role assignment create --assignee-object-id {principal} \
         --assignee-principal-type ServicePrincipal --role \"{name}\" --scope {group}",
        list.join(",")
    )
}

/// Whether the versions of secrets can be listed, in each vault that apps reference.
async fn vaults(surroundings: &Surroundings, apps: &[App], call: &Call, findings: &mut Findings) {
    let suffix = &surroundings.config.cloud.vault_suffix;
    let mut secrets: BTreeMap<String, (VaultHost, SecretName)> = BTreeMap::new();
    for reference in apps.iter().flat_map(|app| &app.references) {
        let (Some(vault), Some(secret)) = (&reference.vault_name, &reference.secret_name) else {
            continue;
        };
        if let (Ok(host), Ok(secret)) = (format!("{vault}.{suffix}").parse(), secret.parse()) {
            secrets
                .entry(vault.to_lowercase())
                .or_insert((host, secret));
        }
    }
    for (vault, (host, secret)) in secrets {
        match surroundings.key_vault.versions(&host, &secret, call).await {
            Ok(versions) => {
                findings.good("vault", format!("{vault}: the versions of {secret} can be listed: {}", versions.len()))
            }
            Err(error) if error.is_forbidden() => {
                let principal = surroundings.principal_or_placeholder();
                findings.bad(
                    "vault",
                    format!("{vault}: the versions of {secret} cannot be listed: {}", out::chain(&error)),
                    format!(
                        "az role assignment create --assignee-object-id {principal} --assignee-principal-type \
                         ServicePrincipal --role \"Key Vault Reader\" --scope \"$(az keyvault show --name {vault} --query id -o tsv)\"  \
                         (it shows no value; the Terraform module has a smaller role)"
                    ),
                );
            }
            Err(error) => findings.bad(
                "vault",
                format!("{vault}: {}", out::chain(&error)),
                "correct the vault's name in the reference, and let keyrelay through the vault's firewall",
            ),
        }
    }
}

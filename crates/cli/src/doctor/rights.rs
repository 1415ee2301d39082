//! Checks of the identity's rights to each app that references a secret.

use keyrelay_azure::Call;
use keyrelay_config::route;
use keyrelay_model::{AppId, SecretName};
use keyrelay_sandbox::policy_files;

use super::apps::App;
use super::environment::Environment;
use super::finding::Findings;
use crate::out;

/// The actions that every rotation needs, each with its purpose.
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
/// The actions that a patch needs.
const PATCH: [(&str, &str); 2] = [
    (
        "Microsoft.Web/sites/config/list/Action",
        "read the settings, which can only be written whole",
    ),
    ("Microsoft.Web/sites/config/Write", "write the settings"),
];
/// The action that slots need.
const SLOTS: (&str, &str) = ("Microsoft.Web/sites/slots/Read", "find slots");

/// Policies that never write settings of references without a version.
const READERS: [&str; 2] = ["follow", "announce"];

pub(super) async fn check(
    environment: &Environment,
    apps: &[App],
    call: &Call,
    findings: &mut Findings,
) {
    for app in apps {
        let wanted = wanted(environment, app);
        let app_id = app.id.to_string();
        let rights = match environment.principal_of(&app.id) {
            Some(principal) => {
                environment
                    .resource_manager
                    .rights_of(principal, &app_id, call)
                    .await
            }
            None => environment.resource_manager.rights(&app_id, call).await,
        };
        let rights = match rights {
            Ok(rights) => rights,
            Err(error) => {
                let fix = "assign the role Reader to the account that runs this; keyrelay's own role has Microsoft.Authorization/permissions/read";
                findings.bad("rights", format!("{app_id}: {}", out::chain(&error)), fix);
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
            findings.good("rights", format!("{app_id}: may {what}"));
            continue;
        }
        let words: Vec<String> = missing
            .iter()
            .map(|(action, why)| format!("{action} (to {why})"))
            .collect();
        let client_id = environment.client_id_of(&app.id);
        let of_whom = client_id.map_or_else(String::new, |id| {
            format!(", for the identity with the client id {id}")
        });
        let actions: Vec<&str> = missing.iter().map(|(action, _)| action.as_str()).collect();
        findings.bad(
            "rights",
            format!("{app_id}: missing {}{of_whom}", words.join(", ")),
            grant(environment, &app.id, &actions),
        );
    }
}

/// The actions that rotations of this app need.
fn wanted(environment: &Environment, app: &App) -> Vec<(String, &'static str)> {
    let policies = policy_files(&environment.folder.join("policies")).unwrap_or_default();
    let policies: Vec<String> = policies.into_iter().map(|(name, _)| name).collect();
    let writes = app.references.iter().any(|reference| {
        let is_pinned = reference.secret_version.is_some();
        let secret = reference
            .secret_name
            .as_deref()
            .and_then(|name| name.parse::<SecretName>().ok());
        let vault = reference.vault_name.as_deref().unwrap_or_default();
        let policy =
            secret.map(|secret| route(&environment.config, &policies, vault, &secret).policy);
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

/// The command that grants the missing actions, and nothing else.
fn grant(environment: &Environment, app: &AppId, actions: &[&str]) -> String {
    let name = format!("keyrelay for {}", app.site());
    let group = keyrelay_azure::Scope::group_of(app);
    let list: Vec<String> = actions
        .iter()
        .map(|action| format!("\"{action}\""))
        .collect();
    let principal = environment.principal_of_or_placeholder(app);
    format!(
        "az role definition create --role-definition '{{\"Name\":\"{name}\",\"IsCustom\":true,\"Actions\":[{}],\
         \"AssignableScopes\":[\"{group}\"]}}' && az role assignment create --assignee-object-id {principal} \
         --assignee-principal-type ServicePrincipal --role \"{name}\" --scope {group}",
        list.join(",")
    )
}

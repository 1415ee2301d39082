//! Checks of the identity's rights to each app that references a secret.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use keyrelay_azure::{AzureError, Call, Rights, Scope};
use keyrelay_config::route_of;
use keyrelay_model::{AppId, SecretName};
use keyrelay_sandbox::policy_files;

use super::apps::App;
use super::environment::Environment;
use super::finding::{Findings, without_id};
use super::fix::Fix;
use crate::out;

/// The number of apps that are checked concurrently.
const AT_ONCE: usize = 8;

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

/// An action, and its purpose.
type Action = (String, &'static str);

/// A missing right: one cause, for all apps that it concerns.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Missing {
    /// The client id of the identity without the right, if there are several identities.
    client_id: Option<String>,
    /// The object id of that identity, or a placeholder.
    principal: String,
    /// The purposes of the missing actions, which sites and slots have in common.
    purposes: Vec<&'static str>,
}

/// The apps of a missing right, and the actions that these need.
#[derive(Debug, Default)]
struct Concerned<'a> {
    apps: Vec<&'a AppId>,
    /// The actions with their purposes, each once.
    actions: Vec<Action>,
}

pub(super) async fn check(
    environment: &Environment,
    apps: &[App],
    call: &Call,
    findings: &mut Findings,
) {
    let policies = policy_files(&environment.folder.join("policies")).unwrap_or_default();
    let policies: Vec<String> = policies.into_iter().map(|(name, _)| name).collect();
    let wanted: Vec<_> = apps
        .iter()
        .map(|app| wanted(environment, &policies, app))
        .collect();
    let inherited = Inherited::read(environment, apps, call).await;
    let missing = apps.iter().zip(&wanted).map(|(app, wanted)| {
        let inherited = &inherited;
        async move {
            if inherited.allow(environment, &app.id, wanted) {
                return Ok(Vec::new());
            }
            let at = app.id.to_string();
            let rights = rights_at(environment, environment.principal_of(&app.id), &at, call);
            rights.await.map(|rights| not_allowed(&rights, wanted))
        }
    });
    let missing: Vec<_> = stream::iter(missing).buffered(AT_ONCE).collect().await;
    let results = apps.iter().zip(wanted).zip(missing);
    let mut missing: BTreeMap<Missing, Concerned<'_>> = BTreeMap::new();
    for ((app, wanted), actions) in results {
        let actions = match actions {
            Ok(actions) => actions,
            Err(error) => {
                let fix = "assign the role Reader to the account that runs this; keyrelay's own role has Microsoft.Authorization/permissions/read";
                let cause = without_id(&out::chain(&error), &app.id.to_string());
                findings.bad_for("rights", &app.id, cause, fix);
                continue;
            }
        };
        let is_reader = wanted.len() <= ALWAYS.len() + 1;
        if actions.is_empty() {
            let what = if is_reader {
                "refresh"
            } else {
                "refresh and patch"
            };
            findings.good_for("rights", &app.id, format!("may {what}"));
            continue;
        }
        let cause = Missing {
            client_id: environment.client_id_of(&app.id).map(str::to_owned),
            principal: environment.principal_of_or_placeholder(&app.id),
            purposes: actions.iter().map(|(_, purpose)| *purpose).collect(),
        };
        let concerned = missing.entry(cause).or_default();
        concerned.apps.push(&app.id);
        for action in actions {
            if !concerned.actions.contains(&action) {
                concerned.actions.push(action);
            }
        }
    }
    for (cause, concerned) in &missing {
        let words = cause.words(&concerned.actions);
        let fix = grant(environment, cause, concerned);
        for app in &concerned.apps {
            findings.bad_for("rights", *app, words.clone(), fix.clone());
        }
    }
}

/// The rights on resource groups, which their apps inherit. One request for a group replaces those
/// for its apps.
struct Inherited(BTreeMap<GroupOfIdentity, Rights>);

/// The object id of an identity, if known, and the id of a group in lower case.
type GroupOfIdentity = (Option<String>, String);

impl Inherited {
    /// Reads the rights on the groups of these apps. Those that cannot be read are left out.
    async fn read(environment: &Environment, apps: &[App], call: &Call) -> Self {
        let keys = apps.iter();
        let keys = keys.filter_map(|app| Self::key(environment, &app.id));
        let keys: BTreeSet<GroupOfIdentity> = keys.collect();
        let rights = keys.into_iter().map(async |(principal, group)| {
            let rights = rights_at(environment, principal.as_deref(), &group, call).await;
            Some(((principal, group), rights.ok()?))
        });
        let rights: Vec<_> = stream::iter(rights).buffered(AT_ONCE).collect().await;
        Self(rights.into_iter().flatten().collect())
    }

    /// Whether the app has all of these rights because its group has them.
    fn allow(&self, environment: &Environment, app: &AppId, wanted: &[Action]) -> bool {
        let rights = Self::key(environment, app).and_then(|key| self.0.get(&key));
        rights.is_some_and(|rights| not_allowed(rights, wanted).is_empty())
    }

    /// None if the rights on the group would be those of another identity: one of several, whose
    /// object id is not known, reads its own rights on its apps only.
    fn key(environment: &Environment, app: &AppId) -> Option<GroupOfIdentity> {
        let principal = environment.principal_of(app);
        if principal.is_none() && environment.client_id_of(app).is_some() {
            return None;
        }
        let group = Scope::group_of(app).to_string().to_lowercase();
        Some((principal.map(str::to_owned), group))
    }
}

/// The rights of an identity, or else of the caller, on an app or a group.
async fn rights_at(
    environment: &Environment,
    principal: Option<&str>,
    at: &str,
    call: &Call,
) -> Result<Rights, AzureError> {
    let azure = &environment.resource_manager;
    match principal {
        Some(principal) => azure.rights_of(principal, at, call).await,
        None => azure.rights(at, call).await,
    }
}

fn not_allowed(rights: &Rights, wanted: &[Action]) -> Vec<Action> {
    let missing = wanted.iter().filter(|(action, _)| !rights.allow(action));
    missing.cloned().collect()
}

impl Missing {
    fn words(&self, actions: &[Action]) -> String {
        let actions = actions.iter();
        let actions = actions.map(|(action, purpose)| format!("{action} (to {purpose})"));
        let actions: Vec<String> = actions.collect();
        let of_whom = self.client_id.as_ref().map_or_else(String::new, |id| {
            format!(", for the identity with the client id {id}")
        });
        format!("missing {}{of_whom}", actions.join(", "))
    }
}

/// The actions that rotations of this app need.
fn wanted(environment: &Environment, policies: &[String], app: &App) -> Vec<Action> {
    let writes = app.references.iter().any(|reference| {
        let is_pinned = reference.secret_version.is_some();
        let secret = reference
            .secret_name
            .as_deref()
            .and_then(|name| name.parse::<SecretName>().ok());
        let vault = reference.vault_name.as_deref().unwrap_or_default();
        let policy =
            secret.map(|secret| route_of(&environment.config, policies, vault, &secret).policy);
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

/// The command that grants the missing actions to all apps, and nothing else: one role, assigned
/// once for each scope.
fn grant(environment: &Environment, missing: &Missing, concerned: &Concerned<'_>) -> Fix {
    let scopes = scopes_of(&environment.config.scope, &concerned.apps);
    let name = role_name(missing, &scopes);
    let quoted = |it: &mut dyn Iterator<Item = String>| {
        let quoted: Vec<String> = it.map(|it| format!("\"{it}\"")).collect();
        quoted.join(",")
    };
    let actions = quoted(&mut concerned.actions.iter().map(|(action, _)| action.clone()));
    let assignable = quoted(&mut scopes.iter().map(Scope::to_string));
    let define = format!(
        "az role definition create --role-definition '{{\"Name\":\"{name}\",\"IsCustom\":true,\"Actions\":[{actions}],\
         \"AssignableScopes\":[{assignable}]}}'"
    );
    let assign = |scope: &str| {
        format!(
            "az role assignment create --assignee-object-id {} --assignee-principal-type ServicePrincipal \
             --role \"{name}\" --scope {scope}",
            missing.principal
        )
    };
    Fix::command(match &scopes[..] {
        [scope] => format!("{define} && {}", assign(&scope.to_string())),
        several => {
            let several: Vec<String> = several.iter().map(Scope::to_string).collect();
            let assign = assign("\"$scope\"");
            format!(
                "{define} && for scope in {}; do {assign}; done",
                several.join(" ")
            )
        }
    })
}

/// The scopes that cover these apps: their resource group if they have one in common, else the
/// scopes of the configuration. A role for a whole subscription would give more than was meant if
/// the configuration names groups.
fn scopes_of(configured: &[Scope], apps: &[&AppId]) -> Vec<Scope> {
    let mut groups: Vec<Scope> = Vec::new();
    let mut covering: Vec<Scope> = Vec::new();
    for app in apps {
        let group = Scope::group_of(app);
        let covers = configured.iter().find(|scope| scope.contains(app));
        let scope = covers.unwrap_or(&group);
        if !covering.contains(scope) {
            covering.push(scope.clone());
        }
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    match &groups[..] {
        [_] => groups,
        _ => covering,
    }
}

/// A name that no other missing right has: roles of a tenant have different names.
fn role_name(missing: &Missing, scopes: &[Scope]) -> String {
    let all = ALWAYS.iter().chain(&PATCH).chain([&SLOTS]);
    let words = all.filter(|(_, purpose)| missing.purposes.contains(purpose));
    let words: Vec<&str> = words.map(|(action, _)| word_of(action)).collect();
    let scope = scopes.first().map_or("", |scope| {
        scope.resource_group().unwrap_or(scope.subscription())
    });
    let identity = missing.client_id.as_ref();
    let identity = identity.map_or_else(String::new, |id| format!(" {id}"));
    format!("keyrelay {} ({scope}{identity})", words.join(" "))
}

/// The word for an action in the name of a role.
fn word_of(action: &str) -> &'static str {
    match action {
        "Microsoft.Web/sites/Read" => "find",
        "Microsoft.Web/sites/config/Read" => "status",
        "Microsoft.Web/sites/config/appsettings/refresh/action" => "refresh",
        "Microsoft.Web/sites/config/list/Action" => "list",
        "Microsoft.Web/sites/config/Write" => "write",
        _ => "slots",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(group: &str, name: &str) -> AppId {
        let id =
            format!("/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Web/sites/{name}");
        id.parse().unwrap()
    }

    fn scopes(configured: &[&str], apps: &[AppId]) -> Vec<String> {
        let configured: Vec<Scope> = configured.iter().map(|it| it.parse().unwrap()).collect();
        let apps: Vec<&AppId> = apps.iter().collect();
        let scopes = scopes_of(&configured, &apps);
        scopes.iter().map(Scope::to_string).collect()
    }

    #[test]
    fn a_role_is_assigned_where_it_covers_the_apps_and_no_more_than_was_meant() {
        let group = |name: &str| format!("/subscriptions/s/resourceGroups/{name}");
        let apps = [app("a", "one"), app("a", "two")];
        assert_eq!(scopes(&["/subscriptions/s"], &apps), [group("a")]);
        let apps = [app("a", "one"), app("b", "two"), app("b", "three")];
        assert_eq!(scopes(&["/subscriptions/s"], &apps), ["/subscriptions/s"]);
        let groups = [group("a"), group("b"), group("c")];
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        assert_eq!(scopes(&groups, &apps), [group("a"), group("b")]);
    }
}

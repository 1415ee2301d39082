//! The dry run of a rotation: the policy's decision about the references that the index knows, checked
//! as keyrelay-host would.

use std::time::Duration;

use keyrelay_config::{Config, Mode, Route};
use keyrelay_model::{
    AppId, Event, ObjectKind, Occurrence, PlannedChange, Reference, SecretName, SettingName,
    SettingValue, Settings, Target, VaultHost,
};
use keyrelay_records::IndexedReference;
use keyrelay_sandbox::{Evaluation, EvaluationInputs, EvaluationOutcome, Policy, PolicyLimits};
use tokio::time::Instant;

/// The stand-in for the version that does not exist yet.
pub(crate) const NEXT_VERSION: &str = "next";

/// The time after which no more apps are evaluated for one page.
const DRY_RUN_TIMEOUT: Duration = Duration::from_millis(400);

/// The rotation of a secret that would begin now.
#[derive(Debug)]
pub(crate) struct DryRun<'a> {
    pub(crate) config: &'a Config,
    pub(crate) route: &'a Route<'a>,
    pub(crate) policy: &'a Policy,
    pub(crate) event: &'a Event,
}

/// The dry run for one app.
#[derive(Debug)]
pub(crate) struct DryRotation {
    pub(crate) app: AppId,
    pub(crate) result: DryResult,
    /// The output of the policy.
    pub(crate) log: Vec<String>,
}

/// The result for one app, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DryResult {
    /// The settings would be written.
    Patch(Vec<PlannedChange>),
    /// The references would be refreshed.
    Refresh,
    /// Nothing would be changed, for this reason.
    Nothing(String),
    /// The check would refuse the patch.
    Refused(String),
    /// The policy would fail.
    Failed(String),
    /// There was no time to find out.
    Unknown,
}

impl DryRun<'_> {
    /// Evaluates the policy for apps, one after the other, for a limited time.
    pub(crate) async fn of(&self, apps: &[(&AppId, Vec<&IndexedReference>)]) -> Vec<DryRotation> {
        let end = Instant::now() + DRY_RUN_TIMEOUT;
        let mut rotations = Vec::new();
        for (app, references) in apps {
            let (result, log) = match self.not_handled(app) {
                Some(reason) => (DryResult::Nothing(reason), Vec::new()),
                None if Instant::now() > end => (DryResult::Unknown, Vec::new()),
                None => self.evaluate(app, references).await,
            };
            rotations.push(DryRotation {
                app: (*app).clone(),
                result,
                log,
            });
        }
        rotations
    }

    /// The reason why the app is not handled at all.
    fn not_handled(&self, app: &AppId) -> Option<String> {
        let rule_apps = self.route.rule.map(|rule| rule.apps.as_slice());
        let rule_apps = rule_apps.unwrap_or_default();
        if self.route.mode == Mode::Off {
            return Some("the mode is `off`".to_owned());
        }
        if !rule_apps.is_empty() && !rule_apps.contains(app) {
            return Some("the rule names other apps".to_owned());
        }
        if !self.config.scope.is_empty() && !self.config.may_handle(app) {
            return Some("the app is not in the scope".to_owned());
        }
        None
    }

    async fn evaluate(
        &self,
        app: &AppId,
        references: &[&IndexedReference],
    ) -> (DryResult, Vec<String>) {
        let vault_suffix = &self.config.cloud.vault_suffix;
        let rule = self.route.rule;
        let limits = rule.map(|rule| rule.limits).unwrap_or_default();
        let inputs = EvaluationInputs {
            event: self.event.clone(),
            app: app.clone(),
            settings: settings(self.event, references),
            parameters: rule.map(|rule| rule.parameters.clone()).unwrap_or_default(),
            grant: rule.map(|rule| rule.grant.clone()).unwrap_or_default(),
            limits: PolicyLimits::with(limits.time, limits.memory),
            vault_suffix: vault_suffix.clone(),
        };
        let Evaluation { outcome, log, .. } = inputs.evaluate(self.policy).await;
        let result = match outcome {
            EvaluationOutcome::Patch(plan) if plan.is_empty() => {
                DryResult::Nothing("the app has it already".to_owned())
            }
            EvaluationOutcome::Patch(plan) => DryResult::Patch(plan.describe(vault_suffix)),
            EvaluationOutcome::Refused(reason) => DryResult::Refused(reason),
            EvaluationOutcome::Refresh => DryResult::Refresh,
            EvaluationOutcome::Notice(text) => DryResult::Nothing(format!("a notice: {text}")),
            EvaluationOutcome::Skip(reason) => DryResult::Nothing(reason),
            EvaluationOutcome::Error(reason) => DryResult::Failed(reason),
        };
        (result, log)
    }
}

/// The event of a new version of a secret, now.
pub(crate) fn event_now(
    vault: &VaultHost,
    secret: &SecretName,
    kind: ObjectKind,
    now: jiff::Timestamp,
) -> Event {
    Event {
        id: "dry-run".to_owned(),
        vault_host: vault.clone(),
        kind,
        name: secret.clone(),
        occurrence: Occurrence::NewVersionCreated,
        version: NEXT_VERSION.parse().ok(),
        time: u64::try_from(now.as_second()).unwrap_or_default(),
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    }
}

/// The settings of an app, as far as the index knows them: the references to the event's secret.
/// Those in connection strings count only if there are no others, because a patch cannot change them.
fn settings(event: &Event, references: &[&IndexedReference]) -> Settings {
    let in_settings = references.iter().any(|it| !it.is_connection_string);
    let counted = references
        .iter()
        .filter(|it| !(in_settings && it.is_connection_string));
    let setting = |it: &&IndexedReference| {
        let target = Target {
            vault_host: event.vault_host.clone(),
            secret: event.name.clone(),
            version: it.version.as_deref().and_then(|it| it.parse().ok()),
        };
        let value = SettingValue::from(&Reference::to(target));
        (SettingName::listed(&it.setting), value)
    };
    counted.map(setting).collect()
}

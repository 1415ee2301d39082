//! The computations of a rotation without network: decoding, decision and plan.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use keyrelay_model::{
    AppId, Decision, Event, Grant, SettingName, SettingValue, Settings, decode_events, plan,
};
use keyrelay_sandbox::{
    AppView, Compilation, Policy, PolicyLimits, Sandbox, VisibleSetting, VisibleValue,
    visible_settings,
};
use serde_json::Value;

use crate::app;
use crate::bare::{BarePolicy, types};

const SUFFIX: &str = "vault.azure.net";

/// The numbers of settings of an app: usual ones, and far more than usual.
pub(crate) const SETTINGS: [usize; 3] = [10, 50, 500];

pub(crate) fn measure(criterion: &mut Criterion) {
    let module = fs::read(app::shipped_policy("pin")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sandbox = Sandbox::new(Compilation::InProcess).unwrap();
    let policy = runtime
        .block_on(sandbox.load("pin", module.clone()))
        .unwrap();
    let bare = BarePolicy::new(&module).unwrap();

    let body = app::invocation("secrets/sql", "SecretNewVersionCreated");
    criterion.bench_function("decision/decode", |bencher| {
        bencher.iter(|| {
            let envelope: Value = serde_json::from_slice(black_box(body.as_bytes())).unwrap();
            decode_events(
                envelope.pointer("/Data/event").unwrap(),
                jiff::Timestamp::now(),
            )
        });
    });

    let mut group = criterion.benchmark_group("decision");
    for count in SETTINGS {
        let input = DecisionInput::new(count);
        let (event, seen) = (input.bare_event(), input.bare_app());
        group.bench_function(BenchmarkId::new("bare", count), |bencher| {
            bencher.iter(|| bare.decide(&event, &seen))
        });
        group.bench_function(BenchmarkId::new("sandbox", count), |bencher| {
            bencher.iter(|| runtime.block_on(input.decide(&policy)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("decision/plan");
    for count in SETTINGS {
        let input = DecisionInput::new(count);
        let Decision::Patch(patch) = runtime.block_on(input.decide(&policy)) else {
            panic!("not a patch")
        };
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                plan(
                    &patch,
                    &input.event,
                    &input.settings,
                    &Grant::default(),
                    SUFFIX,
                )
                .unwrap()
            });
        });
    }
    group.finish();
}

/// The input of a decision: an app in which every fifth setting references the secret.
struct DecisionInput {
    event: Event,
    app: AppId,
    settings: Settings,
    visible: Vec<VisibleSetting>,
}

impl DecisionInput {
    fn new(count: usize) -> Self {
        let envelope: Value =
            serde_json::from_str(&app::invocation("secrets/sql", "SecretNewVersionCreated"))
                .unwrap();
        let event = decode_events(
            envelope.pointer("/Data/event").unwrap(),
            jiff::Timestamp::now(),
        )
        .remove(0)
        .unwrap();
        let mut settings = Settings::default();
        for number in 0..count {
            let value = match number % 5 {
                0 => "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql;SecretVersion=1)",
                _ => "some plain text, as settings have it",
            };
            settings.set(
                SettingName::listed(format!("SETTING_{number:04}")),
                SettingValue::new(value),
            );
        }
        let visible = visible_settings(&settings, &Grant::default(), SUFFIX);
        let app = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders"
            .parse()
            .unwrap();
        Self {
            event,
            app,
            settings,
            visible,
        }
    }

    async fn decide(&self, policy: &Policy) -> Decision {
        let view = AppView {
            id: &self.app,
            settings: &self.visible,
            parameters: &BTreeMap::new(),
            grant: &keyrelay_model::Grant::default(),
        };
        policy
            .decide(&self.event, &view, &PolicyLimits::default())
            .await
            .unwrap()
            .decision
    }

    fn bare_event(&self) -> types::Event {
        let event = &self.event;
        types::Event {
            id: event.id.clone(),
            vault: event.vault_host.vault().to_owned(),
            vault_host: event.vault_host.as_str().to_owned(),
            kind: types::ObjectKind::Secret,
            name: event.name.as_str().to_owned(),
            occurrence: types::Occurrence::NewVersionCreated,
            version: event
                .version
                .as_ref()
                .map(|version| version.as_str().to_owned()),
            time: event.time,
            not_before: event.not_before,
            expires: event.expires,
        }
    }

    fn bare_app(&self) -> types::App {
        let value = |value: &VisibleValue| match value {
            VisibleValue::Reference(target) => types::Value::Reference(types::Reference {
                vault_host: target.vault_host.as_str().to_owned(),
                secret: target.secret.as_str().to_owned(),
                version: target
                    .version
                    .as_ref()
                    .map(|version| version.as_str().to_owned()),
            }),
            VisibleValue::Text(text) => types::Value::Text(text.expose().to_owned()),
            VisibleValue::Withheld => types::Value::Withheld,
        };
        let setting = |it: &VisibleSetting| types::Setting {
            name: it.name.as_str().to_owned(),
            value: value(&it.value),
        };
        types::App {
            id: self.app.to_string(),
            name: self.app.site().to_owned(),
            slot: self.app.slot().map(str::to_owned),
            settings: self.visible.iter().map(setting).collect(),
            parameters: Vec::new(),
        }
    }
}

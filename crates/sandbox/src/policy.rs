//! A loaded policy, and the ways to ask it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use keyrelay_model::{Event, ObjectKind, Occurrence};
use wasmtime::Store;

use crate::about::About;
use crate::answer::{self, Answer};
use crate::bindings::{PolicyPre, types};
use crate::cell::{self, Cell, Outcome};
use crate::digest::Digest;
use crate::error::{DecideError, LoadError, Undecided};
use crate::limits::Limits;
use crate::output::printable;
use crate::sandbox::{Compiled, Shared};
use crate::view::{AppView, VisibleSetting, VisibleValue};
use crate::world::World;

/// A policy, compiled and ready. Every question goes to a fresh instance: nothing survives between two.
pub struct Policy {
    name: String,
    digest: Digest,
    about: About,
    linked: PolicyPre<Cell>,
    shared: Arc<Shared>,
}

impl Policy {
    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it says about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Asks what should happen to one app because of one event. The same question gets the same answer, always.
    pub async fn decide(
        &self,
        event: &Event,
        app: &AppView<'_>,
        limits: &Limits,
    ) -> Result<Answer, Undecided> {
        let started = Instant::now();
        let id = app.id.to_string();
        let settings: Vec<types::Setting<'_>> = app.settings.iter().map(setting).collect();
        let parameters = parameters(app.parameters);
        let seen_app = types::App {
            id: &id,
            name: app.id.site(),
            slot: app.id.slot(),
            settings: &settings,
            parameters: &parameters,
        };
        let mut store = self.open(&World::of(event), limits);
        let call = async {
            let policy = self.linked.instantiate_async(&mut store).await?;
            policy
                .call_decide(&mut store, seen_event(event), seen_app)
                .await
        };
        let answered = cell::within(&self.shared.ticker, limits, call).await;
        let Outcome {
            result,
            mut log,
            memory,
        } = cell::close(store, answered, limits);
        log.iter_mut().for_each(|line| app.redact(line));
        let decided = result.and_then(|answer| {
            if answer::size(&answer) > limits.answer {
                return Err(DecideError::Answer {
                    limit: limits.answer,
                });
            }
            let decision = answer.map_err(|reason| DecideError::Policy(printable(&reason)))?;
            answer::decision(decision, app).map_err(DecideError::Invalid)
        });
        match decided {
            Ok(decision) => Ok(Answer {
                decision,
                log,
                elapsed: started.elapsed(),
                memory,
            }),
            Err(mut error) => {
                if let Some(words) = error.words_mut() {
                    app.redact(words);
                }
                Err(Undecided { error, log })
            }
        }
    }

    /// Asks whether a rotation's parameters make sense to the policy.
    pub async fn check_parameters(
        &self,
        parameters: &BTreeMap<String, String>,
        limits: &Limits,
    ) -> Result<(), DecideError> {
        let parameters = self::parameters(parameters);
        let mut store = self.open(&World::without_event(), limits);
        let call = async {
            let policy = self.linked.instantiate_async(&mut store).await?;
            policy.call_check_parameters(&mut store, &parameters).await
        };
        let answered = cell::within(&self.shared.ticker, limits, call).await;
        let checked = cell::close(store, answered, limits).result?;
        checked.map_err(|reason| DecideError::Policy(printable(&reason)))
    }

    /// Makes a policy of a compiled file by asking it what it is.
    pub(crate) async fn describe(
        shared: Arc<Shared>,
        name: &str,
        compiled: Compiled,
    ) -> Result<Self, LoadError> {
        let Compiled { digest, linked } = compiled;
        let limits = Limits::default();
        let mut store = Cell::open(linked.engine(), &World::without_event(), &limits);
        let call = async {
            linked
                .instantiate_async(&mut store)
                .await?
                .call_describe(&mut store)
                .await
        };
        let answered = cell::within(&shared.ticker, &limits, call).await;
        let about = cell::close(store, answered, &limits)
            .result
            .map_err(LoadError::Describe)?
            .into();
        Ok(Self {
            name: name.to_owned(),
            digest,
            about,
            linked,
            shared,
        })
    }

    fn open(&self, world: &World, limits: &Limits) -> Store<Cell> {
        Cell::open(self.linked.engine(), world, limits)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Policy");
        debug
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("about", &self.about);
        debug.finish_non_exhaustive()
    }
}

fn seen_event(event: &Event) -> types::Event<'_> {
    types::Event {
        id: &event.id,
        vault: event.vault_host.vault(),
        vault_host: event.vault_host.as_str(),
        kind: match event.kind {
            ObjectKind::Secret => types::ObjectKind::Secret,
            ObjectKind::Certificate => types::ObjectKind::Certificate,
            ObjectKind::Key => types::ObjectKind::Key,
        },
        name: event.name.as_str(),
        occurrence: match event.occurrence {
            Occurrence::NewVersionCreated => types::Occurrence::NewVersionCreated,
            Occurrence::NearExpiry => types::Occurrence::NearExpiry,
            Occurrence::ExpiryReminder => types::Occurrence::ExpiryReminder,
            Occurrence::Expired => types::Occurrence::Expired,
        },
        version: event.version.as_ref().map(|version| version.as_str()),
        time: event.time,
        not_before: event.not_before,
        expires: event.expires,
    }
}

fn setting(setting: &VisibleSetting) -> types::Setting<'_> {
    let value = match &setting.value {
        VisibleValue::Reference(target) => types::Value::Reference(types::ReferenceParam {
            vault_host: target.vault_host.as_str(),
            secret: target.secret.as_str(),
            version: target.version.as_ref().map(|version| version.as_str()),
        }),
        VisibleValue::Text(text) => types::Value::Text(text.expose()),
        VisibleValue::Withheld => types::Value::Withheld,
    };
    types::Setting {
        name: setting.name.as_str(),
        value,
    }
}

fn parameters(parameters: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

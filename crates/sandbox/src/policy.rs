//! A loaded policy and its calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use keyrelay_model::{Event, ObjectKind, Occurrence, log_line};
use wasmtime::Store;

use crate::about::About;
use crate::bindings::{PolicyPre, types};
use crate::decision::{self, PolicyDecision};
use crate::digest::Digest;
use crate::error::{DecideError, LoadError, Undecided};
use crate::limits::PolicyLimits;
use crate::redaction::{self, Redaction};
use crate::store_data::{self, CallOutcome, StoreData};
use crate::ticker::Ticker;
use crate::view::{AppView, VisibleSetting, VisibleValue};
use crate::wasi_context::WasiContext;

/// A compiled policy. Every call runs in a fresh instance, so no state survives from one call to
/// the next.
pub struct Policy {
    name: String,
    digest: Digest,
    about: About,
    linked: PolicyPre<StoreData>,
    ticker: Arc<Ticker>,
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

    /// The policy's description of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The size of the policy's machine code in memory, in bytes. It is nearly all that a policy
    /// keeps.
    pub fn memory(&self) -> usize {
        let image = self.linked.instance_pre().component().image_range();
        image.end.addr().saturating_sub(image.start.addr())
    }

    /// Decides what happens to one app because of one event. Equal arguments always give equal
    /// decisions.
    pub async fn decide(
        &self,
        event: &Event,
        app: &AppView<'_>,
        limits: &PolicyLimits,
    ) -> Result<PolicyDecision, Undecided> {
        let started = Instant::now();
        let redaction = Redaction::of(app.settings);
        let id = app.id.to_string();
        let settings: Vec<types::Setting<'_>> = app.settings.iter().map(setting).collect();
        let parameters = parameters(app.parameters);
        let app_argument = types::App {
            id: &id,
            name: app.id.site(),
            slot: app.id.slot(),
            settings: &settings,
            parameters: &parameters,
        };
        let mut store = self.open(&WasiContext::of(event), limits);
        let call = async {
            let policy = self.linked.instantiate_async(&mut store).await?;
            policy
                .call_decide(&mut store, event_argument(event), app_argument)
                .await
        };
        let returned = store_data::within(&self.ticker, limits, call).await;
        let CallOutcome {
            result,
            mut log,
            memory,
        } = store_data::close(store, returned, limits, &redaction);
        log.splice(..0, app.settings.iter().filter_map(withheld_note));
        let decided = result.and_then(|returned| {
            if decision::size(&returned) > limits.decision {
                return Err(DecideError::TooLarge {
                    limit: limits.decision,
                });
            }
            let decision =
                returned.map_err(|reason| DecideError::Policy(redaction.printable(&reason)))?;
            decision::convert(decision, event, app, &redaction).map_err(DecideError::Invalid)
        });
        match decided {
            Ok(decision) => Ok(PolicyDecision {
                decision,
                log,
                elapsed: started.elapsed(),
                memory,
            }),
            Err(error) => Err(Undecided { error, log }),
        }
    }

    /// Has the policy check the parameters of a rotation.
    pub async fn check_parameters(
        &self,
        parameters: &BTreeMap<String, String>,
        limits: &PolicyLimits,
    ) -> Result<(), DecideError> {
        let parameters = self::parameters(parameters);
        let mut store = self.open(&WasiContext::without_event(), limits);
        let call = async {
            let policy = self.linked.instantiate_async(&mut store).await?;
            policy.call_check_parameters(&mut store, &parameters).await
        };
        let returned = store_data::within(&self.ticker, limits, call).await;
        // The settings of an app are not among its arguments.
        let redaction = Redaction::none();
        let checked = store_data::close(store, returned, limits, &redaction).result?;
        checked.map_err(|reason| DecideError::Policy(redaction.printable(&reason)))
    }

    /// Creates a policy from a compiled file. Calls its `describe`.
    pub(crate) async fn describe(
        ticker: Arc<Ticker>,
        name: &str,
        digest: Digest,
        linked: PolicyPre<StoreData>,
    ) -> Result<Self, LoadError> {
        let limits = PolicyLimits::default();
        let mut store = StoreData::open(linked.engine(), &WasiContext::without_event(), &limits);
        let call = async {
            linked
                .instantiate_async(&mut store)
                .await?
                .call_describe(&mut store)
                .await
        };
        let returned = store_data::within(&ticker, &limits, call).await;
        let about = store_data::close(store, returned, &limits, &Redaction::none())
            .result
            .map_err(LoadError::Describe)?
            .into();
        Ok(Self {
            name: name.to_owned(),
            digest,
            about,
            linked,
            ticker,
        })
    }

    fn open(&self, context: &WasiContext, limits: &PolicyLimits) -> Store<StoreData> {
        StoreData::open(self.linked.engine(), context, limits)
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

fn event_argument(event: &Event) -> types::Event<'_> {
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
        VisibleValue::Text(text) if redaction::is_redactable(text) => {
            types::Value::Text(text.expose())
        }
        VisibleValue::Text(_) | VisibleValue::Withheld => types::Value::Withheld,
    };
    types::Setting {
        name: setting.name.as_str(),
        value,
    }
}

/// The line of the log about a revealed value that the policy does not see, because it is too short
/// to be redacted.
fn withheld_note(setting: &VisibleSetting) -> Option<String> {
    let VisibleValue::Text(text) = &setting.value else {
        return None;
    };
    let note = format!(
        "keyrelay: `{}` is withheld although `reveal` lists it: a value of less than {} bytes cannot \
         be redacted; take it out of `reveal`, or make the value longer",
        setting.name,
        redaction::SHORTEST
    );
    (!redaction::is_redactable(text)).then(|| log_line(&note))
}

fn parameters(parameters: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

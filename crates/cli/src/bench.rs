//! `keyrelay bench`: the cost of a decision.

mod empty;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use keyrelay_model::{
    AppId, Event, Grant, ObjectKind, Occurrence, SettingName, SettingValue, Settings,
};
use keyrelay_sandbox::{AppView, Policy, PolicyLimits, VisibleSetting, visible_settings};
use serde_json::json;

use crate::out;
use crate::policy;
use crate::sandbox;

/// Measure a policy: decisions per second and latency, compared with an empty policy
///
/// Every fifth setting of the app references the event's secret. For meaningful numbers, build this
/// program and the policy with optimisations.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The policy: a `.wasm`, or its project
    policy: PathBuf,
    /// Number of settings of the app
    #[arg(long, default_value_t = 50)]
    settings: usize,
    /// Duration of each of the two measurements, in seconds
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The results of a measurement.
struct Measured {
    a_second: f64,
    median: Duration,
    /// The 99th percentile.
    percentile_99: Duration,
}

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let policy_file = policy::find_one(&self.policy)?;
        let sandbox = sandbox::new()?;
        let policy = policy_file.load(&sandbox).await?;
        let empty = sandbox
            .load("empty", empty::module()?)
            .await
            .context("the empty policy does not load")?;
        let time = Duration::from_secs(self.seconds);
        out::note(&format!(
            "measuring for 2 times {} s, with {} settings",
            self.seconds, self.settings
        ));
        let subject = Subject::new(self.settings)?;
        let (empty, policy) = (
            subject.measure(&empty, time).await?,
            subject.measure(&policy, time).await?,
        );
        let ratio = policy.median.as_secs_f64() / empty.median.as_secs_f64();
        if self.json {
            let as_json = |it: &Measured| {
                json!({
                    "decisions_a_second": it.a_second.round(),
                    "median_us": it.median.as_secs_f64() * 1e6,
                    "percentile_99_us": it.percentile_99.as_secs_f64() * 1e6,
                })
            };
            let result =
                json!({ "policy": as_json(&policy), "empty": as_json(&empty), "ratio": ratio });
            out::line(&result.to_string());
            return Ok(());
        }
        out::line(&format!(
            "{:12}  {:>12}  {:>10}  {:>10}",
            "", "a second", "median", "99 %"
        ));
        for (name, it) in [("empty", &empty), (policy_file.name.as_str(), &policy)] {
            let microseconds = |time: Duration| format!("{:.1} us", time.as_secs_f64() * 1e6);
            let (median, slow) = (microseconds(it.median), microseconds(it.percentile_99));
            out::line(&format!(
                "{name:12}  {:>12.0}  {median:>10}  {slow:>10}",
                it.a_second
            ));
        }
        out::line(&format!(
            "{:12}  {ratio:.2} times the empty policy",
            "median"
        ));
        Ok(())
    }
}

/// The event and the app that are decided about repeatedly.
struct Subject {
    event: Event,
    app: AppId,
    settings: Vec<VisibleSetting>,
    parameters: BTreeMap<String, String>,
}

impl Subject {
    fn new(count: usize) -> anyhow::Result<Self> {
        let event = Event {
            id: "bench".to_owned(),
            vault_host: "contoso-kv.vault.azure.net".parse()?,
            kind: ObjectKind::Secret,
            name: "sql".parse()?,
            occurrence: Occurrence::NewVersionCreated,
            version: Some("2".parse()?),
            time: 1_793_424_739,
            nanoseconds: 0,
            is_time_of_arrival: false,
            not_before: None,
            expires: None,
        };
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
        let settings = visible_settings(&settings, &Grant::default(), "vault.azure.net");
        let app =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders".parse()?;
        Ok(Self {
            event,
            app,
            settings,
            parameters: BTreeMap::new(),
        })
    }

    async fn measure(&self, policy: &Policy, time: Duration) -> anyhow::Result<Measured> {
        let view = AppView {
            id: &self.app,
            settings: &self.settings,
            parameters: &self.parameters,
            grant: &Grant::default(),
        };
        // The warm-up takes a tenth of the time.
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < time + time / 10 {
            let start = Instant::now();
            let evaluated = policy
                .decide(&self.event, &view, &PolicyLimits::default())
                .await;
            evaluated.with_context(|| format!("policy `{}` does not decide", policy.name()))?;
            if began.elapsed() > time / 10 {
                times.push(start.elapsed());
            }
        }
        times.sort();
        let at = |part: f64| {
            times
                .get((times.len() as f64 * part) as usize)
                .or(times.last())
                .copied()
        };
        Ok(Measured {
            a_second: times.len() as f64 / time.as_secs_f64(),
            median: at(0.5).context("nothing was measured")?,
            percentile_99: at(0.99).context("nothing was measured")?,
        })
    }
}

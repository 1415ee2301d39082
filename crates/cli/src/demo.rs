//! `keyrelay demo`: the demonstration of one rotation.
//!
//! An app sends telemetry to the sink whose key is in its setting, and the setting is a reference
//! to a secret. When the secret changes, the telemetry has to go to the other sink, without a
//! change to the app by hand. The reference is pinned. Another app has one without a version, whose
//! evidence is a second refresh.

mod function_app;
mod observe;
mod refreshed;
mod telemetry;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use keyrelay_local_azure::functions_host::FunctionsHostOptions;
use keyrelay_local_azure::{LocalAzure, LocalAzureOptions, Profile, Service, World};

use tokio::sync::mpsc;

use crate::interruption::interruption;
use crate::out;
use function_app::{CopiedApp, STORE, copy_of};
use observe::{HandlerLines, expect, print_field, until};
use telemetry::Sink;

/// Show a rotation, from the event to its verification
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The folder of the function app, with host.json and keyrelay-host in it
    #[arg(long, default_value = "target/app")]
    app: PathBuf,
    /// Keep everything running afterwards, and print commands to try
    #[arg(long)]
    stay: bool,
}

const VAULT: &str = "contoso-kv";
const SITE: &str = "telemetry-clock";
const SETTING: &str = "APPINSIGHTS_INSTRUMENTATIONKEY";
const SECRET: &str = "appinsights-instrumentationkey";
const OTHER_SECRET: &str = "sql-password";
const REPORTS: &str = "reports";
const REPORTS_SECRET: &str = "reports-key";

/// The speed of the stand-in's clock, for everything that takes Azure or its timer a while.
const CLOCK: f64 = 10.0;

/// The time that a refresh takes Azure, by that clock. The stand-in takes 15 s.
const AZURE_REFRESH: Duration = Duration::from_millis(1_600);

/// The timeout of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(25);

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let started = Instant::now();
        let [first, second] = [Sink::new("first"), Sink::new("second")];
        let folder = tempfile::tempdir().context("cannot make a folder for the demonstration")?;
        let app = copy_of(&self.app, folder.path())?;
        let password = uuid::Uuid::new_v4().to_string();
        let azure = start(&app, &first, &second, &password).await?;
        let mut demonstration = Demonstration {
            azure,
            first,
            second,
            password,
            value: uuid::Uuid::new_v4().to_string(),
            steps: 0,
        };

        demonstration.before().await?;
        demonstration.rotate().await?;
        demonstration.after().await?;
        demonstration.refresh_twice().await?;
        demonstration.ignore_another_secret().await?;
        demonstration.keep_secrets()?;

        out::line(&format!(
            "\nall {} steps were observed, in {} s",
            demonstration.steps,
            started.elapsed().as_secs()
        ));
        if self.stay {
            demonstration.print_commands(&app.root);
            interruption().context("cannot wait for signals")?.await;
        }
        Ok(())
    }
}

async fn start(
    app: &CopiedApp,
    first: &Sink,
    second: &Sink,
    password: &str,
) -> anyhow::Result<LocalAzure> {
    let world = format!(
        r#"
        subscription = "00000000-0000-0000-0000-000000000001"

        [[vault]]
        name = "{VAULT}"
        resource_group = "shop"
        secrets = {{ {SECRET} = "{key}", {OTHER_SECRET} = "{password}", {REPORTS_SECRET} = "one" }}

        [[site]]
        name = "{SITE}"
        resource_group = "shop"
        command = ["sh", "-c", '{app}']
        settings = {{ {SETTING} = "@Microsoft.KeyVault(VaultName={VAULT};SecretName={SECRET})" }}

        [[site]]
        name = "{REPORTS}"
        resource_group = "shop"
        settings = {{ API_KEY = "@Microsoft.KeyVault(VaultName={VAULT};SecretName={REPORTS_SECRET})" }}

        [[site]]
        name = "keyrelay"
        resource_group = "shop"
        settings = {{ KEYRELAY_VAULTS = "{VAULT}" }}
        "#,
        key = first.key,
        app = telemetry::APP,
    );
    let app_root = app.root.as_path();
    let world = World::parse(&world).context("the world of the demonstration cannot be")?;
    let mut options = LocalAzureOptions::new(world, app_root);
    let (sender, sent) = mpsc::unbounded_channel();
    options.cloud.app_lines = Some(sender);
    tokio::spawn(telemetry::deliver(sent, [first.clone(), second.clone()]));
    options.site = Some("keyrelay".to_owned());
    options.functions_host = FunctionsHostOptions::new(app_root);
    // Azure as it is reported to behave, on a faster clock.
    options.cloud.profile = Profile::as_reported().faster(CLOCK);
    options.functions_host.clock = CLOCK;
    options.functions_host.environment.push((
        "KEYRELAY_AZURE_REFRESH_MS".to_owned(),
        AZURE_REFRESH.as_millis().to_string(),
    ));
    // It matters if the app has trusted keys: then the changed lock needs another one.
    let trusted_key = app.trusted_key.map(|key| key.to_string());
    options
        .functions_host
        .environment
        .extend(trusted_key.map(|key| ("KEYRELAY_TRUSTED_KEYS".to_owned(), key)));
    LocalAzure::start(options)
        .await
        .context("the stand-in for Azure does not start")
}

/// The state of the demonstration.
struct Demonstration {
    azure: LocalAzure,
    first: Sink,
    second: Sink,
    /// The first value of the other secret.
    password: String,
    /// The second value of the secret of `reports`.
    value: String,
    steps: u32,
}

impl Demonstration {
    fn step(&mut self, title: &str) {
        self.steps += 1;
        out::line(&format!("\n{}. {title}", self.steps));
    }

    async fn before(&mut self) -> anyhow::Result<()> {
        self.step("the app sends the time to the sink that its setting names");
        out::line(&format!("   {SETTING} = {}", self.setting()?));
        arrivals(&self.first, 2).await?;
        ensure!(
            self.second.count() == 0,
            "lines arrived at `second` before the rotation"
        );
        Ok(())
    }

    async fn rotate(&mut self) -> anyhow::Result<()> {
        self.step(&format!(
            "the secret `{SECRET}` is set to the key of `second`"
        ));
        let mut lines = HandlerLines::follow(&self.azure.functions_host);
        let version = self
            .azure
            .cloud
            .set_secret(VAULT, SECRET, self.second.key.as_str())?;
        out::line(&format!(
            "   version {version}; the vault tells Event Grid, Event Grid the Functions host"
        ));

        self.step("the policy decides; keyrelay applies the decision and verifies it");
        let rotation = until(STEP_TIMEOUT, "the rotation", lines.rotation_of(SECRET)).await?;
        for field in [
            "event.type",
            "policy.name",
            "policy.digest",
            "decision",
            "plan",
            "verdict",
            "evidence",
            "message",
            "duration_ms",
        ] {
            print_field(&rotation, field);
        }
        expect(&rotation, "verdict", "verified")?;
        expect(&rotation, "evidence", "pinned")?;
        let row = self
            .azure
            .cloud
            .references(SITE)?
            .into_iter()
            .find(|row| row.setting == SETTING);
        let active = row.and_then(|row| row.active_version);
        ensure!(
            active.as_deref() == Some(version.as_str()),
            "Azure does not report version {version} as active"
        );
        ensure!(
            self.setting()?.contains(&version),
            "the setting is not pinned to version {version}"
        );
        Ok(())
    }

    async fn after(&mut self) -> anyhow::Result<()> {
        self.step("the app, restarted by Azure, sends to `second` only");
        arrivals(&self.second, 1).await?;
        let at_first = self.first.count();
        arrivals(&self.second, 3).await?;
        ensure!(
            self.first.count() == at_first,
            "lines still arrive at `first` after the rotation"
        );
        Ok(())
    }

    async fn ignore_another_secret(&mut self) -> anyhow::Result<()> {
        self.step(&format!(
            "another secret, `{OTHER_SECRET}`, changes: nothing happens to the app"
        ));
        let writes = self.writes();
        let mut lines = HandlerLines::follow(&self.azure.functions_host);
        self.azure
            .cloud
            .set_secret(VAULT, OTHER_SECRET, uuid::Uuid::new_v4().to_string())?;
        let rotation = until(
            STEP_TIMEOUT,
            "the other secret's event",
            lines.rotation_of(OTHER_SECRET),
        )
        .await?;
        print_field(&rotation, "verdict");
        print_field(&rotation, "message");
        expect(&rotation, "verdict", "unchanged")?;
        ensure!(self.writes() == writes, "settings were written");
        arrivals(&self.second, self.second.count() + 1).await
    }

    fn keep_secrets(&mut self) -> anyhow::Result<()> {
        self.step("no secret is in any log, and none was read from the vault");
        let lines = self.azure.functions_host.log().lines();
        let secrets = [
            &self.first.key,
            &self.second.key,
            &self.password,
            &self.value,
        ];
        let leaked = lines.iter().filter(|line| {
            secrets
                .iter()
                .any(|secret| line.text.contains(secret.as_str()))
        });
        ensure!(leaked.count() == 0, "a secret is in the log");
        let reads_value = |path: &str| path.contains("/secrets/") && !path.ends_with("/versions");
        let requests = self.azure.cloud.requests();
        let mut of_vault = requests
            .iter()
            .filter(|request| request.service == Service::KeyVault);
        if let Some(request) = of_vault.find(|request| reads_value(&request.path)) {
            bail!("{} {} was sent to the vault", request.method, request.path);
        }
        out::line(&format!(
            "   {} lines of log, {} requests",
            lines.len(),
            requests.len()
        ));
        Ok(())
    }

    fn setting(&self) -> anyhow::Result<String> {
        let settings = self.azure.cloud.settings(SITE)?;
        let value = settings
            .get(SETTING)
            .with_context(|| format!("the app has lost {SETTING}"))?;
        Ok(value.expose().to_owned())
    }

    /// The number of writes of the settings of any app.
    fn writes(&self) -> usize {
        let requests = self.azure.cloud.requests();
        requests
            .iter()
            .filter(|it| it.service == Service::ResourceManager && it.method == "PUT")
            .count()
    }

    fn print_commands(&self, app_root: &Path) {
        let resource_manager = self.azure.cloud.resource_manager_url();
        out::line(&format!(
            "\neverything keeps running until Ctrl-C\n\
             \n  rotate the secret back and forth (any text is accepted; these are the keys of the two sinks):\n\
             \x20   curl -X PUT {resource_manager}local/vaults/{VAULT}/secrets/{SECRET} -d {}\n\
             \x20   curl -X PUT {resource_manager}local/vaults/{VAULT}/secrets/{SECRET} -d {}\n\
             \n  see the runs and the apps in your browser, from another terminal:\n\
             \x20   keyrelay ui --store {store} --policies {policies}\n\
             \n  have the next rotation rolled back, find it there, and resubmit it after the second command:\n\
             \x20   curl {resource_manager}local/faults -d '{{\"service\":\"resource-manager\",\"path\":\"{SETTING}\",\"effect\":{{\"kind\":\"reference-status\",\"status\":\"AccessToKeyVaultDenied\"}}}}'\n\
             \x20   curl -X DELETE {resource_manager}local/faults\n\
             \n  show the requests to Azure:\n\
             \x20   curl {resource_manager}local/requests\n\
             \n  replace the policy: overwrite {}\n\
             \x20   keyrelay-host reloads it within a second\n",
            self.first.key,
            self.second.key,
            app_root.join(format!("policies/{SECRET}.wasm")).display(),
            store = app_root.join(STORE).join("store").display(),
            policies = app_root.join("policies").display(),
        ));
        HandlerLines::print_all(&self.azure.functions_host);
    }
}

/// Waits until a sink has received `count` lines.
async fn arrivals(sink: &Sink, count: usize) -> anyhow::Result<()> {
    let arrived = async {
        while sink.count() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    until(
        STEP_TIMEOUT,
        &format!("{count} lines at `{}`", sink.name),
        arrived,
    )
    .await?;
    out::line(&format!(
        "   {} lines at `{}`, the latest: {}",
        sink.count(),
        sink.name,
        sink.latest().unwrap_or_default()
    ));
    Ok(())
}

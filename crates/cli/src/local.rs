//! `keyrelay local`: the stand-in for Azure, until it is interrupted.

mod announcement;
mod blob_storage;
mod configuration;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use keyrelay_local_azure::functions_host::{FunctionsHost, FunctionsHostOptions, LogLine};
use keyrelay_local_azure::{AuditOptions, LocalAzure, LocalAzureOptions, Ports, Profile, World};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::MissedTickBehavior;

use crate::interruption::interruption;
use crate::{host_line, out};
use announcement::announce;
use blob_storage::BlobStorage;
use configuration::{ConfigurationFile, problems};

/// The interval at which `keyrelay.toml` is read again, to report a change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Run a stand-in for Azure on 127.0.0.1, with keyrelay-host in it
///
/// The stand-in speaks the protocols of the Functions host, Event Grid, Key Vault, Resource Manager
/// and the identity endpoint. A file, the world, lists the vaults and apps in it.
///
/// It prints a short line for each event: the time in UTC, the verdict, the app with the secret, and
/// the message. keyrelay.toml is read once, at the start: a line says so when it has changed.
///
/// Exits with 1 and the reason if the configuration is wrong, or if keyrelay-host has ended.
#[derive(Debug, Args)]
#[command(after_long_help = format!("The world, if no file is given:\n{DEFAULT_WORLD}"))]
pub(crate) struct Local {
    /// The folder of the function app, with host.json and keyrelay-host in it
    #[arg(long, default_value = "target/app")]
    app: PathBuf,
    /// The file that lists the vaults and apps; `--help` shows the default
    #[arg(long)]
    world: Option<PathBuf>,
    /// The site of the world that keyrelay-host runs as: its settings and its identity
    #[arg(long, default_value = "keyrelay")]
    site: String,
    /// Number of instances of keyrelay-host
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    instances: u16,
    /// Speed-up of Event Grid's retry schedule, compared with Azure
    #[arg(long, default_value_t = 10.0)]
    clock: f64,
    /// The folder for dead letters. Default: events that cannot be delivered are dropped
    #[arg(long)]
    dead_letter: Option<PathBuf>,
    /// The behaviour of Azure where descriptions of it differ: `ideal`, `as-reported` or a file
    ///
    /// `ideal` names the active version of each reference, and a refresh takes effect after 200 ms.
    /// `as-reported` is what users reported: no active version, rows without an id, a refresh that
    /// needs 15 s and has no effect in the first 20 s after a new version, every setting twice, and
    /// no `WEBSITE_RESOURCE_GROUP`. FILE is a file of `keyrelay calibrate`: the behaviour that it
    /// found in a subscription, completed by `as-reported`.
    #[arg(
        long,
        value_name = "ideal|as-reported|FILE",
        default_value = "as-reported"
    )]
    profile: PathBuf,
    /// Switch on the audit log of the vaults, in the Log Analytics workspace with this id
    #[arg(long, value_name = "WORKSPACE")]
    audit: Option<String>,
    /// Number of items on a page of Resource Manager's lists
    #[arg(long, default_value_t = 50)]
    page_size: usize,
    /// Write the certificate of the HTTPS endpoints to this file, for clients that require HTTPS
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// The first of six consecutive ports: Resource Manager, Key Vault, identity, Functions host,
    /// Log Analytics, blob storage. Default: free ports
    #[arg(long)]
    port: Option<u16>,
    /// Put keyrelay's store into a blob container, as in Azure: that of an Azurite, which is started
    ///
    /// Azurite is Microsoft's storage emulator, a program for Node.js. SCRIPT is its blob service,
    /// `node_modules/azurite/dist/src/blob/main.js` after `npm install azurite`; without SCRIPT the
    /// variable `KEYRELAY_AZURITE` names it. Without this option the store is a folder.
    #[arg(long, value_name = "SCRIPT", num_args = 0..=1)]
    azurite: Option<Option<PathBuf>>,
    /// The folder for Azurite's data, to keep it. Default: a temporary folder, deleted at the end
    #[arg(long, requires = "azurite")]
    azurite_folder: Option<PathBuf>,
    /// The form of the log: `text` is short lines for people, and `json` the lines of the Functions
    /// host as they are, with keyrelay-host's JSON in them
    #[arg(long, value_enum, default_value = "text")]
    log: LogForm,
    /// Append each request to Azure, with its response, to this file: one JSON object per line
    ///
    /// For comparing the traffic with Microsoft's published contracts. The file holds everything
    /// that was sent: plain-text settings, the values of secrets, and tokens (which only this
    /// stand-in accepts). The traffic of blob storage is not recorded.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

/// A vault, an app that uses its secret, and keyrelay's own app.
const DEFAULT_WORLD: &str = r#"
subscription = "00000000-0000-0000-0000-000000000001"

[[vault]]
name = "contoso-kv"
resource_group = "shop"
secrets = { sql-password = "one" }

[[site]]
name = "orders"
resource_group = "shop"
settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }

[[site]]
name = "keyrelay"
resource_group = "shop"
"#;

impl Local {
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        self.make_paths_absolute()?;
        let interruption = interruption().context("cannot wait for signals")?;
        tokio::pin!(interruption);
        // An interruption of the start ends everything that was started, too.
        let storage = match &self.azurite {
            None => None,
            Some(script) => tokio::select! {
                started = BlobStorage::start(script.clone(), self.azurite_folder.as_deref()) => Some(started?),
                () = &mut interruption => return Ok(()),
            },
        };
        let done = tokio::select! {
            done = self.serve(storage.as_ref()) => done,
            () = interruption => Ok(()),
        };
        if let Some(storage) = storage {
            storage.stop().await;
        }
        done
    }

    /// Runs the stand-in. Dropping the future stops it, with keyrelay-host and the apps.
    async fn serve(&self, storage: Option<&BlobStorage>) -> anyhow::Result<()> {
        let text = match &self.world {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("cannot read `{}`", file.display()))?,
            None => DEFAULT_WORLD.to_owned(),
        };
        let world = World::parse(&text).with_context(|| match &self.world {
            Some(file) => format!("the world in `{}` cannot be used", file.display()),
            None => "the world cannot be used".to_owned(),
        })?;
        let vault = world
            .vaults
            .first()
            .map(|vault| vault.name.clone())
            .unwrap_or_default();
        let subscription = world.subscription.clone();
        let mut options = self.options(world)?;
        options.cloud.storage = storage.map(BlobStorage::azurite);
        let mut log = options.functions_host.log.subscribe();
        // Before keyrelay-host reads it, so that no change is missed.
        let mut file = ConfigurationFile::read(&self.app);
        let azure = LocalAzure::start(options).await.with_context(|| {
            format!(
                "cannot run the function app in `{}` (`cargo xtask app` makes `target/app`)",
                self.app.display()
            )
        })?;
        if let Some(file) = &self.certificate {
            std::fs::write(file, azure.cloud.certificate())
                .with_context(|| format!("cannot write `{}`", file.display()))?;
        }
        self.check(&azure)?;
        self.expect_running(&azure.functions_host, &mut log)?;
        out::line(&format!("profile           {}", self.profile.display()));
        announce(&azure, &vault, &subscription, &self.app, file.path());
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                received = log.recv() => received,
                _ = look.tick() => {
                    self.expect_running(&azure.functions_host, &mut log)?;
                    if file.has_changed() {
                        self.report_change(&file, &azure.environment);
                    }
                    continue;
                }
            };
            match received {
                Ok(line) => self.print(&line),
                // Lines that were written faster than printed are lost.
                Err(RecvError::Lagged(lines)) => {
                    out::warning(&format!("{lines} lines are missing"))
                }
                Err(RecvError::Closed) => bail!("the Functions host has ended"),
            }
        }
    }

    /// Makes the paths absolute, so that messages are right in each folder.
    fn make_paths_absolute(&mut self) -> anyhow::Result<()> {
        let has_file = !matches!(self.profile.to_str(), Some("ideal" | "as-reported"));
        let paths = [
            Some(&mut self.app),
            self.world.as_mut(),
            self.dead_letter.as_mut(),
            self.certificate.as_mut(),
            self.azurite_folder.as_mut(),
            self.record.as_mut(),
            Some(&mut self.profile).filter(|_| has_file),
        ];
        for path in paths.into_iter().flatten() {
            *path = std::path::absolute(&*path)
                .with_context(|| format!("cannot use the path `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Fails if keyrelay-host cannot work with its configuration, with all problems.
    fn check(&self, azure: &LocalAzure) -> anyhow::Result<()> {
        let problems = problems(&self.app, &azure.environment);
        ensure!(
            problems.is_empty(),
            "the function app in {} cannot be used, correct this and start again:\n  {}",
            self.app.display(),
            problems.join("\n  ")
        );
        Ok(())
    }

    /// Fails if keyrelay-host has ended and is not started again, after its last lines.
    fn expect_running(
        &self,
        host: &FunctionsHost,
        log: &mut Receiver<LogLine>,
    ) -> anyhow::Result<()> {
        let status = host.status();
        if !status.is_final() {
            return Ok(());
        }
        loop {
            match log.try_recv() {
                Ok(line) => self.print(&line),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        bail!("keyrelay-host is {status}: the lines above have the reason")
    }

    fn report_change(&self, file: &ConfigurationFile, environment: &[(String, String)]) {
        let path = file.path().display();
        let problems = problems(&self.app, environment);
        out::warning(&match problems.is_empty() {
            true => format!(
                "{path} has changed: keyrelay-host goes on with what it has read; to use the change, \
                 end this with Ctrl-C, and start `keyrelay local` again"
            ),
            false => format!(
                "{path} has changed and cannot be used: keyrelay-host goes on with what it has read\n  {}",
                problems.join("\n  ")
            ),
        });
    }

    fn print(&self, line: &LogLine) {
        match self.log {
            LogForm::Json => out::line(&line.to_string()),
            LogForm::Text => {
                if let Some(line) = host_line::readable(line) {
                    out::styled_line(&line);
                }
            }
        }
    }

    fn options(&self, world: World) -> anyhow::Result<LocalAzureOptions> {
        let mut options = LocalAzureOptions::new(world, &self.app);
        options.site = Some(self.site.clone());
        options.cloud.page_size = self.page_size;
        options.cloud.profile = profile(&self.profile)?;
        options.cloud.audit = self.audit.clone().map(AuditOptions::new);
        options.cloud.record.clone_from(&self.record);
        options.event_grid.clock = self.clock;
        // Only the pauses between deliveries are shortened: keyrelay-host is as fast as in Azure.
        options.event_grid.attempt_timeout = Some(Duration::from_secs(30));
        options.event_grid.dead_letter.clone_from(&self.dead_letter);
        options.functions_host = FunctionsHostOptions::new(&self.app);
        options.functions_host.instances = self.instances.into();
        if let Some(port) = self.port {
            let at = |offset| {
                port.checked_add(offset)
                    .context("`--port` leaves no room for six ports")
            };
            options.cloud.ports = Ports {
                resource_manager: port,
                key_vault: at(1)?,
                identity: at(2)?,
                log_analytics: at(4)?,
                storage: at(5)?,
            };
            options.functions_host.port = at(3)?;
        }
        Ok(options)
    }
}

/// The profile with this name, or the one in this file.
fn profile(name: &Path) -> anyhow::Result<Profile> {
    match name.to_str() {
        Some("ideal") => Ok(Profile::ideal()),
        Some("as-reported") => Ok(Profile::as_reported()),
        _ => {
            let text = std::fs::read_to_string(name).with_context(|| {
                format!(
                    "the profile `{}` is neither `ideal` nor `as-reported`, and no readable file",
                    name.display()
                )
            })?;
            Profile::from_calibration(&text)
                .with_context(|| format!("the profile `{}` cannot be used", name.display()))
        }
    }
}

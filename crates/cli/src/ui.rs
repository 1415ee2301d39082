//! `keyrelay ui`: the fleet and the run history as pages on this machine.

mod cases;
mod checks;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use keyrelay_model::AppId;
use keyrelay_ui::{AccessControl, CsrfKey, Installation, SessionToken, Sources};
use tokio::net::TcpListener;

use crate::interruption::interruption;
use crate::out;
use crate::policy::app_around;
use crate::sandbox;
use crate::store_option::StoreOption;
use crate::usage_error::require_exists;
use cases::ProjectCases;
use checks::DoctorChecks;

/// Show the fleet and the run history as pages, in a browser on this machine
///
/// The pages are on 127.0.0.1 only, and only for the address that this command prints: it has the
/// random token of the session. They show the fleet, each secret with what a rotation now would do,
/// each app, the runs as timelines, and the policies. Values of settings are never shown.
///
/// Operators resubmit runs, hold and resume secrets, and have apps verified. Each action is confirmed,
/// and recorded in the store with the name of the operator. With `--read-only` there are none.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Ui {
    #[command(flatten)]
    store: StoreOption,
    /// The port; with 0, any free one
    #[arg(long, default_value = "0")]
    port: u16,
    /// Show the pages without actions
    #[arg(long)]
    read_only: bool,
    /// The folder with the policies. keyrelay.toml and policies.lock are beside it, if it is called
    /// `policies`, and otherwise in the current folder
    #[arg(long, default_value = "policies", value_name = "FOLDER")]
    policies: PathBuf,
    /// Check the installation as `keyrelay doctor` does, at the start and then every 15 minutes, and show what is
    /// found on the overview
    #[arg(long)]
    doctor: bool,
    /// The resource id of keyrelay's function app in Azure, for `--doctor`: its app settings and its identity are
    /// checked, too
    #[arg(long, value_name = "ID", requires = "doctor")]
    site: Option<AppId>,
    /// The name in the record of actions
    #[arg(
        long,
        env = "USER",
        hide_env_values = true,
        default_value = "operator",
        value_name = "NAME"
    )]
    operator: String,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay ui
      the store in .keyrelay/store below the current folder, and the policies in ./policies
  keyrelay ui --doctor
      the overview shows what `keyrelay doctor` finds, too
  keyrelay ui --store https://contoso.blob.core.windows.net/keyrelay --read-only
      the installation in Azure; `az login` first, with the role `Storage Blob Data Reader`";

impl Ui {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let store = self.store.open()?;
        // The default folder need not exist: then no policy is known.
        if self.policies != Path::new("policies") {
            require_exists(&self.policies)?;
        }
        let folder = app_around(&self.policies).unwrap_or_else(|| PathBuf::from("."));
        let checks = self.doctor.then(|| DoctorChecks {
            folder: folder.clone(),
            site: self.site,
        });
        let installation = Installation {
            folder,
            policies: self.policies,
            environment: BTreeMap::new(),
            sandbox: sandbox::new()?,
            cases: Some(Arc::new(ProjectCases)),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        let listener = listener.with_context(|| format!("cannot listen on port {}", self.port))?;
        let port = listener.local_addr()?.port();
        let no_random = || anyhow!("the system has no random numbers");
        let session = SessionToken::random(&self.operator, port).ok_or_else(no_random)?;
        let url = format!("http://127.0.0.1:{port}{}", session.path());
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
        let csrf = CsrfKey::random().ok_or_else(no_random)?;
        let access = AccessControl::new(hosts, Arc::new(session), csrf).read_only(self.read_only);
        let mut sources = Sources::new(store.clone(), installation);
        if let Some(checks) = checks {
            sources = sources.with_checks(Arc::new(checks));
        }
        let sources = Arc::new(sources);
        let router = keyrelay_ui::router(Arc::clone(&sources), access);
        let interrupted = interruption().context("cannot wait for Ctrl-C")?;
        out::line(&url);
        let rights = match self.read_only {
            true => "only read".to_owned(),
            false => format!("act as `{}`", self.operator),
        };
        out::note(&format!(
            "the pages of the store {store} are at this address until Ctrl-C; who has it may {rights}"
        ));
        let reading = tokio::spawn(async move {
            tokio::join!(sources.warm_up(), sources.keep_checked());
        });
        let served = axum::serve(listener, router).with_graceful_shutdown(interrupted);
        let served = served.await.context("cannot serve the pages");
        reading.abort();
        served
    }
}

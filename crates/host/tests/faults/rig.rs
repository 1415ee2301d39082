//! The setup of a scenario: apps, secrets, and a function app with one or more instances.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use keyrelay_local_azure::LocalAzureOptions;

use crate::fixtures::{PLANTED, VAULT, reference};
use crate::harness::Harness;
use crate::ledger::Ledger;
use crate::setup::Setup;
use crate::stored::Stored;

/// The setup of a rig.
pub(crate) struct Plan {
    /// The number of apps. Every second one has a rule that pins.
    pub(crate) apps: usize,
    /// The number of secrets. Each app references two of them.
    pub(crate) secrets: usize,
    /// The number of instances of the function app.
    pub(crate) instances: usize,
    /// Further lines of `keyrelay.toml`, before its rules.
    pub(crate) configuration: &'static str,
}

/// A running stand-in for Azure with apps that reference secrets.
pub(crate) struct Rig {
    pub(crate) app: Arc<Harness>,
    pub(crate) ledger: Arc<Ledger>,
    plan: Plan,
}

impl Plan {
    fn secret(&self, number: usize) -> String {
        // Even ones are refreshed by the policy `follow`, odd ones are pinned.
        format!(
            "{}-{number}",
            if number.is_multiple_of(2) {
                "follow"
            } else {
                "pin"
            }
        )
    }

    /// The secrets that an app references, by its settings.
    fn references(&self, app: usize) -> [(&'static str, usize); 2] {
        [
            ("FIRST", app % self.secrets),
            ("SECOND", (app + 1) % self.secrets),
        ]
    }
}

impl Rig {
    pub(crate) async fn start(
        plan: Plan,
        change: impl FnOnce(&mut LocalAzureOptions) + Send + 'static,
    ) -> Self {
        let mut setup = Setup::new().in_azurite();
        for app in 0..plan.apps {
            let mut settings =
                format!("TEXT = \"{PLANTED}text-{app}\", AzureWebJobsStorage = \"{PLANTED}{app}\"");
            for (setting, secret) in plan.references(app) {
                write!(
                    settings,
                    ", {setting} = \"{}\"",
                    reference(&plan.secret(secret))
                )
                .unwrap();
            }
            setup = setup.site(&format!("app-{app}"), &settings);
        }
        let rules = "[[rotation]]\nsecret = \"pin-*\"\npolicy = \"pin\"\n";
        // The lease of a killed instance expires after a second.
        let configuration = format!("lease_ms = 1000\n{}\n{rules}", plan.configuration);
        let setup = setup.configured(&configuration);
        let instances = plan.instances;
        let setup = setup.with(move |options| {
            options.functions_host.max_crashes = 10_000;
            options.functions_host.instances = instances;
            options.event_grid.clock = 200.0;
            change(options);
        });
        let app = Arc::new(setup.start().await);
        let mut ledger = Ledger::default();
        for number in 0..plan.apps {
            ledger.expect_app(&app, &format!("app-{number}"));
        }
        for number in 0..plan.secrets {
            let secret = plan.secret(number);
            // The first versions have no event.
            let version = app
                .azure
                .cloud
                .set_secret(VAULT, &secret, format!("{PLANTED}{secret}-0"))
                .unwrap();
            ledger.made(&secret, version);
        }
        for number in 0..plan.apps {
            for (setting, secret) in plan.references(number) {
                ledger.expect_reference(&format!("app-{number}"), setting, &plan.secret(secret));
            }
        }
        let rig = Self {
            app,
            ledger: Arc::new(ledger),
            plan,
        };
        rig.app.settled().await;
        rig
    }

    /// Makes a new version of a secret by its number, and returns its name and version.
    pub(crate) fn rotate(&self, secret: usize) -> (String, String) {
        let secret = self.plan.secret(secret % self.plan.secrets);
        let version = self.app.rotate(&secret);
        self.ledger.made(&secret, version.clone());
        (secret, version)
    }

    pub(crate) fn store(&self) -> Stored {
        Stored::of(&self.app)
    }

    /// Waits until no rotation is running and none is pending.
    pub(crate) async fn settle(&self) {
        self.app.settled().await;
        let store = self.store();
        // On a busy machine, a lease of one second may end before its write.
        for _ in 0..30 {
            store.make_due().await;
            self.app.reconcile().await;
            if store.pending().await.is_empty() {
                return;
            }
            // A killed instance may hold a lease.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!(
            "something stays pending: {:?}\n{}",
            store.pending().await,
            self.app.log()
        );
    }
}

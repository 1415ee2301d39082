//! The setup of a scenario: apps, secrets, and a function app with one or more instances.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_local_azure::LocalAzureOptions;

use crate::fixtures::{PLANTED, VAULT, reference};
use crate::harness::Harness;
use crate::ledger::Ledger;
use crate::setup::Setup;
use crate::stored::Stored;

/// The setup of a rig.
pub(crate) struct Plan {
    /// The number of apps.
    pub(crate) apps: usize,
    /// The number of secrets. Each app references two of them.
    pub(crate) secrets: usize,
    /// Whether every second secret has a rule that pins.
    pub(crate) pins: bool,
    /// The number of instances of the function app.
    pub(crate) instances: usize,
    /// Further lines of `keyrelay.toml`, before its rules.
    pub(crate) configuration: &'static str,
}

/// The number of identities of a first sweep. Azure limits the requests of each on its own, so the
/// sweep of thousands of apps takes seconds.
const SWEEPING: usize = 40;

/// The age of the first versions of a swept rig: one of the last day may be newer than what Azure uses,
/// and would be refreshed by the first sweep.
const AGE: Duration = Duration::from_hours(72);

/// A running stand-in for Azure with apps that reference secrets.
pub(crate) struct Rig {
    pub(crate) app: Arc<Harness>,
    pub(crate) ledger: Arc<Ledger>,
    plan: Plan,
}

impl Plan {
    fn secret(&self, number: usize) -> String {
        // Even ones are refreshed by the policy `follow`, odd ones are pinned.
        let is_pinned = self.pins && !number.is_multiple_of(2);
        format!("{}-{number}", if is_pinned { "pin" } else { "follow" })
    }

    /// The secrets that an app references, by its settings.
    fn references(&self, app: usize) -> [(&'static str, usize); 2] {
        [
            ("FIRST", app % self.secrets),
            ("SECOND", (app + 1) % self.secrets),
        ]
    }
}

/// The name of a secret that is not rotated.
fn quiet(number: usize) -> String {
    format!("quiet-{number}")
}

impl Plan {
    /// The apps and the rules.
    fn setup(&self) -> Setup {
        let mut setup = Setup::new().in_azurite();
        for app in 0..self.apps {
            let mut settings =
                format!("TEXT = \"{PLANTED}text-{app}\", AzureWebJobsStorage = \"{PLANTED}{app}\"");
            for (setting, secret) in self.references(app) {
                write!(
                    settings,
                    ", {setting} = \"{}\"",
                    reference(&self.secret(secret))
                )
                .unwrap();
            }
            setup = setup.site(&format!("app-{app}"), &settings);
        }
        let instances = self.instances;
        setup
            .configured(&self.configuration())
            .with(move |options| {
                options.functions_host.max_crashes = 10_000;
                options.functions_host.instances = instances;
                options.event_grid.clock = 200.0;
            })
    }

    /// The text of `keyrelay.toml`.
    fn configuration(&self) -> String {
        let rules = "[[rotation]]\nsecret = \"pin-*\"\npolicy = \"pin\"\n";
        // Longer than a write takes on a busy machine. Scenarios that kill instances have shorter leases,
        // and fewer apps.
        let lease = match self.configuration.contains("lease_ms") {
            true => "",
            false => "lease_ms = 10000",
        };
        format!("{lease}\n{}\n{rules}", self.configuration)
    }

    /// A ledger that expects the apps as they are.
    fn ledger(&self, app: &Harness) -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0..self.apps {
            let name = format!("app-{number}");
            ledger.expect_app(app, &name);
            for (setting, secret) in self.references(number) {
                ledger.expect_reference(&name, setting, &self.secret(secret));
            }
        }
        ledger
    }
}

impl Rig {
    pub(crate) async fn start(
        plan: Plan,
        change: impl FnOnce(&mut LocalAzureOptions) + Send + 'static,
    ) -> Self {
        let app = Arc::new(plan.setup().with(change).start().await);
        let ledger = plan.ledger(&app);
        for number in 0..plan.secrets {
            let secret = plan.secret(number);
            let version = app
                .azure
                .cloud
                .set_secret(VAULT, &secret, format!("{PLANTED}{secret}-0"))
                .unwrap();
            ledger.made(&secret, version);
        }
        let rig = Self {
            app,
            ledger: Arc::new(ledger),
            plan,
        };
        rig.app.settled().await;
        rig
    }

    /// A rig after its first sweep, with Resource Manager's rate limits on, and `bystanders` more apps,
    /// which use secrets that are not rotated. The first versions have no event.
    pub(crate) async fn swept(plan: Plan, bystanders: usize) -> Self {
        let mut setup = plan.setup();
        for number in 0..bystanders {
            let secret = quiet(number % plan.secrets);
            let setting = format!("OTHER = \"{}\"", reference(&secret));
            setup = setup.site(&format!("bystander-{number}"), &setting);
        }
        let ids: Vec<String> = (0..SWEEPING)
            .map(|number| format!("99999999-0000-0000-0000-{number:012}"))
            .collect();
        for id in &ids {
            setup = setup.also(&format!(
                "[[identity]]\nname = \"{id}\"\nresource_group = \"shop\"\nclient_id = \"{id}\""
            ));
        }
        let configuration = plan.configuration();
        let rotated: Vec<String> = (0..plan.secrets).map(|it| plan.secret(it)).collect();
        let all: Vec<String> = (0..plan.secrets)
            .map(quiet)
            .chain(rotated.clone())
            .collect();
        let first = all.clone();
        let setup = setup
            .configured(&format!("client_ids = {ids:?}\n{configuration}"))
            .with(move |options| {
                options.cloud.limits_requests = true;
                let vault = options.world.vaults.first_mut().unwrap();
                let value = |secret: &String| format!("{PLANTED}{secret}-0").into();
                let first = first.iter().map(|it| (it.clone(), value(it)));
                vault.secrets.extend(first);
            });
        let app = Arc::new(setup.start().await);
        let ledger = plan.ledger(&app);
        let (cloud, created) = (&app.azure.cloud, Timestamp::now() - AGE);
        for secret in &all {
            cloud.set_created(VAULT, secret, created).unwrap();
        }
        for secret in &rotated {
            ledger.began_with(secret, cloud.newest_version(VAULT, secret).unwrap());
        }
        let store = Stored::of(&app);
        store.make_comparison_due().await;
        while !store.is_swept().await {
            app.reconcile().await;
        }
        assert_eq!(app.requests("POST", "/refresh"), 0, "{}", app.log());
        // From here on with one identity, whose bucket is full.
        fs::write(app.folder.path().join("keyrelay.toml"), configuration).unwrap();
        let host = &app.azure.functions_host;
        for instance in 0..plan.instances {
            host.handler_kill(instance).unwrap().killed().await;
        }
        app.until("all instances are ready", |app| {
            let host = &app.azure.functions_host;
            (0..plan.instances).all(|instance| host.handler_url_of(instance).is_some())
        })
        .await;
        Self {
            app,
            ledger: Arc::new(ledger),
            plan,
        }
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
        for attempt in 1..=30 {
            store.make_due().await;
            self.app.reconcile().await;
            if store.pending().await.is_empty() {
                return;
            }
            // A killed instance may hold a lease, and Azure gives ten write tokens a second.
            tokio::time::sleep(Duration::from_millis(500) * attempt.min(10)).await;
        }
        panic!(
            "something stays pending: {:?}\n{}",
            store.pending().await,
            self.app.log()
        );
    }
}

//! The setup of a test: a function app in a folder, and the stand-in for Azure around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyrelay_local_azure::functions_host::FunctionsHostOptions;
use keyrelay_local_azure::{
    Azurite, AzuriteOptions, LocalAzure, LocalAzureOptions, Profile, World,
};
use tempfile::TempDir;

use crate::fixtures::{PLANTED, SUBSCRIPTION, VAULT};
use crate::harness::Harness;

/// The time that keyrelay assumes for a refresh: more than the stand-in needs, because the machine
/// may be busy.
const AZURE_REFRESH_MS: &str = "500";

/// The setup of a test. A test changes the parts that it is about.
pub(crate) struct Setup {
    folder: TempDir,
    configuration: String,
    sites: String,
    pub(crate) options: Box<dyn FnOnce(&mut LocalAzureOptions) + Send>,
    /// Azurite's script. With it, the store is a container.
    azurite: Option<PathBuf>,
}

impl Setup {
    /// A function app with the shipped policies, an empty configuration, and no app in its scope.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, app) = (repository(), folder.path());
        fs::copy(root.join("host.json"), app.join("host.json")).unwrap();
        for function in ["SecretEvent", "Reconcile", "Ui"] {
            fs::create_dir(app.join(function)).unwrap();
            fs::copy(
                root.join(function).join("function.json"),
                app.join(function).join("function.json"),
            )
            .unwrap();
        }
        // A link instead of a copy, because the binary contains its debug information.
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_keyrelay-host"),
            app.join("keyrelay-host"),
        )
        .unwrap();
        fs::create_dir(app.join("policies")).unwrap();
        for policy in ["follow", "pin"] {
            copy_policy(&root.join(format!("policies/{policy}.wasm")), app, policy);
        }
        Self {
            folder,
            configuration: String::new(),
            sites: String::new(),
            options: Box::new(|_| {}),
            azurite: None,
        }
    }

    /// Adds an app. Its settings are TOML.
    pub(crate) fn site(mut self, name: &str, settings: &str) -> Self {
        self.sites += &format!(
            "[[site]]\nname = \"{name}\"\nresource_group = \"shop\"\nsettings = {{ {settings} }}\n"
        );
        self
    }

    /// Adds TOML to the last site: slots or further keys.
    pub(crate) fn also(mut self, toml: &str) -> Self {
        self.sites += toml;
        self.sites += "\n";
        self
    }

    /// Sets the text of `keyrelay.toml`.
    pub(crate) fn configured(mut self, toml: &str) -> Self {
        self.configuration = toml.to_owned();
        self
    }

    /// Adds a rule for `sql` whose policy decides as the script says.
    pub(crate) fn scripted(self, script: &str, grant: &str) -> Self {
        let script = script.replace('\n', "\\n");
        let rule =
            format!("[[rotation]]\nvault = \"{VAULT}\"\nsecret = \"sql\"\npolicy = \"scripted\"\n");
        self.with_scripted_policy_as("scripted")
            .configured(&format!(
                "{rule}parameters = {{ script = \"{script}\" }}\ngrant = {{ {grant} }}\n"
            ))
    }

    /// Adds the scripted policy under a name.
    pub(crate) fn with_scripted_policy_as(self, name: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let module = target.join("wasm32-unknown-unknown/policy/scripted_policy.wasm");
        copy_policy(&module, self.folder.path(), name);
        self
    }

    /// Adds a file to `policies/`.
    pub(crate) fn policy_file(self, name: &str, content: &[u8]) -> Self {
        fs::write(self.policies().join(name), content).unwrap();
        self
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// Keeps the store in a container of Azurite, if Azurite is installed. `cargo xtask test`
    /// installs it, and reports if it cannot.
    pub(crate) fn in_azurite(mut self) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one variable of these tests")]
        let script = std::env::var_os("KEYRELAY_AZURITE");
        self.azurite = script.map(PathBuf::from);
        self
    }

    /// Runs with an ideal Azure, which names the version of every reference, and refreshes at once.
    pub(crate) fn ideal(self) -> Self {
        self.with(|options| options.cloud.profile = Profile::ideal())
    }

    /// Changes the options of the stand-in.
    pub(crate) fn with(
        mut self,
        change: impl FnOnce(&mut LocalAzureOptions) + Send + 'static,
    ) -> Self {
        let before = std::mem::replace(&mut self.options, Box::new(|_| {}));
        self.options = Box::new(move |options| {
            before(options);
            change(options);
        });
        self
    }

    /// Writes the configuration, and returns the resources of the stand-in.
    fn written(&self) -> World {
        fs::write(
            self.folder.path().join("keyrelay.toml"),
            &self.configuration,
        )
        .unwrap();
        let world = format!(
            "subscription = \"{SUBSCRIPTION}\"\n\
             [[vault]]\nname = \"{VAULT}\"\nresource_group = \"shop\"\n\
             secrets = {{ sql = \"{PLANTED}sql-1\", other = \"{PLANTED}other-1\" }}\n\
             [[site]]\nname = \"keyrelay\"\nresource_group = \"shop\"\n{}",
            self.sites
        );
        World::parse(&world).unwrap_or_else(|error| panic!("{error:?}\n{world}"))
    }

    /// The folder of the app and the resources of the stand-in, for tests that start the handler
    /// themselves.
    pub(crate) fn prepared(self) -> (TempDir, World) {
        let world = self.written();
        (self.folder, world)
    }

    /// Starts everything, and waits until events can be delivered.
    pub(crate) async fn start(self) -> Harness {
        let world = self.written();
        let mut options = LocalAzureOptions::new(world, self.folder.path());
        options.site = Some("keyrelay".to_owned());
        options.functions_host = FunctionsHostOptions::new(self.folder.path());
        // Azure as it is reported, 50 times faster: a refresh takes 300 ms, and does not take within
        // 400 ms of a new version.
        options.cloud.profile = Profile::as_reported().faster(50.0);
        let refresh = ("KEYRELAY_AZURE_REFRESH_MS", AZURE_REFRESH_MS);
        options
            .functions_host
            .environment
            .push((refresh.0.to_owned(), refresh.1.to_owned()));
        // Event Grid's first retry comes after 100 ms; an attempt still has its 30 s.
        options.event_grid.clock = 100.0;
        options.event_grid.attempt_timeout = Some(Duration::from_secs(30));
        let mut azurite = None;
        if let Some(script) = self.azurite {
            let started = Azurite::start(AzuriteOptions {
                script,
                folder: self.folder.path().join("azurite"),
            })
            .await;
            let started = Arc::new(started.unwrap_or_else(|error| panic!("{error:?}")));
            options.cloud.storage = Some(Arc::clone(&started));
            azurite = Some(started);
        } else {
            let store = self.folder.path().join("store").display().to_string();
            options
                .functions_host
                .environment
                .push(("KEYRELAY_STORE".to_owned(), store));
        }
        (self.options)(&mut options);
        // Only the tests themselves invoke the timer, and it compares all apps only if they ask for it.
        options.functions_host.clock = 0.001;
        let comparison = self.folder.path().join("store/pending/comparison");
        fs::create_dir_all(&comparison).unwrap();
        let due = jiff::Timestamp::now().as_millisecond() + 3_600_000;
        let progress = "{\"compared\":null,\"after\":null}";
        fs::write(comparison.join(format!("all--due-{due}.json")), progress).unwrap();
        let azure = LocalAzure::start(options)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        Harness {
            azure,
            folder: self.folder,
            azurite,
        }
    }
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn copy_policy(module: &Path, app: &Path, name: &str) {
    let copied = fs::copy(module, app.join(format!("policies/{name}.wasm")));
    assert!(
        copied.is_ok(),
        "{} is missing: run `cargo xtask policies`",
        module.display()
    );
}

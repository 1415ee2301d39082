//! The invariants that must hold after a scenario, checked without keyrelay's code.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use serde_json::Value;

use crate::fixtures::PLANTED;
use crate::harness::Harness;
use crate::report::Report;
use crate::rig::Rig;

/// Largest number of refreshes for one rotation.
const MAX_REFRESHES: usize = 3;

/// The expected settings of apps, and the versions of secrets.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The settings of each app that keyrelay must not change.
    settings: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    /// The secret that each setting of each app references.
    references: Vec<(String, String, String)>,
    /// The versions of each secret, oldest first.
    versions: Mutex<HashMap<String, Vec<String>>>,
    /// The versions that were there from the beginning, and have no event.
    without_event: Mutex<HashSet<String>>,
    /// The versions that each reference was seen with, in order.
    seen: Mutex<HashMap<(String, String), Vec<String>>>,
}

impl Ledger {
    pub(crate) fn expect_app(&mut self, harness: &Harness, app: &str) {
        let mut settings = harness.settings(app);
        settings.retain(|_, value| !value.starts_with("@Microsoft"));
        self.settings
            .lock()
            .unwrap()
            .insert(app.to_owned(), settings);
    }

    pub(crate) fn expect_reference(&mut self, app: &str, setting: &str, secret: &str) {
        self.references
            .push((app.to_owned(), setting.to_owned(), secret.to_owned()));
    }

    /// Records that another writer has set a setting.
    pub(crate) fn set_by_others(&self, app: &str, setting: &str, value: &str) {
        self.settings
            .lock()
            .unwrap()
            .entry(app.to_owned())
            .or_default()
            .insert(setting.to_owned(), value.to_owned());
    }

    pub(crate) fn made(&self, secret: &str, version: String) {
        self.versions
            .lock()
            .unwrap()
            .entry(secret.to_owned())
            .or_default()
            .push(version);
    }

    /// Records a version that was there from the beginning.
    pub(crate) fn began_with(&self, secret: &str, version: String) {
        self.without_event.lock().unwrap().insert(version.clone());
        self.made(secret, version);
    }

    /// Records that a person has set a reference back: its former versions do not count any more.
    pub(crate) fn set_back(&self, app: &str, setting: &str) {
        let reference = (app.to_owned(), setting.to_owned());
        self.seen.lock().unwrap().remove(&reference);
    }

    fn newest(&self, secret: &str) -> String {
        self.versions.lock().unwrap()[secret]
            .last()
            .cloned()
            .unwrap()
    }

    /// Observes every reference once, for the order of versions.
    pub(crate) fn observe(&self, harness: &Harness) {
        let mut seen = self.seen.lock().unwrap();
        for app in self.settings.lock().unwrap().keys() {
            for row in harness.azure.cloud.references(app).unwrap() {
                let Some(version) = row.active_version else {
                    continue;
                };
                let versions = seen.entry((app.clone(), row.setting)).or_default();
                if versions.last() != Some(&version) {
                    versions.push(version);
                }
            }
        }
    }

    /// Observes repeatedly until `work` is done.
    pub(crate) async fn watch<T>(&self, harness: &Harness, work: impl Future<Output = T>) -> T {
        let observing = async {
            loop {
                self.observe(harness);
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = observing => unreachable!("it never ends"),
        }
    }

    /// Checks every invariant, and counts the checks.
    pub(crate) async fn check(&self, rig: &Rig, kills: usize) -> Report {
        let harness = &rig.app;
        self.observe(harness);
        let mut report = Report {
            kills,
            writes: harness.writes(),
            refreshes: harness.requests("POST", "/refresh"),
            ..Report::default()
        };
        self.check_apps(harness, &mut report);
        self.check_order(harness, &mut report);
        self.check_events(rig, &mut report).await;
        self.check_refreshes(harness);
        check_rotations(&rig.store().runs().await, &mut report);
        check_secrecy(rig, &mut report).await;
        report
    }

    fn check_apps(&self, harness: &Harness, report: &mut Report) {
        for (app, setting, secret) in &self.references {
            let wanted = self.newest(secret);
            let value = &harness.settings(app)[setting];
            let has = harness.active_version(app, setting);
            assert_eq!(
                has.as_ref(),
                Some(&wanted),
                "{app} {setting} {value} of {secret}\n{}",
                harness.log()
            );
            let pinned = secret.starts_with("pin");
            assert_eq!(value.contains(&wanted), pinned, "{app} {setting}: {value}");
            report.references += 1;
        }
        for (app, expected) in self.settings.lock().unwrap().iter() {
            let settings = harness.settings(app);
            for (name, value) in expected {
                let is_same = settings.get(name) == Some(value);
                assert!(
                    is_same,
                    "{app}: {name} was changed or lost\n{}",
                    harness.log()
                );
                report.settings += 1;
            }
            let ours = self.references.iter().filter(|(of, ..)| of == app).count();
            assert_eq!(
                settings.len(),
                expected.len() + ours,
                "{app} has settings that were not expected"
            );
        }
    }

    fn check_order(&self, harness: &Harness, report: &mut Report) {
        let versions = self.versions.lock().unwrap();
        for ((app, setting), seen) in self.seen.lock().unwrap().iter() {
            let secret = self
                .references
                .iter()
                .find(|(of, name, _)| of == app && name == setting);
            let Some(made) = secret.and_then(|(.., secret)| versions.get(secret)) else {
                continue;
            };
            let places: Vec<usize> = seen
                .iter()
                .filter_map(|it| made.iter().position(|made| made == it))
                .collect();
            assert!(
                places.is_sorted(),
                "{app} {setting} went backwards: {places:?}\n{}",
                harness.log()
            );
            report.steps += places.len().saturating_sub(1);
        }
    }

    /// Checks, by the stand-in's own count, that no app had more than three refreshes for each version
    /// of its secrets.
    fn check_refreshes(&self, harness: &Harness) {
        let versions = self.versions.lock().unwrap();
        for app in self.settings.lock().unwrap().keys() {
            let of_app = self.references.iter().filter(|(of, ..)| of == app);
            let secrets: HashSet<&String> = of_app.map(|(.., secret)| secret).collect();
            let rotations: usize = secrets
                .iter()
                .filter_map(|secret| versions.get(*secret))
                .map(Vec::len)
                .sum();
            let refreshes = harness.requests("POST", &format!("/{app}/config/configreferences"));
            assert!(
                refreshes <= MAX_REFRESHES * rotations,
                "{app} had {refreshes} refreshes for {rotations} rotations"
            );
        }
    }

    /// Checks that every version has a run, and that Event Grid has dead-lettered no event.
    async fn check_events(&self, rig: &Rig, report: &mut Report) {
        let runs = rig.store().runs().await;
        let on_record: HashSet<&str> = runs
            .iter()
            .filter_map(|run| run["event"]["version"].as_str())
            .collect();
        let without_event = self.without_event.lock().unwrap();
        for (secret, versions) in self.versions.lock().unwrap().iter() {
            for version in versions.iter().filter(|it| !without_event.contains(*it)) {
                assert!(
                    on_record.contains(version.as_str()),
                    "no run for version {version} of {secret}"
                );
                report.events += 1;
            }
        }
        let dead = rig.app.azure.event_grid.dead_letters();
        assert!(dead.is_empty(), "dead letters: {dead:?}");
        report.runs = runs.len();
        let rotations = |run: &Value| run["rotations"].as_array().map_or(0, Vec::len);
        report.rotations = runs.iter().map(rotations).sum();
    }
}

/// Checks that no rotation has more than three refreshes in its runs.
fn check_rotations(runs: &[Value], report: &mut Report) {
    // By app and version: each refresh, and a run that has it. The records of one batch tell the time of
    // the same request with nanoseconds of their own, so Azure's id tells requests apart.
    let mut refreshes: HashMap<(String, String), BTreeMap<String, String>> = HashMap::new();
    for run in runs {
        let version = run["event"]["version"].as_str().unwrap_or_default();
        for rotation in run["rotations"].as_array().into_iter().flatten() {
            // Requests are those of the whole batch: one that left the app alone has others' too.
            if rotation["verdict"] == "unchanged" {
                continue;
            }
            let requests = rotation["requests"].as_array().into_iter().flatten();
            let of_rotation = requests.filter(|it| it["operation"] == "refresh the references");
            let app = rotation["app"].to_string();
            refreshes
                .entry((app, version.to_owned()))
                .or_default()
                .extend(of_rotation.map(|request| {
                    let at = match request["request_id"].as_str() {
                        Some(id) => id.to_owned(),
                        None => request["at"].to_string().chars().take(24).collect(),
                    };
                    let id = run["id"].to_string();
                    let secret = run["event"]["name"].to_string();
                    (
                        at,
                        format!("{id} {} {secret} {}", run["cause"], rotation["verdict"]),
                    )
                }));
        }
    }
    for (rotation, refreshes) in &refreshes {
        let most = refreshes.len();
        assert!(
            most <= MAX_REFRESHES,
            "{most} refreshes for one rotation: {rotation:?} {refreshes:#?}"
        );
        report.most_refreshes = report.most_refreshes.max(most);
    }
}

async fn check_secrecy(rig: &Rig, report: &mut Report) {
    let log = rig.app.log();
    assert!(!log.contains(PLANTED), "a planted value is in the log");
    for (key, object) in rig.store().objects().await {
        assert!(!object.contains(PLANTED), "a planted value is in {key}");
        report.searched += 1;
    }
    report.searched += log.lines().count();
}

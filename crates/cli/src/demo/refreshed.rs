//! The rotation of a reference without a version: Azure does not say which version the app has, so
//! that two refreshes are the evidence.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::observe::{HandlerLines, expect, print_field, until};
use super::{CLOCK, Demonstration, REPORTS, REPORTS_SECRET, SITE, STEP_TIMEOUT, VAULT};
use crate::out;

/// Time, by the stand-in's clock, from the timer to the rotation: the next invocation of the timer
/// comes soon after the second refresh is due.
const AFTER_THE_TIMER: f64 = 38.0;

/// Longest time, by the stand-in's clock.
const A_MINUTE: Duration = Duration::from_secs(60);

impl Demonstration {
    pub(super) async fn refresh_twice(&mut self) -> anyhow::Result<()> {
        self.step(&format!(
            "the secret `{REPORTS_SECRET}` changes: app `{REPORTS}` follows it without a version"
        ));
        let host = &self.azure.functions_host;
        // The first comparison of all apps with their vaults is behind us.
        host.run_timer("Reconcile").await?;
        let mut lines = HandlerLines::follow(host);
        // The first invocation after it may have waited for its end.
        for _ in 0..2 {
            until(STEP_TIMEOUT, "the timer", lines.timer()).await?;
        }
        tokio::time::sleep(Duration::from_secs_f64(AFTER_THE_TIMER / CLOCK)).await;
        let mut lines = HandlerLines::follow(host);
        let began = Instant::now();
        let (cloud, refreshes) = (&self.azure.cloud, self.refreshes());
        let version = cloud.set_secret(VAULT, REPORTS_SECRET, self.value.as_str())?;
        let rotation = loop {
            let rotation = until(
                STEP_TIMEOUT,
                "the rotation",
                lines.rotation_of(REPORTS_SECRET),
            );
            let rotation = rotation.await?;
            let seconds = on_the_clock(began).as_secs();
            out::line(&format!(
                "   after {seconds} s, by the clock of the stand-in:"
            ));
            for field in ["verdict", "evidence", "message"] {
                print_field(&rotation, field);
            }
            if rotation.get("verdict").and_then(|it| it.as_str()) != Some("pending") {
                break rotation;
            }
        };
        expect(&rotation, "verdict", "refreshed")?;
        expect(&rotation, "evidence", "refreshed twice")?;
        let took = on_the_clock(began);
        ensure!(took < A_MINUTE, "it took {} s", took.as_secs());
        let refreshes = self.refreshes() - refreshes;
        ensure!(refreshes == 2, "{refreshes} refreshes instead of 2");
        let rows = self.azure.cloud.references(REPORTS)?;
        ensure!(
            rows.iter()
                .all(|row| row.active_version.as_ref() == Some(&version)),
            "the app does not have version {version}"
        );
        Ok(())
    }

    /// The number of refreshes of any app but the first.
    fn refreshes(&self) -> usize {
        let requests = self.azure.cloud.requests();
        let is_refresh = |path: &str| path.contains("/refresh") && !path.contains(SITE);
        requests.iter().filter(|it| is_refresh(&it.path)).count()
    }
}

/// The time since a moment, by the clock of the stand-in.
fn on_the_clock(began: Instant) -> Duration {
    began.elapsed().mul_f64(CLOCK)
}

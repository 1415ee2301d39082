//! The table of results: the budget, the measurement, the floor and their ratio.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::crowd::Crowd;
use crate::decision::SETTINGS;
use crate::flood::Flood;
use crate::refresh::Refreshed;
use crate::scale::Scale;
use crate::start::{MemoryAtRest, POLICIES};

/// The results of one run.
pub(crate) struct Table {
    estimates: PathBuf,
    began: SystemTime,
    rows: Vec<[String; 5]>,
}

impl Table {
    /// Creates the table of the measurements in a folder that were made since `began`.
    pub(crate) fn new(estimates: &Path, began: SystemTime) -> Self {
        Self {
            estimates: estimates.to_owned(),
            began,
            rows: Vec::new(),
        }
    }

    pub(crate) fn memory(&mut self, memory: &MemoryAtRest) {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        for (count, bytes) in &memory.keyrelay {
            let budget = match count {
                10 => "12 MB",
                1_000 => "32 MB",
                _ => "",
            };
            let ratio = *bytes as f64 / memory.floor as f64;
            self.rows.push([
                format!("memory at rest, {count} precompiled policies"),
                megabytes(*bytes),
                megabytes(memory.floor),
                format!("{ratio:.2}"),
                budget.to_owned(),
            ]);
        }
    }

    pub(crate) fn refresh(&mut self, refreshed: &Refreshed) {
        let seconds = |share| format!("{:.0} s", refreshed.percentile(share).as_secs_f64());
        self.row("event to `refreshed`, median", seconds(0.5), "60 s");
        self.row(
            "event to `refreshed`, 99th percentile",
            seconds(0.99),
            "90 s",
        );
        self.row(
            "refreshes for one rotation",
            format!("at most {}", refreshed.most_refreshes),
            "3",
        );
    }

    pub(crate) fn crowd(&mut self, crowd: &Crowd) {
        let Crowd {
            writes,
            took,
            requests_a_second,
            throttled,
            memory,
            good,
        } = crowd;
        let [at_rest, largest] = memory.map(|bytes| bytes as f64 / 1e6);
        let [verified_count, all] = good;
        self.row(
            "1,000 events for one app at once",
            format!("{writes} writes"),
            "3 writes",
        );
        let requests =
            format!("{requests_a_second:.0} requests a second, {throttled} throttled (429)");
        let seconds = took.as_secs();
        self.row(
            "1,000 apps using one secret",
            format!("all refreshed in {seconds} s, {requests}"),
            "within the rate limits",
        );
        self.row(
            "memory with 1,000 apps",
            format!("{largest:.1} MB; with one app {at_rest:.1} MB"),
            "flat",
        );
        let verified = format!("{verified_count} of {all} others verified");
        self.row(
            "bad events, a bad policy and a bad setting among good ones",
            verified,
            "all others",
        );
    }

    pub(crate) fn scale(&mut self, scale: &Scale) {
        let sites = scale.sites;
        for event in &scale.events {
            let [first, last] = event.refreshed.map(|it| it.as_secs_f64());
            let (users, reads, deliveries) = (event.users, event.reads, event.deliveries);
            let is_cold = event.secret.ends_with("-cold");
            let start = if is_cold { "just started" } else { "running" };
            self.row(
                &format!("an event for {users} of {sites} apps, {start}"),
                format!(
                    "first refresh after {first:.2} s, last after {last:.2} s; {reads} reads, {deliveries} deliveries"
                ),
                &format!("2 s; {} reads, 1 delivery", 4 * users + 5),
            );
        }
        self.row(
            &format!("memory with {sites} apps, while they are swept"),
            format!(
                "{:.1} MB; {} responses with 429",
                scale.memory as f64 / 1e6,
                scale.throttled
            ),
            "32 MB",
        );
    }

    pub(crate) fn flood(&mut self, flood: &Flood) {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        self.row(
            "growth of the memory with 2,000 connections with unfinished heads",
            megabytes(flood.connections),
            "50 MB",
        );
        self.row(
            "slowest response to a probe meanwhile",
            format!("{:.1?}", flood.probe),
            "1 s",
        );
        self.row(
            "largest memory with 25,000 events in one body",
            megabytes(flood.one_body),
            "128 MB",
        );
        self.row(
            "largest memory with 25,000 events in 25 bodies at once",
            megabytes(flood.many_bodies),
            "128 MB",
        );
    }

    /// Adds a row that has no floor.
    fn row(&mut self, what: &str, measured: String, budget: &str) {
        self.rows.push([
            what.to_owned(),
            measured,
            String::new(),
            String::new(),
            budget.to_owned(),
        ]);
    }

    /// The median of a benchmark, if it belongs to this run.
    fn median(&self, benchmark: &str) -> Option<Duration> {
        let file = self.estimates.join(benchmark).join("new/estimates.json");
        if fs::metadata(&file).ok()?.modified().ok()? < self.began {
            return None;
        }
        let estimates: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let nanoseconds = estimates.pointer("/median/point_estimate")?.as_f64()?;
        Some(Duration::from_secs_f64(nanoseconds / 1e9))
    }

    fn timed(&self) -> Vec<[String; 5]> {
        let row = |what: String, benchmark: String, floor: &str, budget: &str| {
            let (time, floor) = (self.median(&benchmark)?, self.median(floor));
            let ratio =
                floor.map(|floor| format!("{:.2}", time.as_secs_f64() / floor.as_secs_f64()));
            let floor = floor.map(|floor| format!("{floor:.1?}"));
            let words = [
                what,
                format!("{time:.1?}"),
                floor.unwrap_or_default(),
                ratio.unwrap_or_default(),
            ];
            let [what, time, floor, ratio] = words;
            Some([what, time, floor, ratio, budget.to_owned()])
        };
        let mut rows = vec![row(
            "decode an invocation".to_owned(),
            "decision_decode".to_owned(),
            "",
            "",
        )];
        for count in SETTINGS {
            let (name, floor) = (
                format!("decision/sandbox/{count}"),
                format!("decision/bare/{count}"),
            );
            rows.push(row(
                format!("a decision, {count} settings"),
                name,
                &floor,
                "1.3 times",
            ));
        }
        for count in SETTINGS {
            rows.push(row(
                format!("a plan, {count} settings"),
                format!("decision_plan/{count}"),
                "",
                "",
            ));
        }
        let name = "invocation/nothing-to-do".to_owned();
        rows.push(row(
            "an invocation, nothing to do".to_owned(),
            name,
            "invocation/empty",
            "3 times",
        ));
        for count in POLICIES {
            let budget = match count {
                10 => "2 times",
                1_000 => "4 times",
                _ => "",
            };
            let name = format!("start/keyrelay/{count}");
            rows.push(row(
                format!("start to first response, {count} precompiled policies"),
                name,
                "start/floor",
                budget,
            ));
        }
        rows.into_iter().flatten().collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | measured | floor | ratio | budget |\n|---|---|---|---|---|"
        )?;
        for [what, measured, floor, ratio, budget] in self.timed().iter().chain(&self.rows) {
            writeln!(f, "| {what} | {measured} | {floor} | {ratio} | {budget} |")?;
        }
        Ok(())
    }
}

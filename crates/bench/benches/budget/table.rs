//! The table of results: the budget, the measurement, the floor and their ratio.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::crowd::Crowd;
use crate::decision::SETTINGS;
use crate::flood::Flood;
use crate::invocation::AT_ONCE;
use crate::refresh::Refreshed;
use crate::scale::Scale;
use crate::start::{MemoryAtRest, POLICIES};
use crate::users::Users;

/// The handler that keyrelay with a store on a disk is compared with.
const NODE: (&str, &str) = ("node", ", store on a disk: a handler of Node.js");

/// The results of one run.
pub(crate) struct Table {
    estimates: PathBuf,
    began: SystemTime,
    rows: Vec<[String; 5]>,
    /// What was not measured, and the requests behind a row that is above its budget.
    remarks: Vec<String>,
}

impl Table {
    /// Creates the table of the measurements in a folder that were made since `began`.
    pub(crate) fn new(estimates: &Path, began: SystemTime) -> Self {
        Self {
            estimates: estimates.to_owned(),
            began,
            rows: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds a line below the table.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    pub(crate) fn memory(&mut self, memory: &MemoryAtRest) {
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
            memory,
            good: [verified, all],
        } = crowd;
        self.row(
            "1,000 events for one app at once",
            format!("{writes} writes"),
            "3 writes",
        );
        self.row("memory with one app", megabytes(*memory), "");
        self.row(
            "bad events, a bad policy and a bad setting among good ones",
            format!("{verified} of {all} others verified"),
            "all others",
        );
    }

    pub(crate) fn users(&mut self, users: &Users) {
        let identities = match users.identities {
            1 => "one identity".to_owned(),
            count => format!("{count} identities"),
        };
        let what = format!("1,000 apps using one secret, {identities}");
        let [first, floor] = [users.first_refreshes, users.floor].map(|it| it.as_secs_f64());
        self.rows.push([
            format!("{what}: until all first refreshes are sent"),
            format!("{first:.1} s; {}", throttled(users.throttled)),
            format!("{floor:.1} s"),
            format!("{:.2}", first / floor),
            "1.3 times, 0 responses with 429".to_owned(),
        ]);
        if first > 1.3 * floor {
            self.remark(format!("{what}: {}", users.trace));
        }
        let Users {
            requests_a_second,
            deliveries,
            ..
        } = users;
        let seconds = users.took.as_secs();
        self.row(
            &format!("{what}: until all are refreshed"),
            format!(
                "{seconds} s, {requests_a_second:.0} requests a second, {deliveries} deliveries"
            ),
            "within the rate limits, 1 delivery",
        );
        self.row(&format!("{what}: memory"), megabytes(users.memory), "32 MB");
    }

    pub(crate) fn scale(&mut self, scale: &Scale) {
        let sites = scale.sites;
        for event in &scale.events {
            let [first, last] = event.refreshed.map(|it| it.as_secs_f64());
            let (users, reads, deliveries) = (event.users, event.reads, event.deliveries);
            let is_cold = event.secret.ends_with("-cold");
            let start = if is_cold { "just started" } else { "running" };
            let (what, most) = (
                format!("an event for {users} of {sites} apps, {start}"),
                4 * users + 5,
            );
            if reads > most {
                self.remark(format!("{what}: {}", event.trace));
            }
            self.row(
                &what,
                format!(
                    "first refresh after {first:.2} s, last after {last:.2} s; {reads} reads, {deliveries} deliveries"
                ),
                &format!("2 s; {most} reads, 1 delivery"),
            );
        }
        self.row(
            &format!("memory with {sites} apps, while they are swept"),
            format!(
                "{}; {}",
                megabytes(scale.memory),
                throttled(scale.throttled)
            ),
            "32 MB, 0 responses with 429",
        );
    }

    pub(crate) fn flood(&mut self, flood: &Flood) {
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
        let stores = [("in-memory", ""), ("on-disk", ", store on a disk")];
        for (store, words) in stores.into_iter().chain([NODE]) {
            for count in AT_ONCE {
                let what = match count {
                    1 => format!("an invocation, nothing to do{words}"),
                    _ => format!("{count} invocations at once, nothing to do{words}"),
                };
                let (name, floor) = (
                    format!("invocation/{store}/{count}"),
                    format!("invocation/empty/{count}"),
                );
                let budget = match (store, count) {
                    ("in-memory", 1) => "3 times",
                    _ => "",
                };
                rows.push(row(what, name, &floor, budget));
            }
        }
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

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn throttled(count: usize) -> String {
    format!("{count} responses with 429")
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
        for remark in &self.remarks {
            writeln!(f, "\n{remark}")?;
        }
        Ok(())
    }
}

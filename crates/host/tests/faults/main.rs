//! The fault suite: the real `keyrelay-host` under everything that can go wrong, and what must be true when it is over.
//!
//! It is a program of its own, so that it can print what it counted. Scenarios run one after the other, but for those
//! that mostly wait: they run beside the others.
//!
//! `cargo test --package keyrelay-host --test faults -- [FILTER]`

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![expect(clippy::print_stdout, reason = "what the suite counted is its result")]

#[path = "../it/harness.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod harness;

mod crowd;
mod kill;
mod ledger;
mod outage;
mod report;
mod rig;
mod stored;
mod thousand;
mod trouble;
mod undo;
mod writers;

use std::process::ExitCode;
use std::time::Instant;

use report::Report;

type Scenario = (
    &'static str,
    fn() -> futures::future::BoxFuture<'static, Report>,
);

/// Every scenario, by name.
const SCENARIOS: &[Scenario] = &[
    ("killed_at_every_step", || Box::pin(kill::at_every_step())),
    ("killed_at_random", || Box::pin(kill::at_random())),
    ("three_instances_and_every_event_twice", || {
        Box::pin(crowd::three_instances())
    }),
    ("a_second_writer", || Box::pin(writers::hammering())),
    ("every_trouble", || Box::pin(trouble::each())),
    ("the_store_is_away", || Box::pin(outage::of_the_store())),
    ("a_thousand_events_for_one_app", || {
        Box::pin(thousand::events())
    }),
];

/// The scenarios that run beside the others: they mostly wait.
const BESIDE: &[Scenario] = &[
    ("a_thousand_apps_with_one_secret", || {
        Box::pin(thousand::apps())
    }),
    ("killed_while_it_rolls_back", || Box::pin(undo::killed())),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What the test runner asks of a program that it does not know.
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let filter = arguments
        .into_iter()
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(&filter))
}

async fn run(filter: &str) -> ExitCode {
    let started = Instant::now();
    let wanted = |(name, _): &&Scenario| name.contains(filter);
    let beside = BESIDE
        .iter()
        .filter(wanted)
        .map(|(name, scenario)| (*name, tokio::spawn(scenario())));
    // They begin now.
    let beside: Vec<_> = beside.collect();
    let (mut passed, mut failed) = (0, 0);
    let mut total = Report::default();
    let mut count = |name: &str, ended: Result<Report, tokio::task::JoinError>| match ended {
        Ok(report) => {
            passed += 1;
            println!("scenario {name} ... ok\n{report}");
            total.add(&report);
        }
        Err(_) => {
            failed += 1;
            println!("scenario {name} ... FAILED");
        }
    };
    for (name, scenario) in SCENARIOS.iter().filter(wanted) {
        println!(
            "scenario {name} begins, at {} s",
            started.elapsed().as_secs()
        );
        count(name, tokio::spawn(scenario()).await);
    }
    for (name, scenario) in beside {
        count(name, scenario.await);
    }
    println!("all scenarios\n{total}");
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; finished in {} s",
        started.elapsed().as_secs()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

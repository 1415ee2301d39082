//! The fault suite: the real `keyrelay-host` under faults, kills and concurrent writers, and the
//! invariants that must hold afterwards.
//!
//! It has a runner of its own, because it prints what it counted.
//!
//! `cargo test --package keyrelay-host --test faults -- [FILTER]`

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::print_stdout,
    reason = "the counts are the result of the suite"
)]

#[path = "../it/fixtures.rs"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod fixtures;
#[path = "../it/harness.rs"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod harness;
#[path = "../it/setup.rs"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod setup;

mod bookkeeping;
mod clocks;
mod crowd;
mod failures;
mod kill;
mod ledger;
mod outage;
mod parts;
mod people;
mod report;
mod rig;
mod rollback;
mod stale_rows;
mod stored;
mod storm;
mod thousand;
mod timers;
mod writers;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use report::Report;

struct Scenario {
    name: &'static str,
    run: fn() -> BoxFuture<'static, Report>,
    is_concurrent: bool,
}

impl Scenario {
    /// A scenario that loads the machine: it does not run beside another one of them.
    const fn alone(name: &'static str, run: fn() -> BoxFuture<'static, Report>) -> Self {
        Self {
            name,
            run,
            is_concurrent: false,
        }
    }

    /// A scenario that mostly waits: it runs beside the others.
    const fn concurrent(name: &'static str, run: fn() -> BoxFuture<'static, Report>) -> Self {
        Self {
            name,
            run,
            is_concurrent: true,
        }
    }
}

/// Every scenario. The concurrent ones come first, so that they start at once.
const SCENARIOS: [Scenario; 25] = [
    Scenario::concurrent("a_thousand_apps_with_one_secret", || {
        Box::pin(thousand::apps())
    }),
    Scenario::concurrent(
        "killed_while_it_rolls_back",
        || Box::pin(rollback::killed()),
    ),
    Scenario::concurrent("old_runs_that_cannot_be_removed", || {
        Box::pin(parts::stuck_pruning())
    }),
    Scenario::concurrent("an_old_broken_row_after_a_refresh", || {
        Box::pin(stale_rows::after_a_refresh())
    }),
    Scenario::alone("killed_at_every_step", || Box::pin(kill::at_every_step())),
    Scenario::alone("killed_while_it_writes_the_index", || {
        Box::pin(kill::while_it_writes_the_index())
    }),
    Scenario::alone("killed_at_random", || Box::pin(kill::at_random())),
    Scenario::alone("three_instances_and_every_event_twice", || {
        Box::pin(crowd::three_instances())
    }),
    Scenario::alone("a_second_writer", || Box::pin(writers::hammering())),
    Scenario::alone("every_failure", || Box::pin(failures::each())),
    Scenario::alone("the_store_is_away", || Box::pin(outage::of_the_store())),
    Scenario::alone("two_timers_at_once", || Box::pin(timers::two_at_once())),
    Scenario::alone("three_instances_that_start_together", || {
        Box::pin(timers::three_starts())
    }),
    Scenario::alone("a_list_of_sites_slower_than_a_delivery", || {
        Box::pin(parts::slow_list())
    }),
    Scenario::alone("a_vault_that_does_not_respond", || {
        Box::pin(parts::silent_vault())
    }),
    Scenario::alone("a_scope_that_is_gone", || Box::pin(parts::missing_scope())),
    Scenario::alone("one_app_that_fails", || Box::pin(parts::failing_app())),
    Scenario::alone("many_apps_are_settled_at_once", || {
        Box::pin(bookkeeping::settled_once())
    }),
    Scenario::alone("a_roll_back_with_open_work_of_another_run", || {
        Box::pin(bookkeeping::others_first())
    }),
    Scenario::alone("clocks_ten_minutes_apart", || {
        Box::pin(clocks::ten_minutes_apart())
    }),
    Scenario::alone(
        "a_version_set_back_by_hand",
        || Box::pin(people::set_back()),
    ),
    Scenario::alone("a_policy_that_is_gone", || Box::pin(people::policy_gone())),
    Scenario::alone("another_writer_with_two_changes_in_a_row", || {
        Box::pin(writers::two_in_a_row())
    }),
    Scenario::alone("a_hundred_secrets_within_a_minute", || {
        Box::pin(storm::a_hundred_secrets())
    }),
    Scenario::alone("a_thousand_events_for_one_app", || {
        Box::pin(thousand::events())
    }),
];

/// State that the scenarios share.
struct Suite {
    runtime: Runtime,
    started: Instant,
    /// Held by the scenario that runs alone.
    alone: Mutex<()>,
    total: Mutex<Report>,
}

impl Suite {
    fn run(&self, scenario: &Scenario) -> Result<(), Failed> {
        let _alone = (!scenario.is_concurrent).then(|| lock(&self.alone));
        let name = scenario.name;
        println!(
            "scenario {name} begins, at {} s",
            self.started.elapsed().as_secs()
        );
        let ended = self.runtime.block_on(self.runtime.spawn((scenario.run)()));
        let report = ended.map_err(|error| format!("scenario {name}: {error}"))?;
        println!("scenario {name} ... ok\n{report}");
        lock(&self.total).add(&report);
        Ok(())
    }
}

/// A scenario that fails panics, which must not fail the next one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let concurrent = SCENARIOS.iter().filter(|it| it.is_concurrent).count();
    arguments.test_threads.get_or_insert(concurrent + 1);
    let suite = Arc::new(Suite {
        runtime: tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap(),
        started: Instant::now(),
        alone: Mutex::default(),
        total: Mutex::default(),
    });
    let trials = SCENARIOS.map(|scenario| {
        let suite = Arc::clone(&suite);
        Trial::test(scenario.name, move || suite.run(&scenario))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    if !arguments.list {
        println!("all scenarios\n{}", lock(&suite.total));
    }
    conclusion.exit_code()
}

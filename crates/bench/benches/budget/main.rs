//! The budget: measures the cost of keyrelay and its floor in one run.
//!
//! `cargo bench --package keyrelay-bench` measures everything and prints a table. With `-- GROUP`
//! it measures one group: decision, invocation, start, memory, refresh, crowd, users, scale or flood.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up panics"
)]

mod app;
mod bare;
mod crowd;
mod decision;
mod flood;
mod invocation;
mod process;
mod refresh;
mod running;
mod scale;
mod start;
mod table;
mod users;

use std::time::{Duration, SystemTime};

use criterion::Criterion;

use crate::table::Table;

fn main() {
    let estimates = process::target_folder().join("criterion");
    #[expect(
        clippy::disallowed_methods,
        reason = "the table leaves out earlier measurements"
    )]
    let began = SystemTime::now();
    let mut table = Table::new(&estimates, began);
    let mut criterion = Criterion::default()
        .output_directory(&estimates)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    // `scale/10000`: one number of sites. `users/4`: one number of identities.
    let only = filter.split('/').nth(1);
    let is_wanted = |group: &str| filter.is_empty() || filter.split('/').next() == Some(group);
    if is_wanted("decision") {
        decision::measure(&mut criterion);
    }
    if is_wanted("invocation")
        && let Some(remark) = invocation::measure(&mut criterion)
    {
        table.remark(remark);
    }
    if is_wanted("start") {
        start::measure(&mut criterion);
    }
    if is_wanted("memory") {
        table.memory(&start::memory());
    }
    if is_wanted("refresh") {
        table.refresh(&refresh::measure());
    }
    if is_wanted("crowd") {
        table.crowd(&crowd::measure());
    }
    if is_wanted("users") {
        users::measure(only).iter().for_each(|it| table.users(it));
    }
    if is_wanted("scale") {
        scale::measure(only).iter().for_each(|it| table.scale(it));
    }
    if is_wanted("flood") {
        table.flood(&flood::measure());
    }
    criterion.final_summary();
    println!("\n{table}");
}

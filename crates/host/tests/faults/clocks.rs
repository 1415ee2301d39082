//! Instances whose clocks differ.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keyrelay_local_azure::event_grid::Misbehaviour;
use serde_json::Value;

use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The C source of a library that shifts the wall clock of a process, and not the monotonic clock.
const SHIFTED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *seconds = getenv("CLOCK_AHEAD_SECONDS");
    if (result == 0 && clock == CLOCK_REALTIME && seconds)
        time->tv_sec += atol(seconds);
    return result;
}
"#;

/// Replaces the handler in the folder of the app: the clock of the process that starts first is 10
/// minutes ahead.
fn shift_the_first(app: &Path) {
    let (source, library) = (app.join("clock.c"), app.join("clock.so"));
    fs::write(&source, SHIFTED_CLOCK).unwrap();
    // The linker that Rust uses.
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library);
    assert!(cc.arg(&source).status().unwrap().success());
    let handler = app.join("keyrelay-host");
    let real = fs::read_link(&handler).unwrap();
    let script = format!(
        "#!/bin/sh\nif mkdir '{taken}' 2>/dev/null; then\n  \
         export LD_PRELOAD='{library}' CLOCK_AHEAD_SECONDS=600\nfi\nexec '{real}' \"$@\"\n",
        taken = app.join("first").display(),
        library = library.display(),
        real = real.display(),
    );
    fs::remove_file(&handler).unwrap();
    fs::write(&handler, script).unwrap();
    fs::set_permissions(&handler, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) async fn ten_minutes_apart() -> Report {
    let plan = Plan {
        apps: 8,
        secrets: 4,
        pins: true,
        instances: 2,
        configuration: "",
    };
    let rig = Rig::start(plan, |options| {
        shift_the_first(&options.functions_host.app_root);
    })
    .await;
    let misbehaviour = Misbehaviour {
        twice: true,
        ..Misbehaviour::default()
    };
    rig.app.azure.event_grid.misbehave(misbehaviour);
    rig.ledger
        .watch(&rig.app, async {
            for number in 0..40 {
                rig.rotate(number);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            rig.settle().await;
        })
        .await;
    let runs = rig.store().runs().await;
    let instances: HashSet<&str> = runs
        .iter()
        .filter_map(|run| run["instance"].as_str())
        .collect();
    assert_eq!(instances.len(), 2, "{}", rig.app.log());
    if rig.app.azurite.is_some() {
        let log = rig.app.log();
        assert!(log.contains("s ahead of that of the store"), "{log}");
        // All times on record are those of the store.
        let now = jiff::Timestamp::now().to_string();
        let is_ahead = |run: &&Value| run["started"].as_str() > Some(now.as_str());
        let ahead = runs.iter().filter(is_ahead).count();
        assert!(ahead <= 2, "{ahead} runs began in the future");
    }
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note("the clocks of two instances were 10 minutes apart");
    report
}

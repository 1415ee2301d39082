//! The sandbox, with files that are no policies, components that wasm-smith makes, and policies
//! that lie about their memory.

mod guest;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use keyrelay_model::{
    AppId, Decision, Event, Grant, ObjectKind, Occurrence, SettingValue, log_line,
};
use keyrelay_sandbox::{
    AppView, Compilation, DecideError, Policy, PolicyDecision, PolicyLimits, Sandbox, Undecided,
    VisibleSetting, VisibleValue,
};
use tokio::runtime::{Builder, Runtime};

/// The plain text that the policy sees, and may not give away as it is.
const REVEALED: &str = "revealed-7f3a";

/// The time after which a call counts as endless. A policy has at most half a second, but other
/// processes may take the processor away from it.
const ENDLESS: Duration = Duration::from_secs(20);

/// The number of bytes that a decision may have beyond the limits: labels, cuts and our own notes.
const SLACK: usize = 4 << 10;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made")
});

static SANDBOX: LazyLock<Sandbox> =
    LazyLock::new(|| Sandbox::new(Compilation::InProcess).expect("a sandbox can be made"));

fn limits() -> PolicyLimits {
    PolicyLimits {
        time: Duration::from_millis(20),
        memory: 4 << 20,
        ..PolicyLimits::default()
    }
}

/// Loads a file, and has it decide if it is a policy. Nothing panics, nothing runs beyond its
/// limits, equal arguments give equal decisions, and no revealed value is in the output.
pub fn run(data: &[u8]) {
    let Some(bytes) = guest::of(data) else { return };
    let started = Instant::now();
    RUNTIME.block_on(async {
        if let Ok(policy) = SANDBOX.load("fuzzed", bytes).await {
            let parameters = parameters();
            // The result is the policy's choice.
            let _ = policy.check_parameters(&parameters, &limits()).await;
            let first = decide(&policy).await;
            let second = decide(&policy).await;
            check_equal(&first, &second);
            check(&first);
        }
    });
    assert!(
        started.elapsed() < ENDLESS,
        "it took {:?}",
        started.elapsed()
    );
}

fn parameters() -> BTreeMap<String, String> {
    BTreeMap::from([("first".to_owned(), "1".to_owned())])
}

async fn decide(policy: &Policy) -> Result<PolicyDecision, Undecided> {
    let id: AppId = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders"
        .parse()
        .expect("a valid id");
    let setting = |name: &str, value| VisibleSetting {
        name: name.parse().expect("a valid name"),
        value,
    };
    let settings = [
        setting("A", VisibleValue::Withheld),
        setting("B", VisibleValue::Text(SettingValue::new(REVEALED))),
    ];
    let app = AppView {
        id: &id,
        settings: &settings,
        parameters: &parameters(),
        grant: &Grant::default(),
    };
    policy.decide(&event(), &app, &limits()).await
}

fn event() -> Event {
    Event {
        id: "e-1".to_owned(),
        vault_host: "v.vault.azure.net".parse().expect("a valid host"),
        kind: ObjectKind::Secret,
        name: "sql".parse().expect("a valid name"),
        occurrence: Occurrence::NewVersionCreated,
        version: Some("2".parse().expect("a valid version")),
        time: 1_600_000_000,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    }
}

/// Checks that two calls end alike. How far a call gets in its time is not the policy's choice.
fn check_equal(
    first: &Result<PolicyDecision, Undecided>,
    second: &Result<PolicyDecision, Undecided>,
) {
    let is_time = |it: &Result<PolicyDecision, Undecided>| matches!(it, Err(undecided) if matches!(undecided.error, DecideError::Time { .. }));
    if is_time(first) || is_time(second) {
        return;
    }
    match (first, second) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.decision, other.decision);
            assert_eq!(one.log, other.log);
            assert_eq!(one.memory, other.memory);
        }
        (Err(one), Err(other)) => assert_eq!(one.error.to_string(), other.error.to_string()),
        _ => panic!("once a decision, once none: {first:?} {second:?}"),
    }
}

fn check(decided: &Result<PolicyDecision, Undecided>) {
    let (log, text) = match decided {
        Ok(decision) => {
            assert!(decision.memory <= limits().memory, "{}", decision.memory);
            (&decision.log, said(&decision.decision))
        }
        Err(undecided) => (&undecided.log, undecided.error.to_string()),
    };
    let logged: usize = log.iter().map(String::len).sum();
    assert!(
        logged <= limits().log + SLACK,
        "{logged} bytes were printed"
    );
    assert!(
        text.len() <= limits().decision + SLACK,
        "{} bytes",
        text.len()
    );
    for line in log.iter().chain([&text]) {
        assert!(!line.contains(REVEALED), "a revealed value is shown");
        assert_eq!(log_line(line), *line, "not one line that can be printed");
    }
}

/// The text of a decision.
fn said(decision: &Decision) -> String {
    match decision {
        Decision::Notice(text) | Decision::Skip(text) => text.clone(),
        Decision::Patch(patch) => log_line(&format!("{patch:?}")),
        Decision::Refresh => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target whose guests never decide would hold for any sandbox.
    #[test]
    fn a_scripted_guest_loads_and_decides() {
        let module = guest::refreshing();
        let decided = RUNTIME.block_on(async {
            let policy = SANDBOX.load("scripted", module).await.unwrap();
            decide(&policy).await.unwrap()
        });
        assert_eq!(decided.decision, Decision::Refresh);
    }
}

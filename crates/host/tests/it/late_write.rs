//! A write that Azure carries out after keyrelay has stopped waiting for it: nobody writes the app
//! before that.

use std::sync::Mutex;
use std::time::Duration;

use keyrelay_local_azure::{Intercept, Moment, Service, Then};

use crate::fixtures::reference;
use crate::setup::Setup;

/// Adds a value, unless it is the last one.
fn note(seen: &Mutex<Vec<String>>, value: String) {
    let mut seen = seen.lock().unwrap();
    if seen.last() != Some(&value) {
        seen.push(value);
    }
}

#[tokio::test]
async fn a_late_write_does_not_replace_a_newer_version() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured("answer_within_ms = 4000\nlease_ms = 5000\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .ideal()
        .with(|options| options.functions_host.instances = 2)
        .start()
        .await;
    app.settled().await;
    let write = Intercept::new(Service::ResourceManager, Moment::Arrived)
        .method("PUT")
        .path("orders/config/appsettings");
    // The invocation ends before: it gives the request up.
    let late = app.azure.cloud.intercept(write, || async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        Then::GoOn
    });
    let seen = Mutex::new(Vec::new());
    let observe = async {
        loop {
            let value = app.settings("orders")["SQL"].clone();
            note(&seen, value);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let rotate = async {
        let older = app.rotate("sql");
        // Versions of one second cannot be ordered.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let newest = app.rotate_and_settle("sql").await;
        assert!(late.struck().await);
        app.make_due();
        app.reconcile().await;
        (older, newest)
    };
    let (older, newest) = tokio::select! {
        versions = rotate => versions,
        () = observe => unreachable!("it never ends"),
    };
    let seen = seen.into_inner().unwrap();
    let [_, middle, last] = seen.as_slice() else {
        panic!("{seen:?}\n{}", app.log());
    };
    assert!(
        middle.contains(&older) && last.contains(&newest),
        "{seen:?}"
    );
}
